"""The record of presence: when people were last there, written seldom and many at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ..core.ids import Mxid
from ..core.presence import State
from ..storage import presence
from ..storage.database import Database
from ..storage.presence import Seen

EVERY = 60.0
"""Of one person no more is written in so many seconds than once."""

_AT_ONCE = 1000


class PresenceRecord:
    """Writes when people were last there.

    Args:
        database: Where to.
        clock: Seconds, of a clock that never goes back.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._unsaved: dict[Mxid, Seen] = {}
        self._saved: dict[Mxid, float] = {}  # those of the last minute, the oldest first

    def note(self, mxid: Mxid, state: State, last_seen: int) -> None:
        """Let it be written how somebody is there, and when they were last (milliseconds)."""
        moment = datetime.fromtimestamp(last_seen / 1000, UTC)
        self._unsaved[mxid] = Seen(mxid, state, moment)

    def last_seen(self, mxid: Mxid) -> datetime | None:
        """Return what is to be written, and is not in the database yet."""
        seen = self._unsaved.get(mxid)
        return None if seen is None else seen.last_seen

    def forget(self, mxid: Mxid) -> None:
        """Let nothing be written of somebody."""
        self._unsaved.pop(mxid, None)

    async def save(self, *, everything: bool = False) -> None:
        """Write what is due.

        Args:
            everything: Write all there is, also of people of whom something was written just now.

        Raises:
            Unavailable: The database is away; what was not written is kept.
        """
        now = self._clock()
        self._forget_old(now)
        due = [one for one in self._unsaved if everything or one not in self._saved]
        for start in range(0, len(due), _AT_ONCE):
            rows = [self._unsaved[one] for one in due[start : start + _AT_ONCE]]
            async with self._database.connection() as connection:
                await presence.save(connection, rows)
            for row in rows:
                self._saved.pop(row.mxid, None)
                self._saved[row.mxid] = now
                if self._unsaved.get(row.mxid) is row:
                    del self._unsaved[row.mxid]

    def _forget_old(self, now: float) -> None:
        for mxid, at in list(self._saved.items()):
            if now - at < EVERY:
                return
            del self._saved[mxid]
