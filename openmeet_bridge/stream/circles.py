"""Circles: those readers of a room who know the same people, where people go by reference.

A room has two for each kind of wire: of those who have been there for a while, and of those who
have come since. Else whoever comes would be the reason for which all are introduced to all again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..core.entry import Person
from .frames import Frame, Wire
from .people import ByReference, Known
from .subscriber import Subscriber

Readers = dict[Subscriber, None]

RIPE: Final = 10
"""Pieces of news after which those who have come since are with the others."""

MOST_TOLD: Final = 32
"""People of whom those are told who are with others from then on: of whom something came last."""


class Written:
    """The wire of a share whose bytes are there already, made for just its readers."""

    __slots__ = ("_data", "name")

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self._data = data

    def join(self, frames: Sequence[Frame]) -> bytes:
        """Return the bytes of the share's frames."""
        return self._data


class Circle:
    """Readers of a room on one wire, all of whom know the same people.

    It is a wire, too: as that it introduces everybody of whom its frames speak.

    Args:
        wire: The wire of its readers.

    Attributes:
        news: How many pieces of news it has had.
    """

    __slots__ = ("_known", "name", "news", "wire")

    def __init__(self, wire: ByReference) -> None:
        self.name = wire.name
        self.wire = wire
        self.news = 0
        self._known: Known = {}

    def join(self, frames: Sequence[Frame]) -> bytes:
        """Return the frames as the wire of the readers joins them."""
        return self.wire.join(frames)

    @property
    def open(self) -> bool:
        """Whether nobody is known, so that who comes is as much part of it as all others."""
        return not self._known

    def welcome(self) -> None:
        """Let somebody be part of it who knows nobody."""
        self._known = {}

    def told(self, frames: Sequence[Frame]) -> Written:
        """Return what writes these frames to all of the circle, without whom they know.

        Who gets the frames otherwise is introduced to everybody by their own wire, so all of them
        know afterwards of whom the frames speak.
        """
        data = self.wire.written(frames, self._known)
        self.news += bool(data)
        return Written(self.name, data)

    def lacks(self, other: Circle) -> Sequence[Person]:
        """Let another circle know no more than this one knows or can be told; return the latter."""
        kept: Known = {}
        lacking: list[Person] = []
        for mxid, one in reversed(other._known.items()):
            known = self._known.get(mxid) is one
            if self.wire.holds(one) and (known or len(lacking) < MOST_TOLD):
                kept[mxid] = one
                if not known:
                    lacking.append(one.person)
        other._known = dict(reversed(kept.items()))
        return lacking


class Circles:
    """The circles of a room.

    Args:
        live: The live readers of the room, by their wires: here is more of those under circles.
    """

    __slots__ = ("_by_wire", "_live")

    def __init__(self, live: dict[Wire, Readers]) -> None:
        self._live = live
        self._by_wire: dict[Wire, list[Circle]] = {}

    def __len__(self) -> int:
        return len(self._by_wire)

    def entered(self, subscriber: Subscriber, wire: ByReference) -> Circle:
        """Return the circle of somebody who comes now, or is there already."""
        circles = self._by_wire.setdefault(wire, [])
        for circle in circles:
            if subscriber in self._live[circle]:
                return circle
        if not circles or (len(circles) == 1 and not circles[0].open):
            circles.append(Circle(wire))
        else:
            circles[-1].welcome()
        return circles[-1]

    def left(self, subscriber: Subscriber) -> None:
        """Note that somebody goes, if they are in a circle."""
        circles = self._by_wire.get(subscriber.wire, [])
        for circle in circles:
            readers = self._live[circle]
            if subscriber in readers:
                del readers[subscriber]
                if not readers:
                    del self._live[circle]
                    circles.remove(circle)
                break
        if not circles:
            self._by_wire.pop(subscriber.wire, None)

    def ripe(self) -> dict[Circle, Circle]:
        """Return which are to be one from now on: those with fewer readers, each with the other."""
        found = {}
        for circles in self._by_wire.values():
            if len(circles) == 2 and circles[1].news >= RIPE:
                more, fewer = sorted(circles, key=lambda one: -len(self._live[one]))
                found[fewer] = more
        return found

    def unite(self, fewer: Circle, more: Circle) -> None:
        """Let the readers of two circles be one, all of whom know whom the second one knows."""
        first, second = (self._live.pop(one) for one in self._by_wire[fewer.wire])
        self._live[more] = first | second
        self._by_wire[fewer.wire] = [more]
