"""Pages of one room as the log has it: what one person may read of it, from one place on."""

from __future__ import annotations

from typing import NamedTuple

from ..core.cursor import parse_order
from ..core.errors import InvalidParam
from ..core.ids import EventId, RoomId, TenantId
from ..core.visibility import HIGHEST, LOWEST, Readable
from ..storage import lines
from ..storage.database import Connection
from ..storage.lines import Line


class Place(NamedTuple):
    """Where to read: next to the one thing that is given, else at the end.

    Attributes:
        before: Just before this order.
        after: Just after this order.
        around: On both sides of this entry.
        at: On both sides of the first entry of this time or later, in milliseconds.
    """

    before: str | None = None
    after: str | None = None
    around: EventId | None = None
    at: int | None = None

    def check(self) -> None:
        """See whether this is a place.

        Raises:
            InvalidParam: An order is none, or there is more than one place.
        """
        if sum(one is not None for one in self) > 1:
            raise InvalidParam(
                "Ask for one place: before, after, around or at.",
                fields={"query": "before, after, around and at exclude one another"},
            )
        for name in ("before", "after"):
            text = getattr(self, name)
            if text is not None:
                _key(name, text)


class Found(NamedTuple):
    """Lines, oldest first, and whether there are more that may be read on either side."""

    lines: list[Line]
    has_before: bool
    has_after: bool


class Pages:
    """Reads one room for one person.

    Args:
        connection: The database.
        tenant: Whose room.
        room_id: The room.
        part: What of it may be read.
    """

    def __init__(
        self, connection: Connection, tenant: TenantId, room_id: RoomId, part: Readable
    ) -> None:
        self._connection = connection
        self._room = tenant, room_id
        self._part = part

    async def read(self, place: Place, limit: int) -> Found | None:
        """Return a page; None where the entry to read around is not there for them."""
        if place.around is not None:
            key = await lines.key_of(self._connection, *self._room, place.around, line=True)
            if key is None or key not in self._part:
                return None
            return await self._around(key, limit)
        if place.at is not None:
            key = await lines.key_at(self._connection, *self._room, place.at)
            return await (self._before(None, limit) if key is None else self._around(key, limit))
        if place.after is not None:
            return await self._after(_key("after", place.after), limit)
        before = None if place.before is None else _key("before", place.before)
        return await self._before(before, limit)

    async def _before(self, key: int | None, limit: int) -> Found:
        """Read what is below a sort key, or the end. One more than asked says whether there is."""
        below = HIGHEST if key is None else key
        found = await lines.page_before(self._connection, *self._room, below, limit + 1, self._part)
        has_after = key is not None and await self._has_any(key, HIGHEST)
        return Found(found[-limit:], len(found) > limit, has_after)

    async def _after(self, key: int, limit: int) -> Found:
        found = await lines.page_after(self._connection, *self._room, key, limit + 1, self._part)
        return Found(found[:limit], await self._has_any(LOWEST, key), len(found) > limit)

    async def _around(self, key: int, limit: int) -> Found:
        older = await self._before(key + 1, max(1, (limit + 1) // 2))
        newer = await self._after(key, limit // 2)
        return Found([*older.lines, *newer.lines], older.has_before, newer.has_after)

    async def _has_any(self, low: int, high: int) -> bool:
        return await lines.has_any(self._connection, *self._room, low, high, self._part)


def _key(name: str, text: str) -> int:
    key = parse_order(text)
    if key is None:
        raise InvalidParam(
            f"{name} is not the order of an entry.", fields={f"query.{name}": "not an order"}
        )
    return key
