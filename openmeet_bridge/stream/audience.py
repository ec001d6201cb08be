"""The audience of a room: whose streams follow it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from .circles import Circles, Readers
from .frames import Wire
from .people import ByReference
from .subscriber import Phase, Subscriber


class Audience:
    """Those who follow one room.

    Attributes:
        live: Those who get everything at once, by the kind of their wire. They are kept in the
            order of their coming, in which they lie in memory, too: a sweep in any other order
            costs a third more.
        waiting: Those for whom it is parked, while what they missed is being written.
        circles: Under which wires those of the live ones are to whom people come by reference; None
            where there is nobody of that kind.
    """

    __slots__ = ("circles", "live", "waiting")

    def __init__(self) -> None:
        self.live: dict[Wire, Readers] = {}
        self.waiting: set[Subscriber] = set()
        self.circles: Circles | None = None

    def __iter__(self) -> Iterator[Subscriber]:
        return chain(self.waiting, *self.live.values())

    def __len__(self) -> int:
        return len(self.waiting) + sum(map(len, self.live.values()))

    def add(self, subscriber: Subscriber) -> None:
        """Let a stream follow the room."""
        if subscriber.phase is not Phase.LIVE:
            self.waiting.add(subscriber)
            return
        wire: Wire = subscriber.wire
        if isinstance(wire, ByReference):
            if self.circles is None:
                self.circles = Circles(self.live)
            wire = self.circles.entered(subscriber, wire)
        self.live.setdefault(wire, {})[subscriber] = None

    def promote(self, subscriber: Subscriber) -> None:
        """Note that a stream has become live."""
        self.waiting.discard(subscriber)
        self.add(subscriber)

    def discard(self, subscriber: Subscriber) -> None:
        """Let a stream follow the room no longer."""
        self.waiting.discard(subscriber)
        readers = self.live.get(subscriber.wire)
        if readers is not None:
            readers.pop(subscriber, None)
            if not readers:
                del self.live[subscriber.wire]
        elif self.circles is not None:
            self.circles.left(subscriber)
            if not self.circles:
                self.circles = None
