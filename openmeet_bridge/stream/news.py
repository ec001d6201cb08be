"""News: how far the log is known to have grown, and who waits to hear of it."""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

from ..core.ids import Position


class News:
    """Wakes who waits for the log to grow.

    There are two kinds of news: that the log has grown up to a position, and that somebody has not
    listened for a while, so that everybody who follows the log must look once.
    """

    def __init__(self) -> None:
        self._position = Position(0)
        self._looks = 0
        self._looked: WeakKeyDictionary[asyncio.Task[Any], int] = WeakKeyDictionary()
        self._stirred = asyncio.Event()

    def grown(self, position: Position) -> None:
        """Wake who waits for an earlier position. Old news wakes nobody."""
        if position > self._position:
            self._position = position
            self._stirred.set()

    def look(self) -> None:
        """Wake each task that waits or will wait, once, wherever it stands."""
        self._looks += 1
        self._stirred.set()

    def stir(self) -> None:
        """Wake who waits now, so that they wait anew with another patience."""
        self._stirred.set()

    async def wait(self, position: Position, patience: float) -> None:
        """Return when the log may hold more than ``position``, or after ``patience`` seconds."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can wait for news")
        if self._position <= position and self._looked.get(task, 0) == self._looks:
            self._stirred.clear()
            try:
                async with asyncio.timeout(patience):
                    await self._stirred.wait()
            except TimeoutError:
                pass
        # Whatever was to be looked for is found now: who waited reads the log next.
        self._looked[task] = self._looks
