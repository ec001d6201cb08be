"""Web API v1: a single entry of a timeline, its history and its reactions."""

from __future__ import annotations

import msgspec

from ..bridge.entries import Entries
from ..core.entry import Entry, Reaction
from ..core.errors import NotFound, Unavailable
from ..core.ids import EventId, Mxid, RoomId, TenantId
from .endpoint import Call, Endpoints
from .room_paths import EntryPath
from .sessions import Session

ENDPOINTS = Endpoints(tag="Rooms and messages")


class EntryVersion(msgspec.Struct, omit_defaults=True):
    """What a message said from some moment on, in milliseconds, as its sender's server claims."""

    event_id: EventId
    timestamp: int
    text: str
    html: str | None = None


class EntryVersions(msgspec.Struct):
    """What a message said, oldest first. Of what was deleted there is nothing."""

    versions: list[EntryVersion]


class EntryReactions(msgspec.Struct):
    """The reactions to an entry, the first key first, and with each up to 1000 people."""

    reactions: list[Reaction]


class EntriesApi:
    """The handlers of single entries.

    Args:
        entries: Reads them.
    """

    def __init__(self, entries: Entries) -> None:
        self._entries = entries

    @ENDPOINTS.get("/api/v1/rooms/{room_id}/entries/{event_id}", errors=(NotFound, Unavailable))
    async def entry(self, call: Call[Session, EntryPath, None, None]) -> Entry:
        """An entry of a room's timeline, as it is now."""
        return await self._entries.entry(*_place(call))

    @ENDPOINTS.get("/api/v1/rooms/{room_id}/entries/{event_id}/versions", errors=(NotFound,))
    async def versions(self, call: Call[Session, EntryPath, None, None]) -> EntryVersions:
        """What a message said before it was edited: the original and the newest edits, 100 in all.

        The last one is what it says now.
        """
        found = await self._entries.versions(*_place(call))
        return EntryVersions(
            [EntryVersion(one.event_id, one.timestamp, one.text, one.html) for one in found]
        )

    @ENDPOINTS.get("/api/v1/rooms/{room_id}/entries/{event_id}/reactions", errors=(NotFound,))
    async def reactions(self, call: Call[Session, EntryPath, None, None]) -> EntryReactions:
        """Everybody who reacted to an entry."""
        return EntryReactions(await self._entries.reactions(*_place(call)))


def _place(
    call: Call[Session, EntryPath, None, None],
) -> tuple[TenantId, Mxid, RoomId, EventId]:
    caller, path = call.caller, call.path
    return caller.tenant_id, caller.mxid, RoomId(path.room_id), EventId(path.event_id)
