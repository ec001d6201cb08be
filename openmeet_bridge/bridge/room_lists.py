"""Room lists: which rooms somebody is in, and what each shows of itself."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..core.cursor import Cursor
from ..core.entry import Entry
from ..core.errors import NotFound
from ..core.ids import Mxid, Position, RoomId, TenantId
from ..core.naming import Naming
from ..core.permissions import Permissions, PowerLevels
from ..storage import event_log, last_messages, room_list, rooms, unread
from ..storage.database import Connection, Database
from ..storage.room_list import ListedRoom, RoomPerson
from ..storage.unread import Unread
from . import reading, showing
from .powers import Powers, levels_in

Place = tuple[int, Position]
"""Sort key and position of a message."""


class ListedWithLast(msgspec.Struct, frozen=True, gc=False):
    """A room of somebody's list, with its newest message and what they may do in it."""

    room: ListedRoom
    unread: Unread
    last: Entry | None
    permissions: Permissions


class RoomLists:
    """Reads for people which rooms they are in.

    Args:
        database: The log and what was made of it.
        naming: Knows the bot, which is in every room and shown in none.
    """

    def __init__(self, database: Database, naming: Naming) -> None:
        self._database = database
        self._naming = naming
        self._powers = Powers()

    async def rooms(self, tenant: TenantId, mxid: Mxid) -> tuple[list[ListedWithLast], Cursor]:
        """Return the rooms in which somebody is, and the place in the log where that was true."""
        async with self._database.snapshot() as connection:
            head = await event_log.head(connection)
            listed = await room_list.rooms_of(connection, tenant, mxid)
            result = await _with_last(connection, self._powers, tenant, mxid, listed)
        result.sort(key=lambda one: one.last.timestamp if one.last else 0, reverse=True)
        return result, Cursor(head.epoch, head.position)

    async def by_name(self, tenant: TenantId, mxid: Mxid) -> list[ListedRoom]:
        """Return the rooms in which somebody is, by name, and nothing of what was said in them."""
        async with self._database.snapshot() as connection:
            listed = await room_list.rooms_of(connection, tenant, mxid)
        return sorted(listed, key=lambda one: (one.name, one.room_id))

    async def room(self, tenant: TenantId, mxid: Mxid, room_id: RoomId) -> ListedWithLast:
        """Return one room.

        Raises:
            NotFound: They are in no such room.
        """
        async with self._database.snapshot() as connection:
            listed = await room_list.rooms_of(connection, tenant, mxid, room_id)
            if not listed:
                raise NotFound("You are in no such room.")
            return (await _with_last(connection, self._powers, tenant, mxid, listed))[0]

    async def members(
        self, tenant: TenantId, mxid: Mxid, room_id: RoomId
    ) -> tuple[list[RoomPerson], PowerLevels]:
        """Return who is in a room, and the room's power levels.

        Raises:
            NotFound: They are in no such room.
        """
        async with self._database.connection() as connection:
            if not await rooms.is_joined(connection, tenant, room_id, mxid):
                raise NotFound("You are in no such room.")
            people = await room_list.people(connection, tenant, room_id, self._naming.bot)
            return people, await levels_in(connection, room_id)


async def _with_last(
    connection: Connection,
    powers: Powers,
    tenant: TenantId,
    mxid: Mxid,
    listed: Sequence[ListedRoom],
) -> list[ListedWithLast]:
    counts = await unread.of(connection, mxid, {room.room_id: room.since_key for room in listed})
    levels = await powers.of(connection, [room.room_id for room in listed])
    places = {one.room_id: one.last for one in counts.values() if one.last is not None}
    restricted = [one.room_id for one in listed if not one.open and one.room_id in places]
    if restricted:
        places = await _readable(connection, mxid, places, restricted)
    positions = [position for _, position in places.values()]
    found = await last_messages.at(connection, tenant, positions)
    shown = await showing.entries(connection, list(found.values()))
    last = {entry.room_id: entry for entry in shown}
    return [
        ListedWithLast(
            room,
            counts[room.room_id],
            last.get(room.room_id),
            levels[room.room_id].permissions(mxid),
        )
        for room in listed
    ]


async def _readable(
    connection: Connection, mxid: Mxid, places: dict[RoomId, Place], restricted: Sequence[RoomId]
) -> dict[RoomId, Place]:
    """Return where the newest messages stand that somebody may read.

    Whatever was said since they are in they may read. So only where nothing was, in a room that
    is not open to everybody, an older one has to be found.
    """
    parts = await reading.readable_of(connection, restricted, mxid)
    closed = {one: part for one, part in parts.items() if places[one][0] not in part}
    if not closed:
        return places
    ends = {
        one: max((last for _, last in part.spans if last < places[one][0]), default=None)
        for one, part in closed.items()
    }
    highest = [(one, end) for one, end in ends.items() if end is not None]
    older = await room_list.newest_below(connection, highest)
    return {one: place for one, place in places.items() if one not in closed} | {
        one: place for one, place in older.items() if place[0] in closed[one]
    }
