"""A piece of a room's history on its way into the log, below all that the log has.

What is older than the log is nobody's news. It gets positions below zero, so that no stream ever
replays or delivers it, nothing is unread by it and nobody is told of it; and places below the
room's lowest, in true order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from msgspec import Raw, structs

from ..core.cursor import SORT_KEY_STEP
from ..core.events import (
    KEPT_STATE,
    MEMBER,
    REDACTION,
    Event,
    is_soft_failed,
)
from ..core.ids import EventId, Mxid, Position, RoomId
from ..storage import erasure, event_log, history, room_summaries, rooms, visibility
from ..storage.database import Connection
from ..storage.event_log import Found, Row
from ..storage.history import Depths
from .memberships import Memberships
from .relating import Relating

HISTORY = "history"


async def keep(
    connection: Connection, room_id: RoomId, piece: Sequence[Event], bot: Mxid, began: int
) -> int:
    """Put a piece of a room's history below all that the log has of it.

    Args:
        connection: A transaction.
        room_id: The room.
        piece: Events in true order, the oldest first, just older than what is there.
        bot: Is in the room, and is not counted.
        began: Sort key from which on the log had the room by itself.

    Returns:
        How many of them were new.
    """
    end = await event_log.lock(connection)
    unique = {event.event_id: event for event in piece if not is_soft_failed(event)}
    found = await event_log.look_up(connection, [(one, room_id) for one in unique])
    new = [event for event_id, event in unique.items() if not found[event_id].known]
    if new:
        found |= await _forgotten(connection, new, found)
        depths = await history.depths(connection, room_id)
        await _Piece(room_id, depths, bot, began).write(connection, new, found, end)
    return len(new)


async def _forgotten(
    connection: Connection, events: Sequence[Event], found: Mapping[EventId, Found]
) -> dict[EventId, Found]:
    """Return of what people said who are erased that it is redacted: it is not kept again."""
    gone = await erasure.erased(connection, sorted({_about(event) for event in events}))
    return {
        event.event_id: replace(found[event.event_id], redaction=event.event_id)
        for event in events
        if _about(event) in gone
        and event.type != REDACTION
        and (event.type == MEMBER or event.state_key is None)
    }


def _about(event: Event) -> Mxid:
    """Return whom an event says something of: the member, or else who has sent it."""
    return Mxid(event.state_key) if event.type == MEMBER and event.state_key else event.sender


class _Piece:
    def __init__(self, room_id: RoomId, depths: Depths, bot: Mxid, began: int) -> None:
        self._room_id = room_id
        self._bot = bot
        self._began = began
        self._floor = 0 if depths.sort_key is None else depths.sort_key
        self._depth = depths.position
        self._members = Memberships()
        self._relating = Relating()
        self._state: dict[tuple[str, str], rooms.State] = {}

    async def write(
        self,
        connection: Connection,
        events: Sequence[Event],
        found: Mapping[EventId, Found],
        end: Position,
    ) -> None:
        await self._members.load(connection, events)
        await self._relating.load(connection, events)
        rows = [
            self._row(event, found[event.event_id], len(events) - number)
            for number, event in enumerate(events)
        ]
        await event_log.insert(connection, rows, end)
        await self._relating.write(connection)
        await self._save_state(connection)
        await room_summaries.renew_messages(connection, [self._room_id])
        await visibility.note(connection, [self._room_id])

    async def _save_state(self, connection: Connection) -> None:
        # Older than what is known, it says only of what nothing is known how that is now.
        if self._state:
            await rooms.save_state(connection, list(self._state.values()))
        if self._members.changed:
            # What they have not read begins where the log began.
            members = [
                replace(one, since_key=self._began) for one in self._members.changed.values()
            ]
            await rooms.save_members(connection, members)
            await room_summaries.renew_members(connection, [self._room_id], self._bot)

    def _row(self, event: Event, known: Found, below: int) -> Row:
        position = Position(self._depth - below)
        key = self._floor - below * SORT_KEY_STEP
        part = self._relating.add(event, position, known)
        self._members.apply(structs.replace(event, content=Raw(part.content)), position, key)
        # Nobody comes or goes by it now.
        row = part.row(event, known, position, key, effect=0, source=HISTORY)
        if row.state_key is not None and row.type in KEPT_STATE:
            state = rooms.State(
                row.room_id, row.type, row.state_key, row.sender, row.sort_key, row.content
            )
            self._state[row.type, row.state_key] = state
        return row
