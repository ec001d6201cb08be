"""Presence of people of Matrix, as the homeserver says it.

It tells of changes only, and what it tells may be lost. So who seems to be there and has not been
heard of for long is asked for, a few at a time. It tells whichever process it reaches, and that one
tells the others; one of them asks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from ..core.ids import Mxid
from ..core.naming import Naming
from ..core.presence import IDLE, OFFLINE, ONLINE, State
from ..matrix.errors import HomeserverError, Refused
from ..matrix.homeserver import Homeserver
from ..storage import presence as kept
from ..storage.database import Database
from ..stream.broadcast import Broadcast, in_parts
from ..stream.bus import EVERYBODY
from ..stream.signals import MatrixPresent, MatrixWord, WhoIsThere
from ..telemetry import EPHEMERAL_DROPPED

log = structlog.get_logger(__name__)

DOUBTED = 900.0
"""Who has not been heard of for so many seconds is asked for."""

GIVEN_UP = 3600.0
"""Who could not be asked for either is gone after so many seconds."""

_REMEMBERED = 10_000
_ASKED_AT_START = 1000
_TICK = 1.0
_PAUSE = 30.0
_STATES: dict[str, State] = {"online": ONLINE, "busy": ONLINE, "unavailable": IDLE}
_NAMES: dict[State, str] = {ONLINE: "online", IDLE: "unavailable", OFFLINE: "offline"}


@dataclass(frozen=True, slots=True)
class Word:
    """What the homeserver said of somebody, and when. ``last_seen`` is in milliseconds.

    Attributes:
        here: Whether it has told this process, and not another one.
    """

    state: State
    last_seen: int | None
    heard_at: float
    here: bool = True


class MatrixPresence:
    """Knows who of Matrix is there.

    Args:
        database: Who was there in the last run.
        homeserver: Is asked.
        naming: Knows the bot, which asks, and our own people.
        broadcast: Leads to the other processes.
        clock: Seconds, of a clock that never goes back.
        wall: Seconds since the epoch.
    """

    def __init__(
        self,
        database: Database,
        homeserver: Homeserver,
        naming: Naming,
        broadcast: Broadcast,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._homeserver = homeserver
        self._broadcast = broadcast
        self._naming = naming
        self._clock = clock
        self._wall = wall
        self._words: dict[Mxid, Word] = {}  # who was heard of the longest ago comes first
        self._changed: dict[Mxid, None] = {}
        self._unsaid: dict[Mxid, MatrixWord] = {}
        broadcast.on(MatrixPresent, self._heard_elsewhere)
        broadcast.on(WhoIsThere, lambda _: self._say_all())

    def heard(self, mxid: Mxid, presence: str, active_ago_ms: float | None) -> None:
        """Note what the homeserver says: ``m.presence`` of the specification ("Presence").

        Of our own people it says what we have told it, or that they have written something. The
        other processes are told with :meth:`say`.
        """
        if mxid == self._naming.bot or self._naming.parse_ghost(mxid):
            return
        self._note(mxid, presence, active_ago_ms, here=True)
        if not self._broadcast.alone:
            self._unsaid[mxid] = MatrixWord(mxid, presence, active_ago_ms)

    def say(self) -> None:
        """Tell the other processes what was heard."""
        unsaid, self._unsaid = self._unsaid, {}
        for words in in_parts(list(unsaid.values())):
            self._broadcast.say(EVERYBODY, MatrixPresent(words))

    def _heard_elsewhere(self, said: MatrixPresent) -> None:
        for one in said.words:
            self._note(one.mxid, one.presence, one.active_ago, here=False)

    def _say_all(self) -> None:
        """Tell a process that has just started what this one was told."""
        now = self._wall() * 1000
        for mxid, word in self._words.items():
            if word.here and word.state != OFFLINE:
                ago = None if word.last_seen is None else max(0.0, now - word.last_seen)
                self._unsaid.setdefault(mxid, MatrixWord(mxid, _NAMES[word.state], ago))
        self.say()

    def _note(self, mxid: Mxid, presence: str, active_ago_ms: float | None, *, here: bool) -> None:
        state = _STATES.get(presence, OFFLINE)
        before = self._words.pop(mxid, None)
        if state == OFFLINE and (before is None or before.state == OFFLINE):
            return
        if len(self._words) >= _REMEMBERED:
            EPHEMERAL_DROPPED.labels("presence").inc()
            return
        last_seen = self._last_seen(state, active_ago_ms)
        self._words[mxid] = Word(state, last_seen, self._clock(), here)
        if before is None or before.state != state:
            self._changed[mxid] = None

    def of(self, mxid: Mxid) -> Word | None:
        """Return what is known of somebody."""
        return self._words.get(mxid)

    def heard_here(self, mxid: Mxid) -> bool:
        """Whether it is this process that was told of somebody."""
        word = self._words.get(mxid)
        return word is not None and word.here

    def present(self) -> list[Mxid]:
        """Return who is there."""
        return [mxid for mxid, word in self._words.items() if word.state != OFFLINE]

    def take_changed(self) -> list[Mxid]:
        """Return whose presence has changed since the last call."""
        changed, self._changed = self._changed, {}
        return list(changed)

    def forget(self, mxid: Mxid) -> None:
        """Forget somebody who is in none of our rooms, or not there."""
        self._words.pop(mxid, None)

    def doubt(self, mxids: list[Mxid]) -> None:
        """Take people for gone who were there once, and ask whether they are."""
        now = self._clock()
        for mxid in mxids[:_REMEMBERED]:
            self._words.setdefault(mxid, Word(OFFLINE, None, now - DOUBTED))

    async def run(self) -> None:
        """Ask for ever after those who have not been heard of. One process does this.

        Raises:
            Unavailable: The database is away at the beginning.
        """
        async with self._database.connection() as connection:
            self.doubt(await kept.begin(connection, _ASKED_AT_START))
        while True:
            answers = await self.ask()
            self.say()
            await asyncio.sleep(_TICK if answers else _PAUSE)

    async def ask(self) -> bool:
        """Ask after one, if anybody is doubted; return whether the homeserver can be asked."""
        now = self._clock()
        oldest = next(iter(self._words.items()), None)
        if oldest is None or now - oldest[1].heard_at < DOUBTED:
            return True
        mxid, word = oldest
        try:
            answer = await self._homeserver.get_presence(mxid, self._naming.bot)
        except Refused:
            self.heard(mxid, "offline", None)
        except HomeserverError as error:
            log.debug("presence.not_asked", error=str(error))
            if now - word.heard_at >= GIVEN_UP:
                self.heard(mxid, "offline", None)
            return False
        else:
            self.heard(mxid, answer.presence, answer.last_active_ago)
        return True

    def _last_seen(self, state: State, active_ago_ms: float | None) -> int | None:
        now = int(self._wall() * 1000)
        if active_ago_ms is None:
            return None if state == OFFLINE else now
        return now - int(active_ago_ms) if 0 <= active_ago_ms <= now else None
