"""Presence elsewhere: who is there by other processes, as those have said; forgotten with them.

Each process says again and again of whom it has streams. Who is not named for long, or by a
process that has fallen silent, is not there by it any more. While nothing can be heard, nobody is
forgotten: the time does not count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..core.ids import Mxid
from ..core.presence import AT_ONCE
from ..stream.signals import Attendant
from ..telemetry import EPHEMERAL_DROPPED

SILENT: Final = 20.0
"""A process that has said nothing for so many seconds is gone, and its streams with it."""

STALE: Final = 150.0
"""Of whom a process has not spoken for so many seconds, they have no streams there."""

_PEOPLE = 200_000
_TICKS_OF_A_ROUND = 60


class _There:
    """How somebody is there by one process."""

    __slots__ = ("heard_at", "idle", "idle_at", "streams")

    def __init__(self, streams: int, idle: int, idle_at: float, heard_at: float) -> None:
        self.streams = streams
        self.idle = idle
        self.idle_at = idle_at
        self.heard_at = heard_at


class PresenceElsewhere:
    """Knows who is there by other processes.

    Args:
        clock: Seconds, of a clock that never goes back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._people: dict[Mxid, dict[str, _There]] = {}
        self._heard_at: dict[str, float] = {}
        self._deaf_for = 0.0
        self._looked_at = clock()
        self._round: list[Mxid] = []

    def __contains__(self, mxid: object) -> bool:
        return mxid in self._people

    def __len__(self) -> int:
        return len(self._people)

    def streams(self, mxid: Mxid) -> int:
        """Return how many streams somebody has open elsewhere."""
        return sum(one.streams for one in self._people.get(mxid, {}).values())

    def idle(self, mxid: Mxid, since: float) -> int:
        """Return how many of somebody's clients have said elsewhere since then that they idle."""
        there = self._people.get(mxid, {}).values()
        return sum(one.idle for one in there if one.idle_at >= since - AT_ONCE)

    def speaks(self, origin: str) -> None:
        """Note that a process has said something."""
        self._heard_at[origin] = self._hearing

    def put(self, origin: str, said: Attendant) -> None:
        """Note how somebody is there by a process."""
        there = self._people.get(said.mxid)
        if not said.streams and not said.idle:
            if there is not None:
                self._remove(said.mxid, there, origin)
            return
        if there is None:
            if len(self._people) >= _PEOPLE:
                EPHEMERAL_DROPPED.labels("presence").inc()
                return
            there = self._people[said.mxid] = {}
        idle_at = self._clock() - said.idle_age
        there[origin] = _There(said.streams, said.idle, idle_at, self._hearing)

    def forget(self, mxid: Mxid) -> None:
        """Forget somebody who was removed."""
        self._people.pop(mxid, None)

    def leave(self, origin: str) -> list[Mxid]:
        """Forget what a process has said; return of whom."""
        self._heard_at.pop(origin, None)
        gone = [mxid for mxid, there in self._people.items() if origin in there]
        for mxid in gone:
            self._remove(mxid, self._people[mxid], origin)
        return gone

    def expire(self, *, deaf: bool) -> list[Mxid]:
        """Forget what has not been said again; return of whom. To be called every second.

        Args:
            deaf: Whether nothing could be heard since the last call.
        """
        now = self._clock()
        if deaf:
            self._deaf_for += now - self._looked_at
        self._looked_at = now
        silent = [one for one, at in self._heard_at.items() if self._hearing - at > SILENT]
        gone = [mxid for origin in silent for mxid in self.leave(origin)]
        return gone + self._expire_some()

    def _expire_some(self) -> list[Mxid]:
        gone = []
        for _ in range(len(self._people) // _TICKS_OF_A_ROUND + 1):
            if not self._round:
                self._round = list(self._people)
                if not self._round:
                    break
            mxid = self._round.pop()
            there = self._people.get(mxid, {})
            old = [one for one in there if self._hearing - there[one].heard_at > STALE]
            for origin in old:
                self._remove(mxid, there, origin)
            gone += [mxid] if old else []
        return gone

    @property
    def _hearing(self) -> float:
        """Seconds, without those in which nothing could be heard."""
        return self._clock() - self._deaf_for

    def _remove(self, mxid: Mxid, there: dict[str, _There], origin: str) -> None:
        there.pop(origin, None)
        if not there:
            self._people.pop(mxid, None)
