"""The backlog: what is to be said over the bus and has not gone out yet."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from ..telemetry import BUS_DROPPED, BUS_WAITING

MOST: Final = 10_000
MOST_BYTES: Final = 16 * 1024 * 1024

Saying = tuple[str, bytes]
"""A channel, and what is said there."""


class Backlog:
    """Messages in the order in which they are said. When there are too many, the oldest are lost.

    Args:
        most: How many may wait.
        most_bytes: How large they may be together.
    """

    def __init__(self, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._waiting: deque[Saying] = deque()
        self._urgent: list[Saying] = []
        self._bytes = 0
        self._some = asyncio.Event()
        self._under_way = False
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, channel: str, data: bytes) -> None:
        """Let something wait for its turn."""
        self._waiting.append((channel, data))
        self._bytes += len(data)
        while len(self._waiting) > self._most or self._bytes > self._most_bytes:
            self._bytes -= len(self._waiting.popleft()[1])
            BUS_DROPPED.inc()
        BUS_WAITING.set(len(self._waiting))
        self._some.set()
        self._empty.clear()

    def urge(self, channel: str, data: bytes) -> None:
        """Let something go before all others, however many there are."""
        self._urgent.append((channel, data))
        self._some.set()

    def calm(self) -> None:
        """Forget what was urgent: the connection that it was for is gone."""
        self._urgent.clear()
        self._under_way = False
        self._note_empty()

    async def take(self, most: int) -> list[Saying]:
        """Wait until there is something, and take it away: what is urgent, and as much again."""
        while not (self._waiting or self._urgent):
            self._some.clear()
            await self._some.wait()
        taken, self._urgent = self._urgent, []
        for _ in range(min(most, len(self._waiting))):
            saying = self._waiting.popleft()
            self._bytes -= len(saying[1])
            taken.append(saying)
        BUS_WAITING.set(len(self._waiting))
        self._under_way = True
        return taken

    def gone(self) -> None:
        """Note that what was taken has arrived."""
        self._under_way = False
        self._note_empty()

    async def drained(self) -> None:
        """Wait until nothing is to be said any more."""
        await self._empty.wait()

    def _note_empty(self) -> None:
        if not self._waiting and not self._under_way:
            self._empty.set()
