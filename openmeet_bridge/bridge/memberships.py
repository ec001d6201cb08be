"""Memberships while a batch goes into the log: who is in, and what each event changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..core.events import MEMBER, MEMBER_CONTENT, UNREADABLE, Event, member_content
from ..core.ids import Mxid, Position, RoomId
from ..storage import event_log, rooms
from ..storage.database import Connection
from ..storage.rooms import Member

CAME, WENT, STAYED = 1, -1, 0


class Memberships:
    """The memberships that a batch touches.

    ``changed`` holds what must be written. An event counts only where it is newer, in the order
    of the timeline, than what is known already: a member event that is repaired late changes
    nothing that happened after it.
    """

    def __init__(self) -> None:
        self.changed: dict[tuple[RoomId, Mxid], Member] = {}
        self._present: dict[tuple[RoomId, Mxid], Member] = {}
        self._settled: set[RoomId] = set()

    @property
    def rooms(self) -> set[RoomId]:
        """The rooms whose members the batch has changed."""
        return {room_id for room_id, _ in self.changed} | self._settled

    async def load(self, connection: Connection, events: Sequence[Event]) -> None:
        """Read the memberships that these events may change."""
        pairs = {
            (event.room_id, Mxid(event.state_key or "")) for event in events if _is_member(event)
        }
        if pairs:
            self._present.update(await rooms.members(connection, list(pairs)))

    def apply(self, event: Event, position: Position, sort_key: int) -> int:
        """Apply an event; return whether somebody came in (1), went out (-1) or neither (0)."""
        if not _is_member(event):
            return STAYED
        try:
            content = member_content(event)
        except UNREADABLE:
            return STAYED
        key = (event.room_id, Mxid(event.state_key or ""))
        old = self._present.get(key)
        if old is not None and old.sort_key > sort_key:
            return STAYED
        effect = (content.membership == "join") - (old is not None and old.membership == "join")
        since = position if old is None or old.membership != content.membership else old.since
        since_key = sort_key if since == position or old is None else old.since_key
        new = Member(
            *key, content.membership, content.name, content.avatar, since, since_key, sort_key
        )
        self._present[key] = self.changed[key] = new
        return effect

    async def settle_moved(
        self,
        connection: Connection,
        moved: Iterable[tuple[RoomId, str, str]],
        position: Position,
    ) -> Position:
        """Make state anew for which events changed places; return the last position used."""
        by_room: dict[RoomId, list[tuple[str, str]]] = {}
        for room_id, event_type, state_key in moved:
            by_room.setdefault(room_id, []).append((event_type, state_key))
        for room_id, keys in by_room.items():
            await rooms.rebuild_state(connection, room_id, keys)
            for event_type, state_key in keys:
                if event_type == MEMBER:
                    member = (room_id, Mxid(state_key))
                    position = await self._rebuild(connection, member, position)
        return position

    async def _rebuild(
        self, connection: Connection, key: tuple[RoomId, Mxid], position: Position
    ) -> Position:
        room_id, mxid = key
        newest = await event_log.newest_state(connection, room_id, MEMBER, mxid)
        old = (await rooms.members(connection, [key])).get(key)
        if newest is None or old is None:
            return position
        try:
            content = MEMBER_CONTENT.decode(newest.content)
        except UNREADABLE:
            return position
        effect = (content.membership == "join") - (old.membership == "join")
        since, since_key = old.since, old.since_key
        if effect:
            position = since = Position(position + 1)
            since_key = newest.sort_key
            # Streams must act on it now. That somebody is out is said by the entry that wrongly
            # brought them in: an entry by which somebody went must never leave its position.
            said_by = newest.event_id if effect > 0 else None
            said_by = said_by or await event_log.coming(connection, room_id, mxid)
            if said_by is not None:
                await event_log.take_effect(connection, said_by, position, effect)
        row = Member(
            *key,
            content.membership,
            content.name,
            content.avatar,
            since,
            since_key,
            newest.sort_key,
        )
        await rooms.save_members(connection, [row])
        self._settled.add(room_id)
        return position


def _is_member(event: Event) -> bool:
    return event.type == MEMBER and event.state_key is not None
