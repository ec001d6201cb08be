"""What every kind of stream over HTTP has in common: who is let in, for how long, and the end.

aiohttp reads the request; then the connection is taken from it, and the hub writes to it directly,
with bytes that all readers share. Until it ends, a stream has no task of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from ..bridge.streams import Streams
from ..core.errors import BridgeError
from ..stream.change import Change
from ..stream.deflate import sse_deflated, sse_gzip_header
from ..stream.frames import Wire
from ..stream.hub import Hub
from ..stream.reasons import CloseReason
from ..stream.sockets import Socket, Sockets
from ..stream.subscriber import Sink, Subscriber
from ..stream.wires import SSE_GZIP
from .admission import Admission
from .asking import Asking, Visit
from .sessions import Session
from .stream_ends import StreamEnds
from .subscriptions import Subscription

Authenticate = Callable[[Asking], Awaitable[Session]]

log = structlog.get_logger(__name__)

LINGER = 5.0
"""Seconds for a reader that does not read to read why its stream has ended."""

_RETRY = b"retry: 2000\n\n"
_SSE_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "Connection": "close",
    # nginx holds a response back until a buffer is full, unless told so.
    "X-Accel-Buffering": "no",
}


class StreamSocket:
    """The connection of a stream, from its beginning to its end. What the client sends is nothing.

    Args:
        hub: Delivers to the stream.
        socket: The connection.
        subscriber: The stream.
    """

    __slots__ = ("hub", "socket", "subscriber")

    def __init__(self, hub: Hub, socket: Socket, subscriber: Subscriber) -> None:
        self.hub = hub
        self.socket = socket
        self.subscriber = subscriber
        socket.owner = self
        subscriber.ended = self.ended

    def heard(self, data: bytes) -> None:
        """Take no notice of what a client sends that should read."""

    def hung_up(self) -> None:
        """Let the stream end with its client."""
        self.hub.leave(self.subscriber)

    def ended(self) -> None:
        """End the connection with the stream."""
        self.socket.end(LINGER)


class OpenStreams:
    """Opens streams for those who may have one, and ends them in time.

    Args:
        streams: Brings a stream to the present.
        hub: Delivers to it.
        sockets: Hold the connections.
        admission: Knows whether there is room.
        ends: Ends streams in time.
    """

    def __init__(
        self,
        streams: Streams,
        hub: Hub,
        sockets: Sockets,
        admission: Admission,
        ends: StreamEnds,
    ) -> None:
        self.hub = hub
        self.sockets = sockets
        self.admission = admission
        self.ends = ends
        self._streams = streams
        self._opening: dict[Subscriber, asyncio.Task[None]] = {}
        hub.left = self._left

    @property
    def parked(self) -> int:
        """Return how many frames wait until streams have been given what they missed."""
        return sum(len(one.parked) for one in self._opening)

    def guarded(self, authenticate: Authenticate) -> Authenticate:
        """Return what sends those away for whom there is no room, and else tells who it is."""

        async def look_first(request: Asking) -> Session:
            self.admission.arrive(request)
            return await authenticate(request)

        return look_first

    def admit(self, caller: Session, address: str | None) -> None:
        """Make room for one more stream of a user.

        Raises:
            LimitExceeded: There is none; see :meth:`Admission.admit`.
        """
        self.admission.admit(caller.mxid, address)

    def subscriber(
        self, caller: Session, sink: Sink, wire: Wire, address: str | None
    ) -> Subscriber:
        """Return a stream of a caller's that has not begun."""
        subscriber = Subscriber(caller.tenant_id, caller.person, sink, wire)
        subscriber.address = address
        return subscriber

    def begin(self, subscriber: Subscriber, cursor: str | None, caller: Session) -> None:
        """Let a stream begin; it ends with its token at the latest."""
        self.hub.enter(subscriber)
        self.admission.entered(subscriber.address)
        self.ends.begin(subscriber, caller.expires_at_ms)
        opening = asyncio.create_task(self._open(subscriber, cursor))
        self._opening[subscriber] = opening
        opening.add_done_callback(lambda _: self._opening.pop(subscriber, None))
        if self.hub.closing:  # since it was admitted
            self.hub.close(subscriber, CloseReason.SHUTDOWN)

    async def opened(self, subscriber: Subscriber) -> None:
        """Wait until a stream has been brought to the present, or has ended."""
        opening = self._opening.get(subscriber)
        if opening is not None:
            await asyncio.wait([opening])

    async def change(self, subscriber: Subscriber, change: Change) -> None:
        """Let an open stream bring other rooms or kinds of frames from now on, and say so.

        Raises:
            Unavailable: What is to be known for it cannot be found out; nothing has changed.
        """
        await self._streams.change(subscriber, change)

    async def server_sent(
        self,
        visit: Visit,
        caller: Session,
        cursor: str | None,
        subscription: Subscription,
    ) -> None:
        """Answer a request with a stream of server-sent events (HTML, "Server-sent events").

        Args:
            visit: The request; its ``Last-Event-ID`` is newer than what its address says.
            caller: Who asks.
            cursor: Where to go on, from the address.
            subscription: What the stream brings, and how it is written.

        Raises:
            LimitExceeded: See :meth:`admit`.
        """
        address = self.admission.address(visit.asking)
        self.admit(caller, address)
        packed = subscription.base is SSE_GZIP
        headers = _SSE_HEADERS | ({"Content-Encoding": "gzip"} if packed else {})
        body = sse_gzip_header() + sse_deflated(_RETRY) if packed else _RETRY
        socket = await visit.answer(200, headers, body)
        subscriber = self.subscriber(caller, socket, subscription.wire, address)
        subscriber.wanted = subscription.rooms
        StreamSocket(self.hub, socket, subscriber)
        newest = visit.asking.headers.get("Last-Event-ID") or cursor
        self.begin(subscriber, newest, caller)

    async def _open(self, subscriber: Subscriber, cursor: str | None) -> None:
        try:
            await self._streams.open(subscriber, cursor)
        except BridgeError as error:
            log.warning("stream.not_opened", errcode=error.errcode, error=error.message)
            self.hub.leave(subscriber)
        except ConnectionError:
            self.hub.leave(subscriber)
        except Exception:
            log.exception("stream.opening_failed")
            self.hub.leave(subscriber)

    def _left(self, subscriber: Subscriber) -> None:
        self.ends.left(subscriber)
        self.admission.left(subscriber.address)
        opening = self._opening.get(subscriber)
        if opening is not None:
            opening.cancel()
