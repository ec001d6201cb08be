"""Streams: server-sent events and WebSocket, the same frames on both."""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import WSMsgType, web

from ..core.errors import LimitExceeded
from ..stream.frames import FRAME_TYPES, SSE, WS
from ..stream.hub import Hub
from ..stream.subscriber import Phase, Subscriber
from .endpoint import Call, Endpoints
from .open_streams import LINGER, OpenStreams, Sink
from .sessions import Session

ENDPOINTS = Endpoints(tag="Streams", auth="stream")

_WS_MESSAGE = 4096


class StreamQuery(msgspec.Struct):
    """Where to go on.

    `cursor` is the last one that was received (or the one of the room list); without it the
    stream begins now. `ticket` stands in for a token that cannot be sent as a header.
    """

    cursor: str | None = None
    ticket: str | None = None


class StreamsApi:
    """The handlers of the streams.

    Args:
        streams: Opens streams.
    """

    def __init__(self, streams: OpenStreams) -> None:
        self._streams = streams

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
        return await self._streams.server_sent(call.request, call.caller, call.query.cursor, SSE)

    @ENDPOINTS.get(
        "/api/v1/ws", produces="application/json", frames=FRAME_TYPES, errors=(LimitExceeded,)
    )
    async def ws(self, call: Call[Session, None, StreamQuery, None]) -> web.StreamResponse:
        """Everything that happens in my rooms, as WebSocket messages.

        Each message is `{"type": …, "cursor": …, "data": …}`. Nothing needs to be sent; what is
        sent is ignored.
        """
        self._streams.admit(call.caller)
        # No compression: it would be done once for every reader.
        socket = web.WebSocketResponse(
            compress=False, max_msg_size=_WS_MESSAGE, autoping=True, timeout=LINGER
        )
        await socket.prepare(call.request)
        sink = Sink(call.request)
        async with self._streams.subscribed(call.caller, sink, WS) as subscriber:
            listening = asyncio.create_task(_listen(socket, subscriber, self._streams.hub))
            try:
                await self._streams.run(subscriber, call.query.cursor, call.caller)
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
        sink.abort_later(subscriber.reason)
        if subscriber.reason is not None and not socket.closed:
            await socket.close(code=subscriber.reason.ws_code, message=subscriber.reason.encode())
        return socket


async def _listen(socket: web.WebSocketResponse, subscriber: Subscriber, hub: Hub) -> None:
    """Answer pings, and notice when the reader goes."""
    async for message in socket:
        if message.type is WSMsgType.ERROR:
            break
    if subscriber.phase is not Phase.CLOSED:
        hub.leave(subscriber)
