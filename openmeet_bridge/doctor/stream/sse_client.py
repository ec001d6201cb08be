"""Server-sent events: of the bridge's own API, and of OpenMeet's web app."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
import msgspec

from .client import Client
from .event_stream import COMMENT, Event, EventStream
from .reading import Reading, reading
from .target import STREAM, WEB_APP_EVENTS
from .trouble import Refused

SSE: Final = "sse"
WEB_APP: Final = "web_app_events"

KIND: Final = "text/event-stream"


@asynccontextmanager
async def sse(
    client: Client,
    *,
    path: str = STREAM,
    headers: Mapping[str, str] = {},
    params: Mapping[str, str] = {},
) -> AsyncIterator[Reading]:
    """Open a stream and read it for the length of the block.

    Raises:
        Refused: The answer is no stream.
        Trouble: There is no answer.
    """
    wire = WEB_APP if path == WEB_APP_EVENTS else SSE
    record = Reading(wire)
    own = {"Accept": KIND, **headers}
    async with client.opened("GET", path, headers=own, params=params) as answer:
        if answer.status != 200 or answer.content_type != KIND:
            raise Refused(answer.status, answer.headers, await client.body_of(answer))
        record.headers = answer.headers
        async with reading(record, lambda: _read(answer, record)):
            yield record


async def _read(answer: aiohttp.ClientResponse, record: Reading) -> str:
    stream = EventStream()
    while piece := await answer.content.readany():
        record.next_piece()
        take(stream, piece, record)
    return "the answer ended"


def take(stream: EventStream, piece: bytes, record: Reading) -> None:
    """Note what a piece of a stream completes.

    Raises:
        Broken: It is no event stream.
    """
    for event in stream.feed(piece):
        _note(event, record)


def _note(event: Event, record: Reading) -> None:
    if event.type == COMMENT:
        record.add(COMMENT, {})
        return
    try:
        record.add(event.type, msgspec.json.decode(event.data), event.id)
    except (msgspec.DecodeError, UnicodeEncodeError):
        record.flaws.append(f"the data of {event.type} is not JSON")
