"""Presence told to the homeserver: how our people are there, for those who look with Matrix.

Synapse forgets after half a minute who is there and does not sync, and ghosts never sync. So it is
told again and again of everybody who is there: one call in 25 seconds for each. That is why it is
off unless it is wanted, why only those are told of whom somebody of Matrix can see, and why so
many calls a second are made and no more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from ..core.errors import Unavailable
from ..core.ids import Mxid
from ..core.presence import IDLE, OFFLINE, ONLINE, State
from ..matrix.errors import HomeserverError, Refused
from ..matrix.homeserver import Homeserver
from ..storage import presence
from ..storage.database import Database
from ..telemetry import EPHEMERAL_DROPPED

log = structlog.get_logger(__name__)

REPEAT = 25.0
CALLS = 20
"""So many calls a second at most: with more than 500 people, some are not seen all the time."""

_LOOK_AGAIN = 300.0
_REMEMBERED = 10_000
_TICK = 1.0
_PAUSE = 30.0
_PATIENCE = 5.0
_NAMES: dict[State, str] = {ONLINE: "online", IDLE: "unavailable", OFFLINE: "offline"}


@dataclass(slots=True)
class _Person:
    wanted: State
    told: State = OFFLINE
    told_at: float = 0.0
    watched: bool = False
    looked_at: float | None = None


class PresenceTelling:
    """Tells the homeserver how ghosts are there. What goes wrong costs nothing but this.

    Args:
        database: Who shares rooms with people of Matrix.
        homeserver: Is told.
        bot: No person of Matrix.
        clock: Seconds, of a clock that never goes back.
    """

    def __init__(
        self,
        database: Database,
        homeserver: Homeserver,
        bot: Mxid,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._homeserver = homeserver
        self._bot = bot
        self._clock = clock
        self._people: dict[Mxid, _Person] = {}

    def tell(self, mxid: Mxid, state: State) -> None:
        """Let the homeserver be told how a ghost is there."""
        known = self._people.get(mxid)
        if known is not None and state == OFFLINE == known.told:
            # Nobody was told, perhaps because another process tells.
            del self._people[mxid]
        elif known is not None:
            known.wanted = state
        elif state != OFFLINE:
            if len(self._people) >= _REMEMBERED:
                EPHEMERAL_DROPPED.labels("presence").inc()
                return
            self._people[mxid] = _Person(state)

    async def run(self) -> None:
        """Tell for ever."""
        while True:
            answers = await self.step()
            await asyncio.sleep(_TICK if answers else _PAUSE)

    async def step(self) -> bool:
        """Tell what is due; return whether the homeserver could be told."""
        try:
            await self._look()
            async with asyncio.timeout(_PATIENCE):
                for mxid, person in self._due():
                    await self._tell(mxid, person)
        except (HomeserverError, TimeoutError, Unavailable) as error:
            log.debug("presence.not_told", error=str(error))
            return False
        return True

    async def _look(self) -> None:
        """See which of them somebody of Matrix can see, now and then anew."""
        now = self._clock()
        unknown = [
            mxid
            for mxid, person in self._people.items()
            if person.looked_at is None or now - person.looked_at >= _LOOK_AGAIN
        ][: CALLS * 5]
        if not unknown:
            return
        async with self._database.connection() as connection:
            watched = await presence.watched_from_matrix(connection, unknown, self._bot)
        for mxid in unknown:
            if (person := self._people.get(mxid)) is not None:
                person.watched, person.looked_at = mxid in watched, now

    def _due(self) -> list[tuple[Mxid, _Person]]:
        now = self._clock()
        due = []
        for mxid, person in list(self._people.items()):
            if person.wanted == OFFLINE and (person.told == OFFLINE or not person.watched):
                del self._people[mxid]
            elif person.wanted != person.told or now - person.told_at >= REPEAT:
                due.append((mxid, person))
        due = [one for one in due if one[1].watched]
        # What has changed comes before what is only said again.
        due.sort(key=lambda one: (one[1].wanted == one[1].told, one[1].told_at))
        return due[:CALLS]

    async def _tell(self, mxid: Mxid, person: _Person) -> None:
        state = person.wanted
        try:
            await self._homeserver.set_presence(mxid, _NAMES[state])
        except Refused as error:
            log.debug("presence.refused", mxid=mxid, error=str(error))
        person.told, person.told_at = state, self._clock()
