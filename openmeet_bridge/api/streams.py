"""Streams: server-sent events and WebSocket, the same frames on both.

The hub writes to the connection's transport directly, with bytes that all readers share. aiohttp
speaks the beginning (headers, upgrade) and listens; the handler only waits for the end.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import structlog
from aiohttp import WSMsgType, web

from ..bridge.streams import Streams
from ..core.errors import LimitExceeded
from ..stream.frames import FRAME_TYPES, SSE, WS, Wire
from ..stream.hub import Hub
from ..stream.reasons import CloseReason
from ..stream.subscriber import Phase, Subscriber
from .endpoint import Call, Endpoints
from .sessions import Session

ENDPOINTS = Endpoints(tag="Streams", auth="stream")

log = structlog.get_logger(__name__)

_RETRY_MS = 2000
_HIGH_WATER = 64 * 1024
_DRAIN_POLL = 0.02
_LINGER = 5.0
_WS_MESSAGE = 4096
_SSE_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    # nginx holds a response back until a buffer is full, unless told so.
    "X-Accel-Buffering": "no",
}


class StreamQuery(msgspec.Struct):
    """Where to go on.

    `cursor` is the last one that was received (or the one of the room list); without it the
    stream begins now. `ticket` stands in for a token that cannot be sent as a header.
    """

    cursor: str | None = None
    ticket: str | None = None


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
            asyncio.get_running_loop().call_later(_LINGER, self._transport.abort)


class StreamsApi:
    """The handlers of the streams.

    Args:
        streams: Opens streams.
        hub: Delivers to them.
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
        self._streams = streams
        self._hub = hub
        self._max_streams = max_streams
        self._max_per_user = max_per_user
        self._now = now

    @ENDPOINTS.get(
        "/api/v1/stream",
        produces="text/event-stream",
        frames=FRAME_TYPES,
        headers={"Last-Event-ID": "The cursor to go on from; browsers send it by themselves."},
        errors=(LimitExceeded,),
    )
    async def sse(self, call: Call[Session, None, StreamQuery, None]) -> web.StreamResponse:
        """Everything that happens in my rooms, as server-sent events.

        Each event's name is the frame's type, its data one JSON object, its id the cursor to
        resume from.
        """
        self._admit(call.caller)
        response = web.StreamResponse(headers=_SSE_HEADERS)
        response.enable_chunked_encoding()
        response.force_close()  # the connection ends with the stream, and not with its reader
        await response.prepare(call.request)
        sink = Sink(call.request)
        opening = b"retry: %d\n\n" % _RETRY_MS
        sink.write(b"%x\r\n%b\r\n" % (len(opening), opening))
        cursor = call.request.headers.get("Last-Event-ID") or call.query.cursor
        async with self._subscribed(call.caller, sink, SSE) as subscriber:
            await self._run(subscriber, cursor, call.caller)
        sink.abort_later(subscriber.reason)
        return response

    @ENDPOINTS.get(
        "/api/v1/ws", produces="application/json", frames=FRAME_TYPES, errors=(LimitExceeded,)
    )
    async def ws(self, call: Call[Session, None, StreamQuery, None]) -> web.StreamResponse:
        """Everything that happens in my rooms, as WebSocket messages.

        Each message is `{"type": …, "cursor": …, "data": …}`. Nothing needs to be sent; what is
        sent is ignored.
        """
        self._admit(call.caller)
        # No compression: it would be done once for every reader.
        socket = web.WebSocketResponse(
            compress=False, max_msg_size=_WS_MESSAGE, autoping=True, timeout=_LINGER
        )
        await socket.prepare(call.request)
        sink = Sink(call.request)
        async with self._subscribed(call.caller, sink, WS) as subscriber:
            listening = asyncio.create_task(_listen(socket, subscriber, self._hub))
            try:
                await self._run(subscriber, call.query.cursor, call.caller)
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
        sink.abort_later(subscriber.reason)
        if subscriber.reason is not None and not socket.closed:
            await socket.close(code=subscriber.reason.ws_code, message=subscriber.reason.encode())
        return socket

    def _admit(self, caller: Session) -> None:
        if self._hub.closing or self._hub.count >= self._max_streams:
            raise LimitExceeded(
                "The bridge takes no more streams at the moment.",
                status=503,
                retry_after_ms=random.randint(2000, 10_000),  # noqa: S311  (spreads the return)
            )
        if self._hub.streams_of(caller.mxid) >= self._max_per_user:
            self._hub.close_oldest(caller.mxid, CloseReason.TOO_MANY_STREAMS)

    @asynccontextmanager
    async def _subscribed(
        self, caller: Session, sink: Sink, wire: Wire
    ) -> AsyncIterator[Subscriber]:
        subscriber = Subscriber(caller.tenant_id, caller.person, sink, wire)
        self._hub.enter(subscriber)
        try:
            yield subscriber
        finally:
            self._hub.leave(subscriber)

    async def _run(self, subscriber: Subscriber, cursor: str | None, caller: Session) -> None:
        """Open a stream and stay until it ends or its token does."""
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
            self._hub.close(subscriber, CloseReason.TOKEN_EXPIRED)
        finally:
            for task in (opening, closed):
                task.cancel()
            await asyncio.gather(opening, closed, return_exceptions=True)


async def _listen(socket: web.WebSocketResponse, subscriber: Subscriber, hub: Hub) -> None:
    """Answer pings, and notice when the reader goes."""
    async for message in socket:
        if message.type is WSMsgType.ERROR:
            break
    if subscriber.phase is not Phase.CLOSED:
        hub.leave(subscriber)
