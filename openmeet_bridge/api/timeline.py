"""Web API v1: pages of a room's timeline."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from ..bridge.pages import Place
from ..bridge.timeline import Timeline
from ..core.entry import Entry, Receipt
from ..core.errors import InvalidParam, NotFound, Unavailable
from ..core.ids import EventId, RoomId
from .endpoint import Call, Endpoints
from .room_paths import RoomPath
from .sessions import Session

ENDPOINTS = Endpoints(tag="Rooms and messages")


class TimelineQuery(msgspec.Struct):
    """Which part of a timeline. At most one of `before`, `after`, `around` and `at`."""

    limit: Annotated[int, Meta(ge=1)] = 50
    before: str | None = None
    after: str | None = None
    around: str | None = None
    at: Annotated[int, Meta(ge=0, lt=1 << 53)] | None = None


class TimelinePage(msgspec.Struct):
    """A piece of a room's timeline, oldest entry first, and how far everybody has read."""

    entries: list[Entry]
    has_before: bool
    has_after: bool
    receipts: list[Receipt]


class Timelines:
    """The handlers of timelines.

    Args:
        timeline: Reads rooms.
    """

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    @ENDPOINTS.get("/api/v1/rooms/{room_id}/timeline", errors=(NotFound, InvalidParam, Unavailable))
    async def timeline(self, call: Call[Session, RoomPath, TimelineQuery, None]) -> TimelinePage:
        """A page of a room's timeline.

        Without a place: the end of it. With `before` or `after`: next to the entry of that order.
        With `around`: half a page on each side of an entry. With `at`, a time in milliseconds:
        half a page on each side of the first entry of that time or later. `limit` is cut to the
        server's own.

        Entries that the caller may not read are left out, and `has_before` and `has_after` say
        nothing of them. What is older than the bridge is fetched from the homeserver: a page may
        then have fewer entries than there are, or none, with `has_before` true; ask again.
        """
        caller, query = call.caller, call.query
        around = None if query.around is None else EventId(query.around)
        page = await self._timeline.page(
            caller.tenant_id,
            caller.mxid,
            RoomId(call.path.room_id),
            Place(query.before, query.after, around, query.at),
            limit=query.limit,
        )
        return TimelinePage(page.entries, page.has_before, page.has_after, page.receipts)
