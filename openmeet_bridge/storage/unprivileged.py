"""How to run a program that refuses to run as root.

PostgreSQL does not start as root, yet containers and small servers run everything as root. There
it runs as an unprivileged account that exists already; no account is created and no directory
of the user is opened to others. Where a directory on the way is closed to that account (``/root``,
a temporary directory), the process keeps the one capability to walk through it, and no other.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

ACCOUNTS = ("embedded_postgres", "postgres", "nobody")
"""Accounts to run as in root's place, the most fitting first."""


class Launch(NamedTuple):
    """A way to start programs.

    ``prefix`` goes before the command; ``uid`` and ``gid`` own the files it writes.
    """

    prefix: tuple[str, ...]
    uid: int
    gid: int


class CannotDropRoot(Exception):
    """This machine offers no way to run a program as somebody else than root."""


def launch(paths: Iterable[Path]) -> Launch:
    """The way to start a program that must not be root.

    Args:
        paths: Directories that the program has to reach.

    Returns:
        Nothing to add for an ordinary user; a ``setpriv`` command for root.

    Raises:
        CannotDropRoot: Root, but no account or no ``setpriv``.
    """
    if os.geteuid() != 0:
        return Launch((), os.geteuid(), os.getegid())
    account = _account()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise CannotDropRoot("setpriv (package util-linux) is not installed; or run as a user")
    drop = [setpriv, f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    keep = [] if all(map(_open_to_all, paths)) else ["dac_read_search"]
    return Launch((*drop, *_capabilities(keep)), account.pw_uid, account.pw_gid)


def _account() -> pwd.struct_passwd:
    for name in ACCOUNTS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise CannotDropRoot(f"none of the accounts {', '.join(ACCOUNTS)} exists; or run as a user")


def _open_to_all(path: Path) -> bool:
    """Whether everybody may walk through every directory above ``path``."""
    above = path.resolve().parents
    return all(directory.stat().st_mode & stat.S_IXOTH for directory in above)


def _capabilities(keep: list[str]) -> list[str]:
    if not keep:
        return ["--no-new-privs"]
    wanted = "-all," + ",".join(f"+{name}" for name in keep)
    return [f"--inh-caps={wanted}", f"--ambient-caps={wanted}", "--no-new-privs"]
