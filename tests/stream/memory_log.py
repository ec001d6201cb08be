"""A log in memory, which reads as the one in PostgreSQL does."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from openmeet_bridge.bridge.log_view import Missed, Standing
from openmeet_bridge.core.cursor import SORT_KEY_STEP, order_text
from openmeet_bridge.core.entry import Entry, LogEntry, MembershipEffect, Person
from openmeet_bridge.core.ids import EventId, Mxid, Position, RoomId, TenantId

from .truth import Version


@dataclass(slots=True)
class _Row:
    event_id: EventId
    room_id: RoomId
    position: Position
    who: Mxid | None = None
    joined: bool = False
    effect: bool = False


class MemoryLog:
    """The log.

    Args:
        tenants: To which tenant each room belongs.
        head: The end of the log at the beginning.
    """

    def __init__(self, tenants: dict[RoomId, TenantId], head: Position) -> None:
        self.head = head
        self._tenants = tenants
        self._rows: list[_Row] = []
        self._since: dict[tuple[RoomId, Mxid], Position] = {}

    # Writing

    def append(self, room_id: RoomId, who: Mxid | None = None, *, joined: bool = False) -> None:
        """Append a message, or somebody's coming or going."""
        row = _Row(EventId(f"${self.head + 1}"), room_id, self._next(), who, joined)
        self._rows.append(row)
        if who is None or ((room_id, who) in self._since) == joined:
            return
        row.effect = True
        if joined:
            self._since[room_id, who] = row.position
        else:
            del self._since[room_id, who]

    def move(self, index: int) -> None:
        """Put an entry elsewhere in its timeline: streams must see it again.

        A coming or going stays where it took effect.
        """
        movable = [row for row in self._rows if not row.effect]
        if movable:
            movable[index % len(movable)].position = self._next()

    def overturn(self, room_id: RoomId, who: Mxid) -> None:
        """Find that somebody's last coming or going was overtaken by an earlier one."""
        comings = [
            row for row in self._rows if (row.room_id, row.who, row.joined) == (room_id, who, True)
        ]
        if not comings:
            return
        since = self._since.pop((room_id, who), None)
        (row,) = [one for one in comings if since in (None, one.position)][-1:]
        row.position, row.effect, row.joined = self._next(), True, since is None
        if since is None:
            self._since[room_id, who] = row.position

    def versions(self, after: Position) -> list[Version]:
        """Return what stands after a position."""
        return [
            Version(
                row.position, row.event_id, row.room_id, row.who if row.effect else None, row.joined
            )
            for row in self._after(after)
        ]

    def is_in(self, room_id: RoomId, who: Mxid) -> bool:
        """Whether somebody is in a room."""
        return (room_id, who) in self._since

    # Reading

    async def standing(self, tenant: TenantId, mxid: Mxid) -> Standing:
        """Return in which rooms somebody is now."""
        rooms = {room for room, who in self._since if who == mxid and self._tenants[room] == tenant}
        return Standing(self.head, frozenset(rooms))

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
        found = []
        for row in self._after(after):
            since = self._since.get((row.room_id, mxid))
            readable = since is not None and row.position >= since
            readable = readable and (wanted is None or row.room_id in wanted)
            own = row.effect and row.who == mxid
            if self._tenants[row.room_id] == tenant and row.position <= up_to and (readable or own):
                found.append((self._entry(row), readable))
        return found[:limit]

    async def after(self, position: Position, limit: int) -> tuple[list[LogEntry], Position]:
        """Return entries after a position, and up to where that is everything there is."""
        found = [self._entry(row) for row in self._after(position)][:limit]
        return found, found[-1].position if len(found) == limit else self.head

    def _after(self, position: Position) -> list[_Row]:
        found = [row for row in self._rows if row.position > position]
        return sorted(found, key=lambda row: row.position)

    def _next(self) -> Position:
        self.head = Position(self.head + 1)
        return self.head

    def _entry(self, row: _Row) -> LogEntry:
        sender = Person(Mxid("@someone:test"), "Someone", None, None)
        entry = Entry(
            row.event_id,
            row.room_id,
            order_text(row.position * SORT_KEY_STEP),
            row.position,
            "m.room.message" if row.who is None else "m.room.member",
            "text" if row.who is None else "member",
            sender,
            0,
            "hi",
            state_key=row.who,
        )
        effect = None
        if row.effect and row.who is not None:
            user = Person(row.who, "Somebody", None, None)
            membership = "join" if row.joined else "leave"
            effect = MembershipEffect(user, row.joined, membership, False, None, "group", "Room")
        return LogEntry(row.position, self._tenants[row.room_id], entry, effect)
