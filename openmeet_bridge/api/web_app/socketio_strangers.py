"""Strangers: clients of whom nobody knows who they are. They are few, and do not stay."""

from __future__ import annotations

from collections.abc import Callable

from .socketio_later import Later


class Strangers:
    """All strangers.

    Args:
        seconds: For so long one may stay.
        overdue: Called with the session id of one who has stayed for too long.
    """

    def __init__(self, seconds: float, overdue: Callable[[str], None]) -> None:
        self._overdue = overdue
        self._leaving = Later(seconds, self._look)
        self._until: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._until)

    def add(self, sid: str) -> None:
        """Note that it is not known, or not any more, who a client is."""
        self._until[sid] = self._leaving.add(sid)

    def discard(self, sid: str) -> None:
        """Note that it is known who a client is, or that it has gone."""
        self._until.pop(sid, None)

    def _look(self, sid: str, now: float) -> None:
        until = self._until.get(sid)
        if until is not None and until <= now:  # not known for a while, and forgotten again
            del self._until[sid]
            self._overdue(sid)
