"""A client of Socket.IO in one namespace: whose it is, and what it has asked for lately."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from ...stream.socketio_wire import EVENT, SocketIoWire
from ...stream.subscriber import Phase, Subscriber
from ..sessions import Session
from .socketio_socket import EngineSocket

_encode = msgspec.json.Encoder().encode

_AT_ONCE: Final = 16
"""Events of one client that are answered at the same time."""

_BURST: Final = 60.0
_A_SECOND: Final = 20.0

_LIVE_SECONDS = 3.0
_LIVE_POLL = 0.02
_TYPED_ROOMS = 100
_TYPED_SECONDS = 15.0


class Client:
    """One client in one namespace.

    Args:
        session: Whose it is.
        cursor: Where it wants to go on.
        socket: Its connection.
        wire: How its namespace is written.
        clock: Seconds, of a clock that never goes back.
        address: From where it comes; None where that does not count.

    Attributes:
        subscriber: Its stream.
    """

    def __init__(
        self,
        session: Session,
        cursor: str | None,
        socket: EngineSocket,
        wire: SocketIoWire,
        clock: Callable[[], float] = time.monotonic,
        *,
        address: str | None = None,
    ) -> None:
        self.session = session
        self.cursor = cursor
        self.socket = socket
        self.wire = wire
        self.address = address
        self.subscriber: Subscriber | None = None
        self._clock = clock
        self._running = 0
        self._left, self._counted_at = _BURST, clock()
        self._typed: dict[str, tuple[bool, float]] = {}

    def emit(self, name: str, data: Any) -> None:
        """Send it an event of its own."""
        self.socket.post(self.wire.event(name, _encode(data)))

    def tell(self, data: dict[str, Any]) -> None:
        """Send it an event of its own, as everything is told to the web app."""
        self.emit(EVENT, data)

    def answer(self, ack_id: int | None, data: Any) -> None:
        """Answer one of its events, if it wants an answer."""
        if ack_id is not None:
            self.socket.post(self.wire.answer(ack_id, _encode(data)))

    async def live(self) -> Subscriber | None:
        """Return its stream once that is live; None where it has ended, or takes too long."""
        waits_until = self._clock() + _LIVE_SECONDS
        while self._clock() < waits_until and not self.socket.closed:
            if self.subscriber is not None and self.subscriber.phase is Phase.LIVE:
                return self.subscriber
            await asyncio.sleep(_LIVE_POLL)
        return None

    # What it may ask for

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

    # What it has said of typing

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
