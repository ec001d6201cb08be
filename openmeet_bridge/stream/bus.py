"""The bus: tells the feed that the log grew. In one process, a counter and an event."""

from __future__ import annotations

import asyncio
from typing import Protocol

from ..core.ids import Position


class Bus(Protocol):
    """What the feed and ingest need of a bus."""

    def grown(self, position: Position) -> None:
        """Say that the log has been committed up to a position."""

    async def wait(self, position: Position, patience: float) -> None:
        """Return when the log may hold more than ``position``, or after ``patience`` seconds."""


class LocalBus:
    """The bus of a single process."""

    def __init__(self) -> None:
        self._position = Position(0)
        self._grew = asyncio.Event()

    def grown(self, position: Position) -> None:
        """Wake whoever waits for an earlier position."""
        self._position = max(self._position, position)
        self._grew.set()

    async def wait(self, position: Position, patience: float) -> None:
        """Wait until the log has grown beyond a position."""
        if self._position > position:
            return
        self._grew.clear()
        try:
            async with asyncio.timeout(patience):
                await self._grew.wait()
        except TimeoutError:
            return
