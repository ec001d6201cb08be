"""Presence: who is there, as our own streams say, and for people of Matrix as the homeserver says.

It is computed, never kept: after a restart nobody is there until their streams come back. Only
when somebody was last there is written, now and then.

Where there are several processes, each knows of everybody: it is told by the others of whom they
have streams, computes the same as they, and tells the streams that it has itself. When somebody
was there is written by the process that had their streams; where that has died, by all others, in
the same words.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

import structlog

from ..core.entry import LogEntry, Person
from ..core.errors import NotFound, Unavailable
from ..core.ids import Mxid, RoomId, TenantId
from ..core.presence import OFFLINE, Patience, State
from ..storage import presence, rooms
from ..storage.database import Connection, Database
from ..storage.presence import Audience
from ..stream.broadcast import Broadcast
from ..stream.bus import EVERYBODY
from ..stream.signals import PresenceChosen
from .matrix_presence import MatrixPresence
from .presence_frames import Change, PresenceFrames
from .presence_people import PresencePeople
from .presence_record import PresenceRecord

log = structlog.get_logger(__name__)

LISTED = 1000
"""So many people of a room are listed at most: those who are there, then the last ones seen."""

CHANGES = 200
"""So many people's changes are looked at in a second."""

_TICK = 1.0
_TICKS_OF_A_ROUND = 10
_ROUNDS_OF_A_RECORD = 30
_CHOSEN = 10_000


@dataclass(frozen=True, slots=True)
class Present:
    """How somebody of a room is there. ``last_seen`` is in milliseconds."""

    person: Person
    state: State
    last_seen: int | None


