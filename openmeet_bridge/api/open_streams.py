"""What every kind of stream over HTTP has in common: who is let in, for how long, and the end.

aiohttp reads the request; then the connection is taken from it, and the hub writes to it directly,
with bytes that all readers share. Until it ends, a stream has no task of its own.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import structlog
from aiohttp import web

from ..bridge.streams import Streams
from ..core.errors import BridgeError, LimitExceeded
from ..stream.deadlines import Deadlines
from ..stream.frames import Wire
from ..stream.hub import Hub
from ..stream.reasons import CloseReason
from ..stream.sockets import Socket, Sockets
from ..stream.subscriber import Sink, Subscriber
from .handover import answer_and_take, handed_over
from .sessions import Session

log = structlog.get_logger(__name__)

LINGER = 5.0
"""Seconds for a reader that does not read to read why its stream has ended."""

_RETRY_MS = 2000
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
        max_streams: Open streams in all.
        max_per_user: Open streams of one user.
        now: Seconds since the epoch.
    """

    def __init__(
        self,
        streams: Streams,
        hub: Hub,
        sockets: Sockets,
        *,
        max_streams: int,
        max_per_user: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.hub = hub
        self.sockets = sockets
        self._streams = streams
        self._max_streams = max_streams
        self._max_per_user = max_per_user
        self._now = now
        self._opening: dict[Subscriber, asyncio.Task[None]] = {}
        self._deadlines = Deadlines(self._expired)
        hub.left = self._left

    def admit(self, caller: Session) -> None:
        """Make room for one more stream of a user: the oldest goes where there are too many.

        Raises:
            LimitExceeded: There are too many streams in all, or the bridge is about to end.
        """
        if self.hub.closing or self.hub.count >= self._max_streams:
            raise LimitExceeded(
                "The bridge takes no more streams at the moment.",
                status=503,
                retry_after_ms=random.randint(2000, 10_000),  # noqa: S311  (spreads the return)
            )
        if self.hub.streams_of(caller.mxid) >= self._max_per_user:
            self.hub.close_oldest(caller.mxid, CloseReason.TOO_MANY_STREAMS)

    def subscriber(self, caller: Session, sink: Sink, wire: Wire) -> Subscriber:
        """Return a stream of a caller's that has not begun."""
        return Subscriber(caller.tenant_id, caller.person, sink, wire)

    def begin(self, subscriber: Subscriber, cursor: str | None, caller: Session) -> None:
        """Let a stream begin; it ends with its token at the latest."""
        self.hub.enter(subscriber)
        self._deadlines.set(subscriber, max(0.0, caller.expires_at_ms / 1000 - self._now()))
        opening = asyncio.create_task(self._open(subscriber, cursor))
        self._opening[subscriber] = opening
        opening.add_done_callback(lambda _: self._opening.pop(subscriber, None))

    async def server_sent(
        self, request: web.Request, caller: Session, cursor: str | None, wire: Wire
    ) -> web.StreamResponse:
        """Answer a request with a stream of server-sent events (HTML, "Server-sent events").

        Args:
            request: The request; its ``Last-Event-ID`` is newer than what its address says.
            caller: Who asks.
            cursor: Where to go on, from the address.
            wire: How the events are written.

        Raises:
            LimitExceeded: See :meth:`admit`.
        """
        self.admit(caller)
        socket = await answer_and_take(request, self.sockets, 200, _SSE_HEADERS)
        socket.write(b"retry: %d\n\n" % _RETRY_MS)
        subscriber = self.subscriber(caller, socket, wire)
        StreamSocket(self.hub, socket, subscriber)
        self.begin(subscriber, request.headers.get("Last-Event-ID") or cursor, caller)
        return handed_over(200)

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

    def _expired(self, subscriber: Subscriber) -> None:
        self.hub.close(subscriber, CloseReason.TOKEN_EXPIRED)

    def _left(self, subscriber: Subscriber) -> None:
        self._deadlines.clear(subscriber)
        opening = self._opening.get(subscriber)
        if opening is not None:
            opening.cancel()
