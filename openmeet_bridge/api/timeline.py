"""Web API v1: pages of a room's timeline."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from ..bridge.timeline import Timeline
from ..core.entry import Entry, Receipt
from ..core.errors import InvalidParam, NotFound
from ..core.ids import EventId, RoomId
from .endpoint import Call, Endpoints
from .room_paths import RoomPath
from .sessions import Session

ENDPOINTS = Endpoints(tag="Rooms and messages")


class TimelineQuery(msgspec.Struct):
    """Which part of a timeline. At most one of `before`, `after` and `around`."""

    limit: Annotated[int, Meta(ge=1)] = 50
    before: str | None = None
    after: str | None = None
    around: str | None = None


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

    @ENDPOINTS.get("/api/v1/rooms/{room_id}/timeline", errors=(NotFound, InvalidParam))
    async def timeline(self, call: Call[Session, RoomPath, TimelineQuery, None]) -> TimelinePage:
        """A page of a room's timeline.

        Without a place: the end of it. With `before` or `after`: next to the entry of that order.
        With `around`: half a page on each side of an event. `limit` is cut to the server's own.
        """
        caller, query = call.caller, call.query
        page = await self._timeline.page(
            caller.tenant_id,
            caller.mxid,
            RoomId(call.path.room_id),
            limit=query.limit,
            before=query.before,
            after=query.after,
            around=None if query.around is None else EventId(query.around),
        )
        return TimelinePage(page.entries, page.has_before, page.has_after, page.receipts)
