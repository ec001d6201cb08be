"""The Synapse of the demo: its accounts, its end, and what is left when its owner is killed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from openmeet_bridge.demo.synapse import SynapseError, SynapseProcess

from ..support.ports import free_port
from ..support.quick_synapse import Nursery, QuickSynapse

pytestmark = pytest.mark.synapse

OWNER = """
import sys, time
from pathlib import Path
from openmeet_bridge.demo.synapse import SynapseProcess
synapse = SynapseProcess(Path(sys.argv[1]), port=int(sys.argv[2]))
synapse.start()
synapse.register_user("ada", "a password")
print(synapse.pid, flush=True)
time.sleep(600)
"""


def _runs(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_killed_demo_is_taken_over(nursery: Nursery, tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), str(free_port())],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    orphan = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert _runs(orphan)
    with QuickSynapse(nursery, tmp_path, port=free_port()) as synapse:
        assert not _runs(orphan)
        assert synapse.login("ada", "a password").user_id == "@ada:localhost"


def test_accounts(synapse: SynapseProcess) -> None:
    assert synapse.register_user("grace", "secret") == "@grace:localhost"
    assert synapse.register_user("grace", "secret") == "@grace:localhost"
    assert synapse.register_user("root", "secret", admin=True) == "@root:localhost"
    login = synapse.login("grace", "secret")
    assert login.user_id == "@grace:localhost"
    assert login.access_token
    with pytest.raises(SynapseError, match="403 M_FORBIDDEN"):
        synapse.login("grace", "wrong")


def test_a_frozen_one_can_be_stopped(synapse: SynapseProcess) -> None:
    pid = synapse.pid
    assert pid is not None
    synapse.pause()
    synapse.stop()
    assert synapse.pid is None
    with pytest.raises(SynapseError, match="not running"):
        synapse.pause()
    synapse.stop()


def test_a_taken_port_is_said(synapse: SynapseProcess, tmp_path: Path) -> None:
    port = int(synapse.base_url.rpartition(":")[2])
    with pytest.raises(SynapseError, match="in use"):
        SynapseProcess(tmp_path, port=port).start()


def test_a_broken_registration_is_said(tmp_path: Path) -> None:
    broken = tmp_path / "registration.yaml"
    broken.write_text("id: only\n")
    with pytest.raises(SynapseError, match="as_token"):
        SynapseProcess(tmp_path / "home", port=free_port(), registrations=[broken]).start()


def test_says_which_extra_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SynapseError, match=r"openmeet-bridge\[demo\]"):
        SynapseProcess(tmp_path, port=free_port()).start()


def test_secrets_are_private_and_kept(synapse: SynapseProcess) -> None:
    home = synapse.log_file.parent
    files = [home / "homeserver.yaml", home / "signing.key"]
    assert [file.stat().st_mode & 0o077 for file in files] == [0, 0]
    before = [file.read_text() for file in files]
    synapse.restart()
    assert [file.read_text() for file in files] == before
    assert os.path.exists(home / "homeserver.db")
