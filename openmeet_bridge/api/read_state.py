"""Web API v1: what the caller has read, and what others have."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from ..bridge.receipts import Receipts
from ..bridge.unread import UnreadState
from ..core.entry import Person
from ..core.errors import NotFound
from ..core.ids import EventId, RoomId
from .endpoint import Call, Endpoints
from .room_paths import ID, EntryPath, RoomPath
from .rooms import UnreadTotals, unread_totals
from .sessions import Session

ENDPOINTS = Endpoints(tag="Rooms and messages")


class ReadUpTo(msgspec.Struct, forbid_unknown_fields=True):
    """The last event that was read.

    With `private`, nobody else is told. So it always is for who has chosen that in their
    preferences.
    """

    event_id: ID
    private: bool = False


class UnreadMark(msgspec.Struct, forbid_unknown_fields=True):
    """Whether a room shall look unread until it is read next."""

    unread: bool


class Reader(msgspec.Struct):
    """Somebody who has read up to an entry, or further, and when they last said so (ms)."""

    user: Person
    timestamp: int


class Readers(msgspec.Struct):
    """Who has read an entry: those who let others know, the newest first, at most 500."""

    readers: list[Reader]


class ReadState:
    """The handlers of read marks.

    Args:
        receipts: Keeps read marks.
        unread: Counts what is unread.
        now: Seconds since the epoch.
    """

    def __init__(
        self, receipts: Receipts, unread: UnreadState, *, now: Callable[[], float] = time.time
    ) -> None:
        self._receipts = receipts
        self._unread = unread
        self._now = now

    @ENDPOINTS.get("/api/v1/unread")
    async def unread(self, call: Call[Session, None, None, None]) -> UnreadTotals:
        """How much I have not read, in all rooms."""
        found = await self._unread.totals(call.caller.tenant_id, call.caller.mxid)
        return unread_totals(found)

    @ENDPOINTS.post("/api/v1/rooms/{room_id}/read", errors=(NotFound,))
    async def read(self, call: Call[Session, RoomPath, None, ReadUpTo]) -> None:
        """Mark a room as read up to an event. A mark never moves back."""
        await self._receipts.mark(
            call.caller.actor(call.path.room_id),
            EventId(call.body.event_id),
            int(self._now() * 1000),
            private=call.body.private,
        )

    @ENDPOINTS.put("/api/v1/rooms/{room_id}/unread", errors=(NotFound,))
    async def mark_unread(self, call: Call[Session, RoomPath, None, UnreadMark]) -> None:
        """Mark a room as unread, until I read or write in it next; or take that back."""
        caller, room_id = call.caller, RoomId(call.path.room_id)
        await self._unread.mark(caller.tenant_id, room_id, caller.mxid, call.body.unread)

    @ENDPOINTS.get("/api/v1/rooms/{room_id}/entries/{event_id}/readers", errors=(NotFound,))
    async def readers(self, call: Call[Session, EntryPath, None, None]) -> Readers:
        """Who has read an entry; its sender is left out."""
        actor = call.caller.actor(call.path.room_id)
        found = await self._receipts.readers(actor, EventId(call.path.event_id))
        return Readers([Reader(person, timestamp) for person, timestamp in found])
