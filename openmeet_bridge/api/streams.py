"""Streams: server-sent events and WebSocket, the same frames on both."""

from __future__ import annotations

import msgspec
from aiohttp import web

from ..core.errors import LimitExceeded
from ..stream.frames import FRAME_TYPES, SSE, WS
from ..stream.ws_handshake import UpgradeRefused, UpgradeRequired
from .endpoint import Call, Endpoints
from .open_streams import OpenStreams
from .sessions import Session
from .ws_stream import open_websocket

ENDPOINTS = Endpoints(tag="Streams", auth="stream")


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
        "/api/v1/ws",
        produces="application/json",
        frames=FRAME_TYPES,
        errors=(LimitExceeded, UpgradeRefused, UpgradeRequired),
    )
    async def ws(self, call: Call[Session, None, StreamQuery, None]) -> web.StreamResponse:
        """Everything that happens in my rooms, as WebSocket messages.

        Each message is `{"type": …, "cursor": …, "data": …}`. Nothing needs to be sent; what is
        sent is ignored.
        """
        return await open_websocket(
            self._streams, call.request, call.caller, call.query.cursor, WS
        )
