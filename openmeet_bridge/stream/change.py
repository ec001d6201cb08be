"""A change of what a stream brings, while it is open."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from ..core.cursor import Cursor
from ..core.ids import RoomId
from .frames import Frame, Wire


@dataclass(frozen=True, slots=True)
class Change:
    """What a stream brings from now on.

    Attributes:
        rooms: Of which rooms it wants to hear, whether or not its user is in them; None: of all.
        wire: How its frames are written, and which.
        answer: Makes the frame that says so, from the rooms that are followed and the cursor from
            which on that is so.
    """

    rooms: frozenset[RoomId] | None
    wire: Wire
    answer: Callable[[Collection[RoomId], Cursor], Frame]
