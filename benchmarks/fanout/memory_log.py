"""A log that is kept in memory: the bridge's own is in PostgreSQL, and other servers keep none."""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from collections.abc import Collection
from typing import Any

import msgspec

from openmeet_bridge.bridge.log_view import Missed, Standing
from openmeet_bridge.core.cursor import SORT_KEY_STEP, order_text
from openmeet_bridge.core.directory import User
from openmeet_bridge.core.entry import Entry, LogEntry, Person
from openmeet_bridge.core.ids import EventId, Mxid, Position, RoomId, TenantId, UserSlug

from .. import world
from . import layout

KEPT = 8192
"""Entries, over all rooms and in each of them: more than anybody is behind."""

_AUTHOR = 1


class _Content(msgspec.Struct):
    body: str


class _Pushed(msgspec.Struct):
    """What is read of an event as a homeserver pushes it."""

    event_id: str
    origin_server_ts: int
    content: _Content


_decode = msgspec.json.Decoder(_Pushed).decode


class MemoryLog:
    """The log, and who is in which room: as :mod:`.layout` says.

    Attributes:
        head: Its end.
    """

    def __init__(self) -> None:
        self.head = Position(0)
        self._entries: deque[LogEntry] = deque(maxlen=KEPT)
        self._of_room: defaultdict[RoomId, deque[LogEntry]] = defaultdict(
            lambda: deque(maxlen=KEPT)
        )
        slug = world.slug(_AUTHOR)
        self._author = Person(world.mxid(_AUTHOR), "Reader 1", None, slug)
        self._room_ids: dict[int, RoomId] = {}

    def append(self, room: int, event: bytes) -> None:
        """Append an event.

        Args:
            room: Its room's number.
            event: The event as JSON.

        Raises:
            msgspec.DecodeError: It is none.
        """
        pushed = _decode(event)
        self.head = Position(self.head + 1)
        room_id = self._room_ids.get(room)
        if room_id is None:
            room_id = self._room_ids[room] = RoomId(layout.room_id(room))
        entry = Entry(
            EventId(pushed.event_id),
            room_id,
            order_text(self.head * SORT_KEY_STEP),
            self.head,
            "m.room.message",
            "text",
            self._author,
            pushed.origin_server_ts,
            pushed.content.body,
        )
        logged = LogEntry(self.head, world.TENANT, entry)
        self._entries.append(logged)
        self._of_room[room_id].append(logged)

    async def standing(self, tenant: TenantId, mxid: Mxid) -> Standing:
        """Return in which room somebody is, with an id of its own, as a database gives it."""
        room = layout.room_of(layout.reader_of(_number(mxid)))
        found = () if room is None else (RoomId(layout.room_id(room)),)
        return Standing(self.head, frozenset(found))

    async def missed(
        self,
        tenant: TenantId,
        mxid: Mxid,
        after: Position,
        up_to: Position,
        limit: int,
        wanted: Collection[RoomId] | None = None,
    ) -> list[Missed]:
        """Return what somebody missed between two positions, in log order."""
        standing = await self.standing(tenant, mxid)
        found = [
            (one, True)
            for room_id in standing.rooms
            if wanted is None or room_id in wanted
            for one in self._of_room[room_id]
            if after < one.position <= up_to
        ]
        return found[:limit]

    async def after(self, position: Position, limit: int) -> tuple[list[LogEntry], Position]:
        """Return entries after a position, and up to where that is everything there is."""
        behind = min(self.head - position, len(self._entries))
        first = len(self._entries) - behind
        found = list(itertools.islice(self._entries, first, first + min(behind, limit)))
        return found, found[-1].position if len(found) == limit else self.head


class MemoryIdentity:
    """Knows the users of :mod:`.layout`, and makes them anew each time, as a database does."""

    ticket_lifetime = 30.0

    async def user(
        self, tenant: TenantId, openmeet_id: int, slug: str | None, issued_at: float | None = None
    ) -> User | None:
        """Return the user whom a token names, or None."""
        if layout.room_of(layout.reader_of(openmeet_id)) is None:
            return None
        name = f"Reader {openmeet_id}"
        known = User(tenant, UserSlug(world.slug(openmeet_id)), openmeet_id, name, None)
        return known if slug in (None, known.slug) else None

    async def spend_ticket(self, secret: str) -> Any:
        """Return nobody: there are no tickets."""
        return None


def _number(mxid: Mxid) -> int:
    return int(mxid.partition("reader-")[2][:5])
