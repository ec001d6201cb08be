"""What another process costs, as the kernel counts it (Linux)."""

from __future__ import annotations

import os
import resource
from pathlib import Path

_FILES = 8192


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used, all its threads together.

    ``schedstat`` counts nanoseconds; the usual ``stat`` counts hundredths of a second.
    """
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def resident_bytes(pid: int) -> int:
    """Return the memory of a process that is in RAM."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def allow_many_files() -> None:
    """Let this process, and those that it starts, have thousands of sockets open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
