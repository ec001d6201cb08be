"""What is known of a client for as long as it polls."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from .socketio_line import Line

_BESIDES: Final = 64
"""What a packet costs in memory, besides its bytes."""


class Polling:
    """The packets that are kept for one client until it asks for them, in their order.

    Attributes:
        bytes: How much memory they are.
        polled: Whether the client waits for some.
        upgrading: Whether it tries a WebSocket.
        tried: The WebSocket, once that is there.
    """

    __slots__ = ("_news", "_packets", "bytes", "polled", "tried", "upgrading")

    def __init__(self) -> None:
        self.bytes = 0
        self.polled = self.upgrading = False
        self.tried: Line | None = None
        self._packets: deque[bytes] = deque()
        self._news: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._packets)

    def keep(self, packet: bytes) -> None:
        """Keep one."""
        self._packets.append(packet)
        self.bytes += len(packet) + _BESIDES
        self.wake()

    def take(self, most: int) -> list[bytes]:
        """Return the first of them, which are not kept any more."""
        taken = [self._packets.popleft() for _ in range(min(most, len(self._packets)))]
        self.bytes -= sum(map(len, taken)) + len(taken) * _BESIDES
        return taken

    async def news(self) -> None:
        """Wait until a packet comes, or there is something else to look at."""
        self._news = asyncio.get_running_loop().create_future()
        try:
            await self._news
        finally:
            self._news = None

    def wake(self) -> None:
        """Let who waits have a look."""
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
