"""What every kind of stream over HTTP has in common: who is let in, for how long, and the end.

The hub writes to the connection's transport directly, with bytes that all readers share. aiohttp
speaks the beginning (headers, upgrade) and listens; the handler only waits for the end.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from ..bridge.streams import Streams
from ..core.errors import LimitExceeded
from ..stream.frames import Wire
from ..stream.hub import Hub
from ..stream.reasons import CloseReason
from ..stream.subscriber import Sink as AnySink
from ..stream.subscriber import Subscriber
from .sessions import Session

LINGER = 5.0
"""Seconds for a reader that does not read to read why its stream has ended."""

_RETRY_MS = 2000
_HIGH_WATER = 64 * 1024
_DRAIN_POLL = 0.02
_SSE_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    # nginx holds a response back until a buffer is full, unless told so.
    "X-Accel-Buffering": "no",
}


class Sink:
    """The transport of a stream."""

    __slots__ = ("_transport",)

    def __init__(self, request: web.Request) -> None:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client has gone already")
        self._transport = transport

    def write(self, data: bytes) -> None:
        """Hand bytes to the transport; after its end they vanish."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def buffered(self) -> int:
        """Return how many bytes the socket has not taken yet."""
        return self._transport.get_write_buffer_size()

    async def drain(self) -> None:
        """Wait until the socket has taken most of what was written.

        Raises:
            ConnectionResetError: The reader has gone.
        """
        while self.buffered() > _HIGH_WATER:  # noqa: ASYNC110  (a transport has no event for it)
            await asyncio.sleep(_DRAIN_POLL)
        if self._transport.is_closing():
            raise ConnectionResetError("the client has gone")

    def abort_later(self, reason: CloseReason | None) -> None:
        """Give a reader that does not read a last chance to read why, and no more than that."""
        if reason is not None:
            asyncio.get_running_loop().call_later(LINGER, self._transport.abort)


class OpenStreams:
    """Opens streams for those who may have one, and stays with them to their end.

    Args:
        streams: Brings a stream to the present.
        hub: Delivers to it.
        max_streams: Open streams in all.
        max_per_user: Open streams of one user.
        now: Seconds since the epoch.
    """

    def __init__(
        self,
        streams: Streams,
        hub: Hub,
        *,
        max_streams: int,
        max_per_user: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.hub = hub
        self._streams = streams
        self._max_streams = max_streams
        self._max_per_user = max_per_user
        self._now = now

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

    @asynccontextmanager
    async def subscribed(
        self, caller: Session, sink: AnySink, wire: Wire
    ) -> AsyncIterator[Subscriber]:
        """Have a stream in the hub for the length of the block."""
        subscriber = Subscriber(caller.tenant_id, caller.person, sink, wire)
        self.hub.enter(subscriber)
        try:
            yield subscriber
        finally:
            self.hub.leave(subscriber)

    async def run(self, subscriber: Subscriber, cursor: str | None, caller: Session) -> None:
        """Open a stream and stay until it ends or its token does.

        Raises:
            Unavailable: The database is away.
        """
        opening = asyncio.create_task(self._streams.open(subscriber, cursor))
        closed = asyncio.create_task(subscriber.closed.wait())
        remaining = max(0.0, caller.expires_at_ms / 1000 - self._now())
        try:
            async with asyncio.timeout(remaining):
                await asyncio.wait({opening, closed}, return_when=asyncio.FIRST_COMPLETED)
                if opening.done():
                    opening.result()
                await closed
        except TimeoutError:
            self.hub.close(subscriber, CloseReason.TOKEN_EXPIRED)
        finally:
            for task in (opening, closed):
                task.cancel()
            await asyncio.gather(opening, closed, return_exceptions=True)

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
            Unavailable: The database is away.
        """
        self.admit(caller)
        response = web.StreamResponse(headers=_SSE_HEADERS)
        response.enable_chunked_encoding()
        response.force_close()  # the connection ends with the stream, and not with its reader
        await response.prepare(request)
        sink = Sink(request)
        opening = b"retry: %d\n\n" % _RETRY_MS
        sink.write(b"%x\r\n%b\r\n" % (len(opening), opening))
        async with self.subscribed(caller, sink, wire) as subscriber:
            await self.run(subscriber, request.headers.get("Last-Event-ID") or cursor, caller)
        sink.abort_later(subscriber.reason)
        return response
