"""Server-sent events for OpenMeet's web app, named as Matrix names what happens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aiohttp import web

from ...core.errors import LimitExceeded
from ...stream.frames import Bye, Frame
from ...stream.reasons import CloseReason
from ...stream.web_app_frames import translated
from ..endpoint import Call, Endpoints
from ..handover import HandedOver, HandedRequest
from ..open_streams import OpenStreams
from ..sessions import Session
from ..streams import StreamQuery
from ..subscriptions import Subscription
from . import TAG

ENDPOINTS = Endpoints(tag=TAG, auth="web_app_stream")

_COMMENT = b":\n"
_STAY_AWAY_MS = 3_600_000


class WebAppSseWire:
    """Matrix events as server-sent events."""

    name = "web_app_sse"

    def join(self, frames: Sequence[Frame]) -> bytes:
        """Return the frames one after another; nothing for what the web app is not told."""
        return b"".join([self._written(frame) for frame in frames])

    def _written(self, frame: Frame) -> bytes:
        written = frame.other.get(self)
        if written is None:
            written = frame.other[self] = b"".join(_blocks(frame))
        return written


WEB_APP_SSE = WebAppSseWire()
_ALL = Subscription(WEB_APP_SSE)


class EventStream:
    """The handler of the web app's event stream.

    Args:
        streams: Opens streams.
    """

    def __init__(self, streams: OpenStreams) -> None:
        self._streams = streams

    @ENDPOINTS.get(
        "/api/matrix/events",
        produces="text/event-stream",
        headers={"Last-Event-ID": "The cursor to go on from; browsers send it by themselves."},
        errors=(LimitExceeded,),
    )
    async def events(self, call: Call[Session, None, StreamQuery, None]) -> web.StreamResponse:
        """Everything that happens in my rooms, as server-sent events named by their Matrix type.

        Each event's data is one JSON object, its id the cursor to resume from.
        """
        visit = HandedRequest(call.request, self._streams.sockets)
        await self._streams.server_sent(visit, call.caller, call.query.cursor, _ALL)
        return HandedOver(status=200)


def _blocks(frame: Frame) -> Iterator[bytes]:
    place = b"id: %b\n" % str(frame.cursor).encode() if frame.cursor else b""
    if isinstance(frame.source, Bye) and CloseReason(frame.source.reason).stay_away:
        # EventSource comes back whatever the reason, and would push out the stream that it was
        # ended for.
        yield b"retry: %d\n" % _STAY_AWAY_MS
    if frame.type == "heartbeat":
        yield _COMMENT
    events = translated(frame)
    for kind, data in events:
        yield b"event: %b\n%bdata: %b\n\n" % (kind.encode(), place, data)
    if place and not events:
        # Nothing to show, but a place to go on from: no event, and the id is kept all the same.
        yield place + b"\n"
