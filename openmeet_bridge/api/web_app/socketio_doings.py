"""What a client of Socket.IO has done lately, from which it follows what it may do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

_AT_ONCE: Final = 16
"""Events of one client that are answered at the same time."""

_BURST: Final = 60.0
_A_SECOND: Final = 20.0
_TYPED_ROOMS = 100
_TYPED_SECONDS = 15.0


class Doings:
    """What one client has done.

    Args:
        clock: Seconds, of a clock that never goes back.
    """

    __slots__ = ("_clock", "_counted_at", "_left", "_running", "_typed")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._running = 0
        self._left, self._counted_at = _BURST, clock()
        self._typed: dict[str, tuple[bool, float]] = {}

    def begins(self) -> bool:
        """Whether one more event may be answered now; :meth:`ends` must follow."""
        now = self._clock()
        self._left = min(_BURST, self._left + (now - self._counted_at) * _A_SECOND)
        self._counted_at = now
        if self._running >= _AT_ONCE or self._left < 1:
            return False
        self._left -= 1
        self._running += 1
        return True

    def ends(self) -> None:
        """Note that an event is answered."""
        self._running -= 1

    def has_said(self, room: str, typing: bool) -> bool:
        """Whether it has said the same of a room a moment ago."""
        state, at = self._typed.get(room, (not typing, 0.0))
        return state is typing and self._clock() - at < _TYPED_SECONDS

    def says(self, room: str, typing: bool) -> None:
        """Note what it says of a room."""
        self._typed.pop(room, None)
        if len(self._typed) >= _TYPED_ROOMS:
            del self._typed[next(iter(self._typed))]  # the oldest
        self._typed[room] = typing, self._clock()

    def has_sent(self, room: str) -> None:
        """Note that it has sent a message to a room, which ends the typing."""
        self._typed.pop(room, None)
