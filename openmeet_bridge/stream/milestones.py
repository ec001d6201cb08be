"""Milestones: who waits until the log has been delivered up to a position."""

from __future__ import annotations

import asyncio

from ..core.ids import Position


class Milestones:
    """Those who wait."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Position, asyncio.Future[None]]] = []

    async def wait(self, position: Position) -> None:
        """Wait until a position is passed."""
        passed = asyncio.get_running_loop().create_future()
        self._waiting.append((position, passed))
        await passed

    def passed(self, position: Position) -> None:
        """Wake those who wait for no more than a position."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for awaited, passed in waiting:
            if awaited > position:
                self._waiting.append((awaited, passed))
            elif not passed.done():
                passed.set_result(None)
