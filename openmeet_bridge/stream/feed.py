"""The feed: reads from the log what this process has not delivered yet, and gives it to the hub.

The bus only says that there is more. Whatever it says, twice or too late or not at all, the feed
reads on from where the hub stands: a lost wake-up delays, it never loses.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog

from ..core.entry import LogEntry
from ..core.errors import Unavailable
from ..core.ids import Position
from .bus import Bus
from .hub import Hub
from .pace import Pace

log = structlog.get_logger(__name__)

_RETRY = 0.5
_NOTHING_NEW = 0.05


class LogReader(Protocol):
    """The part of the log that the feed needs."""

    async def __call__(self, position: Position, limit: int) -> tuple[list[LogEntry], Position]:
        """Return entries after a position, and up to where that is everything there is."""


class Feed:
    """Keeps one hub level with the log.

    Args:
        read: Reads the log.
        hub: Gets what was read.
        bus: Wakes the feed.
        poll: Longest pause between two looks at the log, in seconds.
        batch: Most entries that are read at once.
        pace: How long it gathers under load.
    """

    def __init__(
        self,
        read: LogReader,
        hub: Hub,
        bus: Bus,
        *,
        poll: float = 5.0,
        batch: int = 500,
        pace: Pace | None = None,
    ) -> None:
        self._read = read
        self._hub = hub
        self._bus = bus
        self._poll = poll
        self._batch = batch
        self._pace = pace or Pace()

    async def run(self) -> None:
        """Deliver for ever. While the database is away, streams stay open and wait."""
        while True:
            await self._bus.wait(self._hub.position, self._poll)
            before = self._hub.position
            try:
                while await self.step():
                    pass
            except Unavailable:
                await asyncio.sleep(_RETRY)
            if self._hub.position == before:
                # The bus promises what the log does not show, or there was nothing: no hurry.
                await asyncio.sleep(_NOTHING_NEW)

    async def step(self) -> bool:
        """Deliver one piece of the log; return whether there may be more at once.

        Raises:
            Unavailable: The log cannot be read.
        """
        before = self._hub.position
        batch, position = await self._read(before, self._batch)
        if position > before:
            self._pace.begin(len(batch))
            self._hub.dispatch(batch, position)
            await self._hub.keep_up()
            pause = self._pace.until_next()
            if pause:
                await asyncio.sleep(pause)
        # Told by the positions: of what stands there, much may be nothing for anybody to see.
        return position - before >= self._batch
