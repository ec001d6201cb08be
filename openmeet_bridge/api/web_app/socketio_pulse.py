"""The pulse of clients: they are asked for signs of life, and are taken for gone without them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .socketio_later import Later
from .socketio_limits import SocketLimits


class Patient(Protocol):
    """A client that is asked."""

    def ask(self) -> None:
        """Be asked for a sign of life."""

    def silent(self) -> None:
        """Be taken for gone."""


class Pulse:
    """Asks all clients for signs of life. Of one that is not being asked it keeps nothing.

    Args:
        limits: How often, and how long a client has to give one.
        find: Finds a client by its session id; None where it has gone.
    """

    def __init__(self, limits: SocketLimits, find: Callable[[str], Patient | None]) -> None:
        self._find = find
        self._asking = Later(limits.ping_interval, self._beat)
        self._waiting = Later(limits.ping_timeout, self._look)
        self._asked: dict[str, float] = {}

    def begin(self, sid: str) -> None:
        """Ask a client after a while."""
        self._asking.add(sid)

    def felt(self, sid: str) -> None:
        """Note a sign of life. One that nobody has asked for says nothing."""
        if self._asked.pop(sid, None) is not None:
            self.begin(sid)

    def end(self, sid: str) -> None:
        """Wait for no sign of a client any more."""
        self._asked.pop(sid, None)

    def _beat(self, sid: str, _: float) -> None:
        client = self._find(sid)
        if client is not None:
            self._asked[sid] = self._waiting.add(sid)
            client.ask()

    def _look(self, sid: str, now: float) -> None:
        until = self._asked.get(sid)
        if until is not None and until <= now:  # not a later question
            del self._asked[sid]
            client = self._find(sid)
            if client is not None:
                client.silent()
