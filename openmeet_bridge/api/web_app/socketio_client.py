"""A client of Socket.IO in one namespace: whose it is, and how it is talked to."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import msgspec

from ...bridge.rights import Actor
from ...core.ids import Mxid, RoomId, TenantId, UserSlug
from ...stream.reasons import CloseReason
from ...stream.socketio_wire import EVENT, SocketIoWire
from ...stream.subscriber import Phase, Subscriber
from .socketio_doings import Doings
from .socketio_socket import TRANSPORT_CLOSE, EngineSocket

_encode = msgspec.json.Encoder().encode

_LIVE_SECONDS = 3.0
_LIVE_POLL = 0.02


class Client:
    """One client in one namespace. With its stream the transport is dropped.

    Args:
        subscriber: Its stream.
        openmeet_id: OpenMeet's number of its user.
        socket: Its connection.
    """

    __slots__ = ("_doings", "openmeet_id", "socket", "subscriber")

    def __init__(
        self, subscriber: Subscriber, openmeet_id: int | None, socket: EngineSocket
    ) -> None:
        self.subscriber = subscriber
        self.openmeet_id = openmeet_id
        self.socket = socket
        self._doings: Doings | None = None
        subscriber.ended = self  # not a method of its, which would be one more object for each

    # Whose it is

    @property
    def mxid(self) -> Mxid:
        """Its user's ghost."""
        return self.subscriber.mxid

    @property
    def tenant_id(self) -> TenantId:
        """Its user's tenant."""
        return self.subscriber.tenant

    @property
    def slug(self) -> UserSlug:
        """Its user's slug."""
        return cast(UserSlug, self.subscriber.person.slug)  # only people of Matrix have none

    def actor(self, room_id: str) -> Actor:
        """Its user as somebody who does something in a room; whether they may is asked there."""
        return Actor(self.tenant_id, self.slug, self.mxid, RoomId(room_id))

    @property
    def doings(self) -> Doings:
        """What it has done lately. Most have done nothing at all."""
        if self._doings is None:
            self._doings = Doings()
        return self._doings

    # What it is told

    @property
    def _wire(self) -> SocketIoWire:
        return cast(SocketIoWire, self.subscriber.wire)

    def emit(self, name: str, data: Any) -> None:
        """Send it an event of its own."""
        self.socket.post(self._wire.event(name, _encode(data)))

    def tell(self, data: dict[str, Any]) -> None:
        """Send it an event of its own, as everything is told to the web app."""
        self.emit(EVENT, data)

    def answer(self, ack_id: int | None, data: Any) -> None:
        """Answer one of its events, if it wants an answer."""
        if ack_id is not None:
            self.socket.post(self._wire.answer(ack_id, _encode(data)))

    async def live(self) -> Subscriber | None:
        """Return its stream once that is live; None where it has ended, or takes too long."""
        waits_until = time.monotonic() + _LIVE_SECONDS
        while time.monotonic() < waits_until and not self.socket.closed:
            if self.subscriber.phase is Phase.LIVE:
                return self.subscriber
            await asyncio.sleep(_LIVE_POLL)
        return None

    # The end

    def part(self) -> None:
        """Let the transport be when the stream ends: it is the client that leaves."""
        self.subscriber.ended = _nothing

    def __call__(self) -> None:
        """Drop the transport, as the stream has ended."""
        reason = self.subscriber.reason
        if reason is None:
            self.socket.end(TRANSPORT_CLOSE)
        else:
            slow = reason is CloseReason.SLOW_READER
            self.socket.end(reason.value, code=reason.ws_code, abort=slow)


def _nothing() -> None:
    """Only one namespace has ended, or the transport has already."""
