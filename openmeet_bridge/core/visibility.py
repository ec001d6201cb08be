"""What somebody may read of a room (client-server API, "Room history visibility").

Times are sort keys: places in the room's timeline. All of this is about people who are in the
room now; whoever is not may read nothing of it through the bridge.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from .events import UNREADABLE

LOWEST, HIGHEST = -(1 << 63), (1 << 63) - 1
"""Below and above all sort keys."""


class Visibility(StrEnum):
    """Who may read what is said while this holds."""

    WORLD_READABLE = "world_readable"
    SHARED = "shared"
    INVITED = "invited"
    JOINED = "joined"


class Change(NamedTuple):
    """From an event of the timeline on, another visibility holds."""

    sort_key: int
    visibility: Visibility


class Step(NamedTuple):
    """By an event of the timeline somebody got another membership, as Matrix names it."""

    sort_key: int
    membership: str


@dataclass(frozen=True, slots=True)
class Readable:
    """The parts of a room that somebody may read.

    Attributes:
        spans: First and last sort key of each part, in order; both belong to it.
    """

    spans: tuple[tuple[int, int], ...]

    def __contains__(self, sort_key: int) -> bool:
        at = bisect_right(self.spans, (sort_key, HIGHEST)) - 1
        return at >= 0 and sort_key <= self.spans[at][1]


EVERYTHING = Readable(((LOWEST, HIGHEST),))


def readable(
    changes: Iterable[Change], steps: Iterable[Step], first: Visibility | None = Visibility.SHARED
) -> Readable:
    """Return what somebody may read who is in a room now.

    Args:
        changes: The room's changes of visibility, in any order.
        steps: Their own memberships, in any order. Without any: what everybody may read.
        first: What held before the first change; None where nobody knows.

    An event that changes the visibility, or their own membership, may be read where it may be on
    one of its sides. Where nothing is known they may read only what was said while they were in.
    """
    visibility, membership = first, "leave"
    spans: list[tuple[int, int]] = []
    begin = LOWEST if _allows(visibility, membership) else None
    moments: list[Change | Step] = [*changes, *steps]
    for one in sorted(moments, key=lambda one: one.sort_key):
        if isinstance(one, Change):
            visibility = one.visibility
        else:
            membership = one.membership
        allowed = _allows(visibility, membership)
        if begin is None and allowed:
            begin = one.sort_key
        elif begin is not None and not allowed:
            spans.append((begin, one.sort_key))
            begin = None
    if begin is not None:
        spans.append((begin, HIGHEST))
    return Readable(tuple(spans))


def is_open(visibility: Visibility | None) -> bool:
    """Whether everybody who is in the room, or comes in, may read what is said."""
    return visibility in (Visibility.WORLD_READABLE, Visibility.SHARED)


def _allows(visibility: Visibility | None, membership: str) -> bool:
    if is_open(visibility):
        return True
    return membership == "join" or (visibility is Visibility.INVITED and membership == "invite")


class _Content(msgspec.Struct, frozen=True):
    history_visibility: Any = None


_content = msgspec.json.Decoder(_Content)


def visibility_of(content: bytes) -> Visibility:
    """Return what the content of ``m.room.history_visibility`` says, ``shared`` if nothing."""
    try:
        return Visibility(_content.decode(content).history_visibility)
    except (*UNREADABLE, ValueError):
        return Visibility.SHARED
