"""The programs that are measured and that measure: compiled here, or found where they are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "build" / "fanout"
"""Where `make bench-peers` and the compiler put what they make."""

_CLIENT = tuple(
    HERE / "client" / f"{name}.c"
    for name in (
        "main",
        "options",
        "measure",
        "stream",
        "websocket",
        "delivery",
        "publish",
        "phases",
    )
)
_FLAGS = ("-O2", "-Wall", "-Wextra")
_NGINX_HOME = Path("/var/lib/nginx")
_MODULE = "usr/lib/nginx/modules/ngx_nchan_module.so"


class Missing(Exception):
    """A program is not there. The text says which one, and how to get it."""


@dataclass(frozen=True, slots=True)
class Nchan:
    """nginx, and nchan for it."""

    nginx: Path
    module: Path


def client() -> Path:
    """Return the load client.

    Raises:
        Missing: There is no C compiler, or it fails.
    """
    return _compiled("fanout-client", _CLIENT, [HERE / "client" / "load.h"])


def floor() -> Path:
    """Return the bare loop in C; raises as :func:`client` does."""
    return _compiled("fanout-floor", [HERE / "peers" / "floor.c"])


def node() -> Path:
    """Return Node, beside this Python or anywhere.

    Raises:
        Missing: There is none, or no Socket.IO for it.
    """
    if not (BUILD / "node_modules" / "socket.io").is_dir():
        raise Missing("no Socket.IO for Node: run `make bench-peers`")
    beside = Path(sys.executable).parent / "node"
    found = str(beside) if beside.exists() else shutil.which("node")
    if found is None:
        raise Missing("no node on the path")
    # The one that a Python package brings is a script, which starts the real one as a child.
    return Path(version([found, "-p", "process.execPath"]) or found)


def nchan() -> Nchan:
    """Return nginx with nchan.

    Raises:
        Missing: There is none.
    """
    for root in (BUILD / "nchan", Path("/")):
        nginx, module = root / "usr/sbin/nginx", root / _MODULE
        if nginx.exists() and module.exists():
            if not _NGINX_HOME.is_dir():
                raise Missing(f"nchan wants the folder {_NGINX_HOME}, whatever it is told: make it")
            return Nchan(nginx, module)
    raise Missing(
        "no nginx with nchan: run `make bench-peers`, or install Debian's nginx-light and "
        "libnginx-mod-nchan"
    )


def version(command: Sequence[str | Path]) -> str:
    """Return the first line of what a program says of its version; empty where it says nothing."""
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return next(iter((done.stdout + done.stderr).splitlines()), "")


def _compiled(name: str, sources: Sequence[Path], headers: Sequence[Path] = ()) -> Path:
    program = BUILD / "bin" / name
    newest = max(one.stat().st_mtime for one in (*sources, *headers))
    if program.exists() and program.stat().st_mtime >= newest:
        return program
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise Missing("no C compiler: install gcc or clang, or name yours in CC")
    program.parent.mkdir(parents=True, exist_ok=True)
    fresh = program.with_suffix(".new")
    done = subprocess.run(
        [compiler, *_FLAGS, "-o", str(fresh), *map(str, sources)], capture_output=True, text=True
    )
    if done.returncode:
        raise Missing(f"{compiler} cannot compile {name}:\n{done.stderr[-2000:]}")
    fresh.rename(program)
    return program
