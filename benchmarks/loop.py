"""The event loop on which the bridge itself runs: uvloop, where that is installed."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from openmeet_bridge.app import run_loop

T = TypeVar("T")


def on_loop(work: Coroutine[Any, Any, T]) -> T:
    """Return what some work gives."""
    found: list[T] = []

    async def run() -> int:
        found.append(await work)
        return 0

    run_loop(run())
    return found[0]
