"""Timeline: what a person may read, now. Each call asks the log whether they are in the room."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.cursor import Cursor, order_text, parse_order
from ..core.entry import Entry, Receipt
from ..core.errors import InvalidParam, NotFound
from ..core.events import MESSAGE
from ..core.ids import EventId, Mxid, RoomId, TenantId
from ..core.naming import Naming
from ..core.permissions import PowerLevels, power_levels
from ..storage import event_log, lines, room_list, rooms
from ..storage.database import Connection, Database
from ..storage.lines import Line
from ..storage.room_list import ListedRoom, RoomPerson
from . import showing

_END = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class ListedWithLast:
    """A room of somebody's list, with its newest message."""

    room: ListedRoom
    last: Entry | None
    can_send: bool


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of a room's timeline, oldest first."""

    entries: list[Entry]
    has_before: bool
    has_after: bool
    receipts: list[Receipt]


class Timeline:
    """Reads rooms for people.

    Args:
        database: The log and what was made of it.
        naming: Knows the bot, which is in every room and shown in none.
        page_limit: Most entries of one page.
    """

    def __init__(self, database: Database, naming: Naming, *, page_limit: int = 200) -> None:
        self._database = database
        self._naming = naming
        self._page_limit = page_limit

    async def rooms(self, tenant: TenantId, mxid: Mxid) -> tuple[list[ListedWithLast], Cursor]:
        """Return the rooms in which somebody is, and the place in the log where that was true."""
        async with self._database.snapshot() as connection:
            head = await event_log.head(connection)
            listed = await room_list.rooms_of(connection, tenant, mxid, self._naming.bot)
            result = await self._with_last(connection, tenant, mxid, listed)
        result.sort(key=lambda one: one.last.timestamp if one.last else 0, reverse=True)
        return result, Cursor(head.epoch, head.position)

    async def room(self, tenant: TenantId, mxid: Mxid, room_id: RoomId) -> ListedWithLast:
        """Return one room.

        Raises:
            NotFound: They are in no such room.
        """
        async with self._database.connection() as connection:
            listed = await room_list.rooms_of(connection, tenant, mxid, self._naming.bot, room_id)
            if not listed:
                raise NotFound("You are in no such room.")
            return (await self._with_last(connection, tenant, mxid, listed))[0]

    async def members(
        self, tenant: TenantId, mxid: Mxid, room_id: RoomId
    ) -> tuple[list[RoomPerson], PowerLevels]:
        """Return who is in a room, and the room's power levels.

        Raises:
            NotFound: They are in no such room.
        """
        async with self._database.connection() as connection:
            await self._check(connection, tenant, room_id, mxid)
            people = await room_list.people(connection, tenant, room_id, self._naming.bot)
            levels = await rooms.state(connection, room_id, "m.room.power_levels")
        return people, power_levels(levels)

    async def page(
        self,
        tenant: TenantId,
        mxid: Mxid,
        room_id: RoomId,
        *,
        limit: int,
        before: str | None = None,
        after: str | None = None,
        around: EventId | None = None,
    ) -> Page:
        """Return a page of a room's timeline: its end, or next to an order, or around an event.

        Raises:
            InvalidParam: An order is none, or more than one place was asked for.
            NotFound: They are in no such room, or the event is not in it.
        """
        limit = max(1, min(limit, self._page_limit))
        if sum(place is not None for place in (before, after, around)) > 1:
            raise InvalidParam(
                "Ask for before, after or around, not for two of them.",
                fields={"query": "before, after and around exclude one another"},
            )
        async with self._database.connection() as connection:
            await self._check(connection, tenant, room_id, mxid)
            reader = _Reader(connection, tenant, room_id)
            if around is not None:
                page = await reader.around(around, limit)
            elif after is not None:
                page = await reader.after(_key("after", after), limit)
            else:
                page = await reader.before(
                    _END if before is None else _key("before", before), limit
                )
            found, has_before, has_after = page
            shown = await showing.entries(connection, found)
            receipts = await room_list.receipts(connection, tenant, room_id)
        marks = [
            Receipt(room_id, mark.person, mark.event_id, order_text(mark.sort_key), mark.timestamp)
            for mark in receipts
        ]
        return Page(shown, has_before, has_after, marks)

    async def _check(
        self, connection: Connection, tenant: TenantId, room_id: RoomId, mxid: Mxid
    ) -> None:
        if not await rooms.is_joined(connection, tenant, room_id, mxid):
            raise NotFound("You are in no such room.")

    async def _with_last(
        self, connection: Connection, tenant: TenantId, mxid: Mxid, listed: list[ListedRoom]
    ) -> list[ListedWithLast]:
        found = await lines.last_messages(connection, tenant, [room.room_id for room in listed])
        shown = await showing.entries(connection, list(found.values()))
        last = {entry.room_id: entry for entry in shown}
        return [
            ListedWithLast(
                room,
                last.get(room.room_id),
                power_levels(room.power_levels).may_send(mxid, MESSAGE),
            )
            for room in listed
        ]


class _Reader:
    """Pages of one room. Each reads one entry more than asked, to know whether there are more."""

    def __init__(self, connection: Connection, tenant: TenantId, room_id: RoomId) -> None:
        self._connection = connection
        self._place = tenant, room_id

    async def before(self, key: int, limit: int) -> tuple[list[Line], bool, bool]:
        found = await lines.page_before(self._connection, *self._place, key, limit + 1)
        return found[-limit:], len(found) > limit, key != _END

    async def after(self, key: int, limit: int) -> tuple[list[Line], bool, bool]:
        found = await lines.page_after(self._connection, *self._place, key, limit + 1)
        return found[:limit], True, len(found) > limit

    async def around(self, event_id: EventId, limit: int) -> tuple[list[Line], bool, bool]:
        key = await lines.sort_key_of(self._connection, *self._place, event_id)
        if key is None:
            raise NotFound("The room has no such event.", fields={"query.around": "unknown event"})
        older, has_before, _ = await self.before(key + 1, max(1, (limit + 1) // 2))
        newer, _, has_after = await self.after(key, limit // 2)
        return [*older, *newer], has_before, has_after


def _key(name: str, text: str) -> int:
    key = parse_order(text)
    if key is None:
        raise InvalidParam(
            f"{name} is not the order of an entry.", fields={f"query.{name}": "not an order"}
        )
    return key
