"""Streams: server-sent events and WebSocket, the same frames on both."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from ..core.errors import LimitExceeded
from ..stream.frames import FRAME_TYPES, SSE, WS, Wire
from ..stream.wires import SSE_GZIP
from ..stream.ws_handshake import UpgradeRefused, UpgradeRequired
from .asking import Visit
from .endpoint import Call, Endpoints
from .handover import HandedOver, HandedRequest
from .open_streams import OpenStreams
from .sessions import Session
from .subscriptions import Subscription, accepts_gzip, chosen_rooms, chosen_types, listed
from .ws_stream import open_websocket

ENDPOINTS = Endpoints(tag="Streams", auth="stream")

SSE_PATH: Final = "/api/v1/stream"
WS_PATH: Final = "/api/v1/ws"


class StreamQuery(msgspec.Struct):
    """Where to go on.

    `cursor` is the last one that was received (or the one of the room list); without it the
    stream begins now. `ticket` stands in for a token that cannot be sent as a header.
    """

    cursor: str | None = None
    ticket: str | None = None


class SubscribingQuery(StreamQuery):
    """Where to go on, and with what."""

    rooms: Annotated[
        list[str],
        Meta(description="Only what happens in these, listed with commas, and what is my own."),
    ] = []
    types: Annotated[
        list[str],
        Meta(description="Only these types of frames, and those about the stream itself."),
    ] = []
    data: Annotated[
        Literal["full", "low"],
        Meta(description="`low`: unless asked for, no typing, receipts, presence; compressed."),
    ] = "full"
    people: Annotated[
        Literal["full", "ref"],
        Meta(description="`ref`: who somebody is comes once, in `people`; then only their `mxid`."),
    ] = "full"

    def subscription(self, base: Wire) -> Subscription:
        """Return what is asked for.

        Raises:
            InvalidParam: There is no such room id or type, or there are too many.
        """
        rooms = chosen_rooms("query.rooms", listed(self.rooms))
        types = chosen_types("query.types", listed(self.types))
        return Subscription(base, rooms, types, self.data == "low", self.people == "ref")


class StreamsApi:
    """The handlers of the streams.

    Args:
        streams: Opens streams.
    """

    def __init__(self, streams: OpenStreams) -> None:
        self._streams = streams

    @ENDPOINTS.get(
        SSE_PATH,
        produces="text/event-stream",
        frames=FRAME_TYPES,
        headers={"Last-Event-ID": "The cursor to go on from; browsers send it by themselves."},
        errors=(LimitExceeded,),
    )
    async def sse(self, call: Call[Session, None, SubscribingQuery, None]) -> web.StreamResponse:
        """Everything that happens in my rooms, as server-sent events.

        Each event's name is the frame's type, its data one JSON object, its id the cursor to
        resume from.
        """
        visit = HandedRequest(call.request, self._streams.sockets)
        await open_sse(self._streams, visit, call.caller, call.query)
        return HandedOver(status=200)

    @ENDPOINTS.get(
        WS_PATH,
        produces="application/json",
        frames=FRAME_TYPES,
        errors=(LimitExceeded, UpgradeRefused, UpgradeRequired),
    )
    async def ws(self, call: Call[Session, None, SubscribingQuery, None]) -> web.StreamResponse:
        """Everything that happens in my rooms, as WebSocket messages.

        Each message is `{"type": …, "cursor": …, "data": …}`. Nothing needs to be sent; what can
        be sent changes what comes.
        """
        visit = HandedRequest(call.request, self._streams.sockets)
        await open_ws(self._streams, visit, call.caller, call.query)
        return HandedOver(status=101)


async def open_sse(
    streams: OpenStreams, visit: Visit, caller: Session, query: SubscribingQuery
) -> None:
    """Answer a visit with server-sent events; raises as :meth:`OpenStreams.server_sent` does."""
    packed = query.data == "low" and accepts_gzip(visit.asking)
    subscription = query.subscription(SSE_GZIP if packed else SSE)
    await streams.server_sent(visit, caller, query.cursor, subscription)


async def open_ws(
    streams: OpenStreams, visit: Visit, caller: Session, query: SubscribingQuery
) -> None:
    """Answer a visit with a WebSocket; raises as :func:`open_websocket` does."""
    await open_websocket(streams, visit, caller, query.cursor, query.subscription(WS))
