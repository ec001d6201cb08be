"""Web API v1: what the caller has read."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from ..bridge.receipts import Receipts
from ..core.errors import NotFound
from ..core.ids import EventId, RoomId
from .endpoint import Call, Endpoints
from .room_paths import ID, RoomPath
from .sessions import Session

ENDPOINTS = Endpoints(tag="Rooms and messages")


class ReadUpTo(msgspec.Struct, forbid_unknown_fields=True):
    """The last event that was read."""

    event_id: ID


class ReadState:
    """The handlers of read marks.

    Args:
        receipts: Keeps read marks.
        now: Seconds since the epoch.
    """

    def __init__(self, receipts: Receipts, *, now: Callable[[], float] = time.time) -> None:
        self._receipts = receipts
        self._now = now

    @ENDPOINTS.post("/api/v1/rooms/{room_id}/read", errors=(NotFound,))
    async def read(self, call: Call[Session, RoomPath, None, ReadUpTo]) -> None:
        """Mark a room as read up to an event. A mark never moves back."""
        await self._receipts.mark(
            call.caller.tenant_id,
            RoomId(call.path.room_id),
            call.caller.mxid,
            EventId(call.body.event_id),
            int(self._now() * 1000),
        )