class Presence:
    """Knows who is there, and tells those who share a room with them.

    Args:
        database: Who is in which room, and when people were last there.
        broadcast: Leads to the streams that are open here, and to the other processes.
        from_matrix: Knows who of Matrix is there.
        bot: Is in every room, and no person.
        tenants: Whose people may see one another's presence.
        patience: When somebody is idle, and when gone.
        told: Called with somebody of OpenMeet and how they are there, as others may know it.
        clock: Seconds, of a clock that never goes back.
        wall: Seconds since the epoch.
    """

    def __init__(
        self,
        database: Database,
        broadcast: Broadcast,
        from_matrix: MatrixPresence,
        bot: Mxid,
        tenants: Collection[TenantId],
        patience: Patience,
        *,
        told: Callable[[Mxid, State], None] = lambda _mxid, _state: None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._broadcast = broadcast
        self._hub = broadcast.hub
        self._from_matrix = from_matrix
        self._bot = bot
        self._tenants = tenants
        self._told = told
        self._clock = clock
        self._wall = wall
        self._frames = PresenceFrames(database, self._hub, tenants)
        self._record = PresenceRecord(database, clock)
        self._people = PresencePeople(broadcast, tenants, patience, clock)
        # Of these it is looked whether they are there as readers were told last.
        self._doubtful = self._people.doubtful
        self._chosen: dict[Mxid, None] = {}
        self._shown: dict[Mxid, State] = {}  # who is not in here is offline for all
        self._publishing = asyncio.Lock()
        self._round: list[Mxid] = []
        self._rounds = 0
        broadcast.on(PresenceChosen, self._choice_heard)

    # What is heard

    def moved(self, mxid: Mxid) -> None:
        """Note that somebody has a stream more or less."""
        self._people.moved(mxid)

    def say(self, mxid: Mxid, *, active: bool) -> None:
        """Note what one of a person's clients says. Without an open stream it says nothing."""
        self._people.sign(mxid, active=active, share=True)

    def happened(self, batch: Sequence[LogEntry]) -> None:
        """Take messages for signs of life, and let a room be told of who comes and is there."""
        for logged in batch:
            effect, entry = logged.effect, logged.entry
            if entry.state_key is None and not logged.changed:
                # Every process reads it in the log: it need not be said to any.
                self._people.sign(entry.sender.mxid, active=True, share=False)
            if effect is not None and effect.joined and effect.user.mxid in self._shown:
                del self._shown[effect.user.mxid]
                self._doubtful[effect.user.mxid] = None

    def gone(self, mxid: Mxid) -> None:
        """Forget somebody whom OpenMeet has removed: nobody shares a room with them any more."""
        self._people.forget(mxid)
        self._shown.pop(mxid, None)
        self._record.forget(mxid)
        self._told(mxid, OFFLINE)

    # What is asked

    def has_streams(self, mxid: Mxid) -> bool:
        """Whether somebody has a stream open, here or elsewhere."""
        return self._people.streams(mxid) > 0

    def life_at(self, mxid: Mxid) -> float:
        """Return when somebody gave the last sign of life, here or elsewhere; 0 where unknown."""
        attendance = self._people.get(mxid)
        return 0.0 if attendance is None else attendance.life_at

    async def in_room(self, tenant: TenantId, room_id: RoomId, mxid: Mxid) -> list[Present]:
        """Return who of a room is there, or when they last were; for somebody who is in it.

        Who lets nobody see it is left out, and so is who was never seen.

        Raises:
            NotFound: They are in no such room.
            Unavailable: The database is away.
        """
        self._people.count()
        here = self._hub.people(room_id) | self._people.leaving | set(self._from_matrix.present())
        async with self._database.connection() as connection:
            if not await rooms.is_joined(connection, tenant, room_id, mxid):
                raise NotFound("You are in no such room.")
            if tenant not in self._tenants:
                return []
            here |= await self._there_elsewhere(connection, room_id)
            found = await presence.of_room(
                connection, tenant, room_id, sorted(here), self._bot, LISTED
            )
        return [self._present(person, last_seen) for person, last_seen in found]

    async def _there_elsewhere(self, connection: Connection, room_id: RoomId) -> AbstractSet[Mxid]:
        elsewhere = self._people.sharing.elsewhere
        if not elsewhere:
            return frozenset()
        return {one for one in await presence.people_of(connection, room_id) if one in elsewhere}

    def _present(self, person: Person, last_seen: datetime | None) -> Present:
        now = self._current(person.mxid)
        kept = None if last_seen is None else _milliseconds(last_seen)
        return Present(person, now.state, kept if now.last_seen is None else now.last_seen)

    # What is told

    async def run(self) -> None:
        """Tell for ever."""
        while True:
            await self.tick()
            await asyncio.sleep(_TICK)

    async def tick(self) -> None:
        """Tell what has changed. While the database is away, nobody is told anything."""
        self._people.tick()
        self._doubtful |= dict.fromkeys(self._from_matrix.take_changed())
        self._look_round()
        try:
            await self._publish_chosen()
            await self._publish(self._due())
            await self._frames.publish_waiting(self._current)
            await self._record.save()
        except Unavailable as error:
            log.debug("presence.not_told", error=str(error))

    async def refresh(self, mxid: Mxid) -> None:
        """Tell everybody at once how somebody is there, after they have changed who may see it.

        Raises:
            Unavailable: The database is away.
        """
        self._record.forget(mxid)
        self._people.count()
        self._broadcast.say(EVERYBODY, PresenceChosen(mxid))
        await self._publish([self._current(mxid)], at_once=True)

    def _choice_heard(self, said: PresenceChosen) -> None:
        if self._tenants and (said.mxid in self._chosen or len(self._chosen) < _CHOSEN):
            self._record.forget(said.mxid)
            self._chosen[said.mxid] = None

    async def _publish_chosen(self) -> None:
        chosen = list(self._chosen)[:CHANGES]
        await self._publish([self._current(one) for one in chosen], at_once=True)
        for mxid in chosen:
            self._chosen.pop(mxid, None)

    async def stop(self) -> None:
        """Write when those were last there who are there now."""
        self._people.count()
        elsewhere = self._people.sharing.elsewhere
        self._note(
            Change(one, OFFLINE, self._current(one).last_seen, True)
            for one in self._people.kept
            if not elsewhere.streams(one)
        )
        self._people.sharing.leave()
        try:
            await self._record.save(everything=True)
        except Unavailable as error:
            log.warning("presence.not_kept", error=str(error))

    def _look_round(self) -> None:
        """Doubt some of those who are there: each comes up once in ten looks.

        Of who stays for long it is written now and then that they were there, for the case that
        the bridge is killed.
        """
        now = self._clock()
        for _ in range(len(self._people) // _TICKS_OF_A_ROUND + 1):
            if not self._round:
                self._round = list(self._people)
                self._rounds += 1
                if not self._round:
                    return
            mxid = self._round.pop()
            attendance = self._people.get(mxid)
            if attendance and attendance.state(now) != self._shown.get(mxid, OFFLINE):
                self._doubtful[mxid] = None
            due = self._rounds % _ROUNDS_OF_A_RECORD == 0
            if due and mxid in self._shown and mxid in self._people.kept:
                self._note([self._current(mxid)])

    def _current(self, mxid: Mxid) -> Change:
        now = self._clock()
        attendance = self._people.get(mxid)
        if attendance is not None:
            seen = self._wall() - (now - attendance.seen_at(now))
            return Change(mxid, attendance.state(now), int(seen * 1000), ours=True)
        word = self._from_matrix.of(mxid)
        if word is not None:
            return Change(mxid, word.state, word.last_seen, ours=False)
        kept = self._record.last_seen(mxid)
        return Change(mxid, OFFLINE, None if kept is None else _milliseconds(kept), ours=True)

    def _due(self) -> list[Change]:
        """Return those who are there in another way than readers know, not too many at once."""
        due: list[Change] = []
        for mxid in list(self._doubtful):
            if len(due) >= CHANGES:
                break
            del self._doubtful[mxid]
            change = self._current(mxid)
            if change.state != self._shown.get(mxid, OFFLINE):
                due.append(change)
            elif change.state == OFFLINE:
                self._drop(mxid)
        return due

    async def _publish(self, changes: Sequence[Change], *, at_once: bool = False) -> None:
        if not changes:
            return
        async with self._publishing:
            try:
                seen_by, left = await self._frames.publish(changes, at_once=at_once)
            except Unavailable:
                self._doubtful |= {one.mxid: None for one in changes}
                raise
            self._doubtful |= {one.mxid: None for one in left}
            told = changes[: len(changes) - len(left)]
            written = [one for one in told if seen_by[one.mxid] and self._writes(one)]
            for change in told:
                self._settle(change, seen_by[change.mxid])
            self._note(written)

    def _writes(self, change: Change) -> bool:
        """Whether it is this process that writes when somebody was there."""
        if self._broadcast.alone:
            return True
        if change.ours:
            return change.mxid in self._people.kept
        return self._from_matrix.heard_here(change.mxid)

    def _settle(self, change: Change, seen_by: Sequence[Audience]) -> None:
        """Note what readers know now."""
        mxid = change.mxid
        if change.ours:
            visible = any(one.shown for one in seen_by)
            self._told(mxid, change.state if visible else OFFLINE)
        elif not seen_by:
            # Nobody of our rooms, or a ghost: of those our own streams say it.
            self._from_matrix.forget(mxid)
            self._shown.pop(mxid, None)
            return
        if change.state != OFFLINE:
            self._shown[mxid] = change.state
            return
        self._shown.pop(mxid, None)
        if self._current(mxid).state == OFFLINE:
            self._drop(mxid)

    def _drop(self, mxid: Mxid) -> None:
        """Keep nothing of somebody who is gone, and of whom that was told."""
        self._people.drop(mxid)
        self._from_matrix.forget(mxid)

    def _note(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if change.last_seen is not None:
                self._record.note(change.mxid, change.state, change.last_seen)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
