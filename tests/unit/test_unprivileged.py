"""Running a program that refuses root."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

import pytest

from openmeet_bridge.storage.unprivileged import CannotDropRoot, launch

NOBODY = pwd.struct_passwd(("nobody", "x", 65534, 65534, "", "/", "/bin/false"))


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_name(name: str) -> pwd.struct_passwd:
        if name != "nobody":
            raise KeyError(name)
        return NOBODY

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", by_name)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")


def test_an_ordinary_user_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 1001)
    assert launch([Path("/root")]) == ((), 1000, 1001)


@pytest.mark.usefixtures("as_root")
def test_root_becomes_an_account_without_privileges() -> None:
    how = launch([Path("/usr/bin")])
    assert (how.uid, how.gid) == (65534, 65534)
    assert how.prefix[:2] == ("/usr/bin/setpriv", "--reuid=65534")
    assert not any("caps" in word for word in how.prefix)


@pytest.mark.usefixtures("as_root")
def test_a_closed_directory_on_the_way_takes_one_capability(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    how = launch([closed / "data"])
    assert "--ambient-caps=-all,+dac_read_search" in how.prefix


@pytest.mark.usefixtures("as_root")
def test_without_setpriv_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(CannotDropRoot, match="setpriv"):
        launch([])
