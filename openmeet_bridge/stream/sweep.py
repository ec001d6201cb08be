"""The sweep: brings frames to readers, a slice at a time, and to each in the order of the log.

Where there is much to write, a slice of it is written at once and the rest is owed; between two
slices the event loop does what else there is. Whoever gets something new gets first what is owed
to them: so a small room never waits for a large one, and a reader's cursor never runs ahead.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from ..telemetry import FRAMES
from .frames import Wire
from .shares import Frames, Share
from .subscriber import Subscriber
from .writing import Writer

SLICE: Final = 250
"""Readers who are written to before the event loop has its turn: about a millisecond."""

_SHORT: Final = 100
_LONG: Final = 2000
"""Readers to go from whom on slices are shorter: what else there is to do waits for many."""

_MOMENT: Final = 0.004
"""Seconds for which entries are gathered while others are on their way: less than anybody feels."""

MOST_BEHIND: Final = 8
"""So many pieces of the log may wait before all readers have the first one."""


class Sweep:
    """What is on its way to readers.

    Args:
        slow: Called with a reader who has fallen too far behind.
        buffer_bytes: How far one may.
    """

    def __init__(self, slow: Callable[[Subscriber], None], buffer_bytes: int) -> None:
        self._slow = slow
        self._buffer_bytes = buffer_bytes
        self._writer = Writer()
        self._shares: deque[Share] = deque()
        self._marked = False
        self._merged: dict[tuple[int, int], tuple[Frames, Frames, Frames]] = {}
        self._pieces = 0
        self._done: asyncio.Event | None = None

    @property
    def under_way(self) -> bool:
        """Whether somebody is owed something."""
        return bool(self._shares)

    def send(self, shares: Iterable[Share], urgent: int = 0) -> None:
        """Bring frames to readers, each of whom has part in one share.

        Args:
            shares: Who gets what.
            urgent: How many readers, the first ones, come before all who are owed something.
        """
        left = SLICE
        before = len(self._shares)
        if before:
            self._mark()
            left = min(urgent, SLICE)
        for share in shares:
            readers = share.readers
            if left:
                self._now(share.wire, share.frames, readers[:left])
            if len(readers) > left:
                share.readers = readers[left:] if left else readers
                self._later(share)
            left = max(0, left - len(readers))
        # What small rooms get at once does not add up, however long a large one takes.
        self._pieces += 0 < before < len(self._shares)

    def settle(self, reader: Subscriber) -> None:
        """Write now what is owed to a reader."""
        if self._shares:
            self._mark()
        owed, reader.owed = reader.owed, None
        if owed is not None:
            self._write(reader.wire, owed, [reader])

    async def keep_up(self) -> None:
        """Wait a moment until all readers have what is on its way, so that more is gathered.

        Where there is too much of that, it waits as long as it takes.
        """
        until = time.monotonic() + _MOMENT
        while self._shares:
            left = until - time.monotonic()
            if left <= 0 and self._pieces < MOST_BEHIND:
                return
            if self._done is None:
                self._done = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(left, _MOMENT)):
                    await self._done.wait()

    def _now(self, wire: Wire, frames: Frames, readers: list[Subscriber]) -> None:
        if self._shares:
            behind = [one for one in readers if one.owed is not None]
            readers = [one for one in readers if one.owed is None]
            for one in behind:
                one.owed = self._merge(one.owed, frames)
                self.settle(one)
        self._write(wire, frames, readers)

    def _later(self, share: Share) -> None:
        if not self._shares:
            self._marked = False
            asyncio.get_running_loop().call_soon(self._go_on)
        elif self._marked:
            share.readers = [one for one in share.readers if self._owe(one, share.frames)]
        self._shares.append(share)

    def _mark(self) -> None:
        """Note with each reader what is owed to them: it costs, and is needed now only."""
        if not self._marked:
            self._marked = True
            for share in self._shares:  # all of one piece: nobody is in two of them
                for one in share.readers[share.done :]:
                    one.owed = share.frames

    def _owe(self, reader: Subscriber, frames: Frames) -> bool:
        """Note what is owed to a reader; return whether nothing was before."""
        owed = reader.owed
        # Who is owed something has a turn already, with the share that they wait for.
        reader.owed = self._merge(owed, frames)
        return owed is None

    def _merge(self, first: Frames | None, then: Frames) -> Frames:
        if first is None:
            return then
        key = id(first), id(then)
        known = self._merged.get(key)
        if known is None:
            # With what it was made of, so that nothing else takes the same place in memory.
            known = self._merged[key] = (first, then, (*first, *then))
        return known[2]

    def _go_on(self) -> None:
        """Write a slice of what is owed."""
        first = self._shares[0]
        left = _SHORT if len(first.readers) - first.done > _LONG else SLICE
        while left and self._shares:
            share = self._shares[0]
            some = share.readers[share.done : share.done + left]
            share.done += len(some)
            left -= len(some)
            self._pay(share, some)
            if share.done == len(share.readers):
                self._shares.popleft()
        if self._shares:
            asyncio.get_running_loop().call_soon(self._go_on)
            return
        self._merged.clear()
        self._pieces = 0
        if self._done is not None:
            self._done.set()
            self._done = None

    def _pay(self, share: Share, readers: list[Subscriber]) -> None:
        frames = share.frames
        if not self._marked:
            self._write(share.wire, frames, readers)
            return
        same = [one for one in readers if one.owed is frames]
        for one in same:
            one.owed = None
        self._write(share.wire, frames, same)
        if len(same) < len(readers):
            more: dict[tuple[Wire, int], Share] = {}
            for one in readers:
                if one.owed is not None:
                    key = one.wire, id(one.owed)  # it may have changed its wire meanwhile
                    part = more.setdefault(key, Share(one.wire, one.owed, []))
                    part.readers.append(one)
                    one.owed = None
            for part in more.values():
                self._write(part.wire, part.frames, part.readers)

    def _write(self, wire: Wire, frames: Frames, readers: list[Subscriber]) -> None:
        data = wire.join(frames) if readers else b""
        if not data:
            return
        FRAMES.inc(len(frames) * len(readers))
        for reader, sent in self._writer.write(readers, data):
            self._rest(reader, data, sent)

    def _rest(self, reader: Subscriber, data: bytes, sent: int) -> None:
        """Do for a reader what writing to a descriptor could not."""
        sink = reader.sink
        if sink.fd < 0:
            sink.write(data)
        elif sent < 0:
            sink.fail()
            return
        else:
            sink.keep(data, sent)
        if sink.buffered() > self._buffer_bytes:
            self._slow(reader)
