"""People by reference: who they are is told before the first frame that speaks of them.

Where a frame holds a person, only their id is left there. A client that keeps what it was told
last of everybody can always put the person in its place: whatever is joined by itself introduces
all of whom it speaks, and where more can be known of the readers, nothing is left out but what
each of them has been told, and has not been told otherwise since.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from ..core.entry import Person
from ..core.ids import Mxid
from .brief import briefly
from .frames import ALWAYS, Frame, Wire, people

MOST_KNOWN: Final = 512
"""People whom readers of a room know at most; of whom nothing came for longest is forgotten."""

_MOST_NEWEST: Final = 8192


class Introduction:
    """A person as they were introduced on a wire.

    As long as it is the newest one of this person there, no reader on the wire has been told
    otherwise since.
    """

    __slots__ = ("person",)

    def __init__(self, person: Person) -> None:
        self.person = person


Known = dict[Mxid, Introduction]
"""Whom readers know; last, of whom something came last."""


class ByReference:
    """A wire on which people are introduced, and then named by their ids.

    Args:
        base: How the frames are written.
        types: Which are; None: all. Only of whom these speak is introduced.
    """

    def __init__(self, base: Wire, types: frozenset[str] | None = None) -> None:
        self.name = base.name
        self._base = base
        self._types = None if types is None else types | ALWAYS
        self._newest: Known = {}
        self._last: tuple[Sequence[Frame], bytes] | None = None

    def join(self, frames: Sequence[Frame]) -> bytes:
        """Return the frames one after another, each person introduced before it is spoken of."""
        last = self._last
        if last is not None and last[0] is frames:
            return last[1]
        data = self.written(frames, {})
        if isinstance(frames, tuple):  # nobody can change it: of many readers each may ask for it
            self._last = frames, data
        return data

    def written(self, frames: Sequence[Frame], known: Known) -> bytes:
        """Return the frames for readers who know some people already.

        Args:
            frames: What they get.
            known: Whom they know. Who is introduced is added.
        """
        return self._base.join(self._told(frames, known))

    def holds(self, introduction: Introduction) -> bool:
        """Whether nobody on the wire has been told otherwise since."""
        return self._newest.get(introduction.person.mxid) is introduction

    def _told(self, frames: Sequence[Frame], known: Known) -> list[Frame]:
        told: list[Frame] = []
        start = 0
        meant: dict[Mxid, Person] = {}
        new: dict[Mxid, Person] = {}
        for frame in frames:
            if self._types is not None and frame.type not in self._types:
                continue
            short, spoken_of = briefly(frame)
            if any(meant.get(one.mxid, one) != one for one in spoken_of):
                # The frames before this one mean somebody as they were until now.
                _introduce(new, told, start)
                start, meant, new = len(told), {}, {}
            for one in spoken_of:
                meant[one.mxid] = one
                if self._unknown(one, known):
                    new[one.mxid] = one
            if short.type != "people":  # whom it speaks of is introduced with all others
                told.append(short)
        _introduce(new, told, start)
        return told

    def _unknown(self, person: Person, known: Known) -> bool:
        """Note that readers know somebody now; return whether they have to be told for it."""
        newest = self._newest.get(person.mxid)
        if newest is None or newest.person != person:
            if len(self._newest) >= _MOST_NEWEST:
                self._newest.clear()
            newest = self._newest[person.mxid] = Introduction(person)
            self._last = None
        unknown = known.pop(person.mxid, None) is not newest
        if len(known) >= MOST_KNOWN:
            del known[next(iter(known))]
        known[person.mxid] = newest
        return unknown


def _introduce(new: dict[Mxid, Person], told: list[Frame], place: int) -> None:
    if new:
        told.insert(place, _introduction(tuple(new.values())))


# Who comes back to a room is told of the same people as the one before.
@lru_cache(maxsize=64)
def _introduction(some: tuple[Person, ...]) -> Frame:
    return people(some)
