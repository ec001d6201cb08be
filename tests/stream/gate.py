"""Places at which the code under test stands still until a test lets it go on.

So a test, and not the moment, decides what happens between two steps of an opening stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from openmeet_bridge.bridge.log_view import Missed, Standing
from openmeet_bridge.bridge.streams import Log
from openmeet_bridge.core.entry import LogEntry
from openmeet_bridge.core.ids import Mxid, Position, RoomId, TenantId

_ROUNDS = 10


class Gate:
    """Holds whoever comes to it, unless it is open."""

    def __init__(self) -> None:
        self.open = False
        self.busy = 0
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def waiting(self) -> int:
        """How many stand still."""
        return len(self._waiting)

    async def stop(self) -> None:
        """Stand still."""
        if self.open:
            return
        released = asyncio.get_running_loop().create_future()
        self._waiting.append(released)
        try:
            await released
        finally:
            if released in self._waiting:
                self._waiting.remove(released)

    def release(self, index: int) -> None:
        """Let one go on."""
        if self._waiting:
            self._waiting.pop(index % len(self._waiting)).set_result(None)

    def release_all(self) -> None:
        """Let all go on, and nobody stand still any more."""
        self.open = True
        while self._waiting:
            self.release(0)

    @contextmanager
    def work(self) -> Iterator[None]:
        """Note that something is under way that ends by itself."""
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1

    @contextmanager
    def rest(self) -> Iterator[None]:
        """Note that, for a while, it does not end by itself."""
        self.busy -= 1
        try:
            yield
        finally:
            self.busy += 1

    async def settle(self) -> None:
        """Wait until nothing moves any more but what stands still here."""
        quiet = 0
        while quiet < _ROUNDS:
            await asyncio.sleep(0.0005 if self.busy else 0)
            quiet = 0 if self.busy else quiet + 1


class WholeLog(Log, Protocol):
    """What streams and the feed read."""

    async def after(self, position: Position, limit: int) -> tuple[list[LogEntry], Position]:
        """Return entries after a position, and up to where that is everything there is."""


class GatedLog:
    """A log that stands still between a reading and what is made of it.

    Before what is missed is read too: a stream has been attached by then.
    """

    def __init__(self, log: WholeLog, gate: Gate) -> None:
        self._log = log
        self._gate = gate

    async def standing(self, tenant: TenantId, mxid: Mxid) -> Standing:
        """Return in which rooms somebody is now."""
        with self._gate.work():
            found = await self._log.standing(tenant, mxid)
        await self._gate.stop()
        return found

    async def missed(
        self,
        tenant: TenantId,
        mxid: Mxid,
        after: Position,
        up_to: Position,
        limit: int,
        wanted: Collection[RoomId] | None = None,
    ) -> Sequence[Missed]:
        """Return what somebody missed between two positions, in log order."""
        await self._gate.stop()
        with self._gate.work():
            found = await self._log.missed(tenant, mxid, after, up_to, limit, wanted)
        await self._gate.stop()
        return found

    async def after(self, position: Position, limit: int) -> tuple[list[LogEntry], Position]:
        """Return entries after a position, and up to where that is everything there is."""
        with self._gate.work():
            found = await self._log.after(position, limit)
        await self._gate.stop()
        return found
