"""Typing: who types in which room, never kept, never stuck.

Readers see one another type whether the homeserver is there or not: what somebody says here is
shown at once, and told to the homeserver besides. Its list then says the same again and changes
nothing.

Where there are several processes, each that has readers in a room knows who types there: whoever
is told of it, by a client or by the homeserver, says it to the others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence

from ..core.entry import LogEntry, Person
from ..core.errors import NotFound
from ..core.ids import Mxid, RoomId, TenantId
from ..core.typists import MOST, Typists
from ..matrix.homeserver import Homeserver
from ..storage import room_list, rooms
from ..storage.database import Database
from ..stream import frames, signals
from ..stream.broadcast import Broadcast, in_parts
from ..stream.bus import EVERYBODY
from ..stream.frames import Frame
from ..stream.signals import Typed, TypingHeard, Typist, WhoTypes
from ..telemetry import EPHEMERAL_DROPPED
from .typing_notices import TypingNotices

SHOWN = 20
"""A frame names so many at most: those who began first."""

_ROOMS = 2000
_UNASKED = 20_000
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
        broadcast: Leads to the streams here, and to the other processes.
        clock: Seconds, of a clock that never goes back.
    """

    def __init__(
        self,
        database: Database,
        homeserver: Homeserver,
        broadcast: Broadcast,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._broadcast = broadcast
        self._hub = broadcast.hub
        self._clock = clock
        self._rooms: dict[RoomId, _Room] = {}
        self._unasked: dict[RoomId, None] = {}
        self.notices = TypingNotices(homeserver, clock)
        broadcast.first_reader = self._ask_later
        broadcast.on(Typed, self._typed_elsewhere)
        broadcast.on(TypingHeard, self._heard_elsewhere)
        broadcast.on(WhoTypes, self._answer)
        broadcast.on(signals.Typing, self._learn)

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
        if self._note(room_id, mxid, known.get(mxid), typing):
            alone = self._broadcast.alone
            if typing or not alone or room_id in self._rooms:
                self.notices.tell(room_id, mxid, typing, unknown=not alone)
            self._broadcast.say(
                room_id, Typed(room_id, mxid, known.get(mxid), typing), fleeting=True
            )

    def _note(self, room_id: RoomId, mxid: Mxid, person: Person | None, typing: bool) -> bool:
        """Note that somebody types, or has stopped; return False where there is no space for it."""
        room = self._room(room_id) if typing else self._rooms.get(room_id)
        if room is None:
            return not typing
        if person is not None:
            room.names[mxid] = person
        if not room.typists.say(mxid, typing, self._clock()):
            EPHEMERAL_DROPPED.labels("typing").inc()
            return False
        self._publish(room_id, room)
        return True

    async def heard(self, room_id: RoomId, mxids: Sequence[Mxid]) -> None:
        """Tell a room's readers who types in it, as the homeserver has it.

        Raises:
            Unavailable: The database is away.
        """
        if self._hub.has_readers(room_id):
            await self._hear(room_id, mxids)
        elif room_id in self._rooms:
            self._rooms[room_id].typists.unhear()
        if not self._broadcast.alone:
            people = await self._named(room_id, mxids[:MOST])
            self._broadcast.say(room_id, TypingHeard(room_id, tuple(people)), fleeting=True)

    async def _hear(self, room_id: RoomId, mxids: Sequence[Mxid]) -> None:
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

    async def _named(self, room_id: RoomId, mxids: Sequence[Mxid]) -> list[Person]:
        """Return those of these people who are in a room."""
        room = self._rooms.get(room_id)
        names = dict(room.names) if room is not None else {}
        unnamed = [one for one in mxids if one not in names]
        if unnamed:
            async with self._database.connection() as connection:
                names |= await room_list.persons(connection, room_id, unnamed)
        return [names[one] for one in mxids if one in names]

    # What other processes are told

    def _typed_elsewhere(self, said: Typed) -> None:
        if self._hub.has_readers(said.room_id) or said.room_id in self._rooms:
            self._note(said.room_id, said.mxid, said.person, said.typing)
        self.notices.forget(said.room_id, said.mxid)

    def _heard_elsewhere(self, said: TypingHeard) -> None:
        if not self._hub.has_readers(said.room_id):
            return
        room = self._room(said.room_id) if said.people else self._rooms.get(said.room_id)
        if room is not None:
            room.names |= {one.mxid: one for one in said.people}
            room.typists.hear([one.mxid for one in said.people], self._clock())
            self._publish(said.room_id, room)

    def _ask_later(self, room_id: RoomId) -> None:
        """Note that it is not known here who types in a room that has a reader now."""
        if len(self._unasked) >= _UNASKED:
            EPHEMERAL_DROPPED.labels("typing").inc()
            return
        self._unasked[room_id] = None

    def ask(self) -> None:
        """Ask the other processes who types where there are readers now and were none before."""
        unasked, self._unasked = self._unasked, {}
        for room_ids in in_parts([one for one in unasked if self._hub.has_readers(one)]):
            self._broadcast.say(
                EVERYBODY, WhoTypes(self._broadcast.origin, room_ids), fleeting=True
            )

    def _answer(self, asked: WhoTypes) -> None:
        now = self._clock()
        for room_id in asked.room_ids:
            room = self._rooms.get(room_id)
            if room is None or not room.shown:
                continue
            typists = tuple(
                Typist(room.names[mxid], here, seconds)
                for mxid, here, seconds in room.typists.standing(now)
                if mxid in room.names
            )
            self._broadcast.say(
                room_id, signals.Typing(asked.origin, room_id, typists), fleeting=True
            )

    def _learn(self, told: signals.Typing) -> None:
        if told.asked_by != self._broadcast.origin or not self._hub.has_readers(told.room_id):
            return
        room = self._room(told.room_id)
        if room is None:
            return
        for one in told.typists:
            room.names.setdefault(one.person.mxid, one.person)
            room.typists.learn(one.person.mxid, one.here, one.seconds, self._clock())
        self._publish(told.room_id, room)

    # What ends it

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
        """End for ever what nobody has ended, and ask for what is not known here."""
        while True:
            await asyncio.sleep(_TICK)
            self.ask()
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
