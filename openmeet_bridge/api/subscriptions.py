"""Subscriptions: of which rooms, and which kinds of frames, a client wants to hear."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs

from ..core.cursor import Cursor
from ..core.errors import InvalidParam
from ..core.ids import RoomId
from ..stream import frames
from ..stream.change import Change
from ..stream.frames import FRAME_TYPES, Frame, Wire
from ..stream.wires import LOW, by_reference, filtered
from .asking import Asking

MOST_ROOMS: Final = 100
"""Rooms that may be asked for by name; who wants more wants all."""

_LONGEST: Final = 255
"""Bytes of a room id (Matrix, appendices, "Identifier grammar")."""

_TYPES: Final = FRAME_TYPES.keys() | {"heartbeat"}


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a stream is to bring.

    Attributes:
        base: How frames are written.
        rooms: Of which rooms; None: of all.
        types: Which kinds; None: all, or with low data fewer.
        low: Whether data is dear.
        by_reference: Whether people are introduced once, and then go by reference.
    """

    base: Wire
    rooms: frozenset[RoomId] | None = None
    types: frozenset[str] | None = None
    low: bool = False
    by_reference: bool = False

    @property
    def chosen(self) -> frozenset[str] | None:
        """Which kinds of frames come; None: all."""
        return LOW if self.types is None and self.low else self.types

    @property
    def wire(self) -> Wire:
        """How frames are written, and which."""
        return (by_reference if self.by_reference else filtered)(self.base, self.chosen)

    def change(self, request: str | int | None) -> Change:
        """Return what lets an open stream bring this, with the answer to who has asked for it."""

        def answer(followed: Collection[RoomId], cursor: Cursor) -> Frame:
            rooms = None if self.rooms is None else sorted(followed)
            types = None if self.chosen is None else sorted(self.chosen)
            return frames.subscribed(request, rooms, types, cursor, by_reference=self.by_reference)

        return Change(self.rooms, self.wire, answer)


def chosen_rooms(place: str, given: Iterable[str] | None) -> frozenset[RoomId] | None:
    """Return rooms that a client names; None: it names none.

    Args:
        place: Where they come from, for complaints.
        given: Their ids.

    Raises:
        InvalidParam: There are too many, or one is no room's id.
    """
    if given is None:
        return None
    rooms = frozenset(map(RoomId, given))
    if len(rooms) > MOST_ROOMS:
        raise _refused(place, f"names more than {MOST_ROOMS} rooms; leave it out for all")
    for room_id in rooms:
        if not _is_room_id(room_id):
            raise _refused(place, f"{room_id[:50]!r} is no room id")
    return rooms


def chosen_types(place: str, given: Iterable[str] | None) -> frozenset[str] | None:
    """Return types of frames that a client names; None: it names none.

    Args:
        place: Where they come from, for complaints.
        given: Their names.

    Raises:
        InvalidParam: One is no frame's.
    """
    if given is None:
        return None
    types = frozenset(given)
    for one in sorted(types - _TYPES):
        raise _refused(place, f"{one[:50]!r} is no type of frame")
    return types


def listed(values: Sequence[str]) -> Sequence[str] | None:
    """Return what a parameter of the query lists, with commas or by being there several times.

    Returns:
        None where it is not there at all; nothing where it is there and empty.
    """
    if not values:
        return None
    return [one for value in values for one in value.split(",") if one]


def accepts_gzip(request: Asking) -> bool:
    """Whether a body may be compressed (RFC 9110, section 12.5.3)."""
    for part in ",".join(request.headers.getall(hdrs.ACCEPT_ENCODING, ())).lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() in ("gzip", "x-gzip"):
            return weight.partition("=")[2].strip(" 0.") != "" if weight else True
    return False


def _is_room_id(text: str) -> bool:
    return len(text) > 1 and text[0] == "!" and text.isprintable() and _fits(text)


def _fits(text: str) -> bool:
    return " " not in text and len(text.encode(errors="replace")) <= _LONGEST


def _refused(place: str, why: str) -> InvalidParam:
    return InvalidParam("The subscription cannot be used.", fields={place: why})
