"""Typing: who types in which room, never kept, never stuck.

Readers see one another type whether the homeserver is there or not: what somebody says here is
shown at once, and told to the homeserver besides. Its list then says the same again and changes
nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence

from ..core.entry import LogEntry, Person
from ..core.errors import NotFound
from ..core.ids import Mxid, RoomId, TenantId
from ..core.typists import Typists
from ..matrix.homeserver import Homeserver
from ..storage import room_list, rooms
from ..storage.database import Database
from ..stream import frames
from ..stream.frames import Frame
from ..stream.hub import Hub
from ..telemetry import EPHEMERAL_DROPPED
from .typing_notices import TypingNotices

SHOWN = 20
"""A frame names so many at most: those who began first."""

_ROOMS = 2000
_TICK = 1.0


class _Room:
    """A room in which somebody types, or did a moment ago."""

    __slots__ = ("names", "shown", "typists")

    def __init__(self) -> None:
        self.typists = Typists()
        self.names: dict[Mxid, Person] = {}
        self.shown: list[Person] = []


class Typing:
    """Passes typing notices on, both ways.

    Args:
        database: Who is in which room.
        homeserver: Gets the notices of ghosts.
        hub: Gets the notices of everybody.
        clock: Seconds, of a clock that never goes back.
    """

    def __init__(
        self,
        database: Database,
        homeserver: Homeserver,
        hub: Hub,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._hub = hub
        self._clock = clock
        self._rooms: dict[RoomId, _Room] = {}
        self.notices = TypingNotices(homeserver, clock)

    async def say(self, tenant: TenantId, room_id: RoomId, mxid: Mxid, typing: bool) -> None:
        """Say that a user types, or has stopped.

        Raises:
            NotFound: The user is in no such room.
            Unavailable: The database is away.
        """
        async with self._database.connection() as connection:
            if not await rooms.is_joined(connection, tenant, room_id, mxid):
                raise NotFound("You are in no such room.")
            known = await room_list.persons(connection, room_id, [mxid]) if typing else {}
        room = self._room(room_id) if typing else self._rooms.get(room_id)
        if room is None:
            return
        room.names |= known
        if not room.typists.say(mxid, typing, self._clock()):
            EPHEMERAL_DROPPED.labels("typing").inc()
            return
        self.notices.tell(room_id, mxid, typing)
        self._publish(room_id, room)

    async def heard(self, room_id: RoomId, mxids: Sequence[Mxid]) -> None:
        """Tell a room's readers who types in it, as the homeserver has it.

        Raises:
            Unavailable: The database is away.
        """
        if not self._hub.has_readers(room_id):
            if room_id in self._rooms:
                self._rooms[room_id].typists.unhear()
            return
        room = self._room(room_id) if mxids else self._rooms.get(room_id)
        if room is None:
            return
        room.typists.hear(mxids, self._clock())
        unnamed = [one for one in room.typists.at(self._clock()) if one not in room.names]
        if unnamed:
            async with self._database.connection() as connection:
                # Who is not in the room has no name there, and is not shown.
                room.names |= await room_list.persons(connection, room_id, unnamed)
        self._publish(room_id, room)

    def happened(self, batch: Sequence[LogEntry]) -> None:
        """End the typing of those who have sent their message, or have gone."""
        for logged in batch:
            entry, effect = logged.entry, logged.effect
            if entry.room_id not in self._rooms:
                continue
            if effect is not None and not effect.joined:
                self.end(entry.room_id, effect.user.mxid)
            elif entry.state_key is None and not logged.changed:
                self.end(entry.room_id, entry.sender.mxid)

    def end(self, room_id: RoomId, mxid: Mxid) -> None:
        """End somebody's typing in a room at once."""
        room = self._rooms.get(room_id)
        if room is None:
            return
        if room.typists.end(mxid, self._clock()):
            self.notices.tell(room_id, mxid, False)
        self._publish(room_id, room)

    def end_all(self, mxid: Mxid) -> None:
        """End somebody's typing everywhere."""
        for room_id in list(self._rooms):
            self.end(room_id, mxid)

    def now_in(self, room_ids: Collection[RoomId]) -> list[Frame]:
        """Return who types in these rooms, for a reader who comes: rooms where nobody does not."""
        return [
            frames.typing(room_id, room.shown)
            for room_id, room in self._rooms.items()
            if room.shown and room_id in room_ids
        ]

    async def run(self) -> None:
        """End for ever what nobody has ended."""
        while True:
            await asyncio.sleep(_TICK)
            self.expire()

    def expire(self) -> None:
        """End the typing of those who have not been heard of for too long."""
        now = self._clock()
        for room_id, room in list(self._rooms.items()):
            kept = room.typists.forget(now)
            self._publish(room_id, room)
            if not kept:
                del self._rooms[room_id]

    def _room(self, room_id: RoomId) -> _Room | None:
        if room_id not in self._rooms:
            if len(self._rooms) >= _ROOMS:
                EPHEMERAL_DROPPED.labels("typing").inc()
                return None
            self._rooms[room_id] = _Room()
        return self._rooms[room_id]

    def _publish(self, room_id: RoomId, room: _Room) -> None:
        """Tell the readers who types, if that is news."""
        typing = [room.names[one] for one in room.typists.at(self._clock()) if one in room.names]
        shown = typing[:SHOWN]
        room.names = {person.mxid: person for person in typing}
        if shown != room.shown:
            room.shown = shown
            self._hub.to_room(room_id, frames.typing(room_id, shown))
