"""Background loops that never stay dead: each has a name, a metric and a way back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from ..telemetry import RESTARTS

log = structlog.get_logger(__name__)

_PAUSE = 1.0


class Supervisor:
    """Owns background tasks."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """Run a loop until :meth:`stop`; when it fails, it is logged, counted and run again."""
        self._tasks.append(asyncio.create_task(self._keep(name, loop), name=name))

    async def stop(self) -> None:
        """End all loops."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _keep(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await loop()
            except Exception:
                log.exception("task.failed", task=name)
            RESTARTS.labels(name).inc()
            await asyncio.sleep(_PAUSE)
