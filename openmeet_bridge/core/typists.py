"""Typists: who types in one room, as they say here and as the homeserver says.

Nothing here knows the time: every question brings its own ``now``, in seconds of one clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .ids import Mxid

HERE_SECONDS = 30.0
"""So long somebody types who has said so here. Who goes on says it again every 10 to 20 seconds."""

THERE_SECONDS = 90.0
"""So long somebody types of whom the homeserver says so. It tells who begins and who stops, not who
goes on: long enough for a long message, and only a lost notice of the end makes anybody wait."""

ECHO_SECONDS = 45.0
"""So long after somebody's word here the homeserver's list says nothing of them: it holds our own
notices, some of them late, and forgets the last one after ``HERE_SECONDS`` by itself."""

MOST = 100
"""Of so many in a room it is kept that they type."""


@dataclass(slots=True)
class _Word:
    until: float
    said: float


@dataclass(slots=True)
class _Listed:
    until: float
    ended: bool = False


class Typists:
    """Who types in one room."""

    __slots__ = ("_here", "_there")

    def __init__(self) -> None:
        self._here: dict[Mxid, _Word] = {}
        self._there: dict[Mxid, _Listed] = {}

    def say(self, mxid: Mxid, typing: bool, now: float) -> bool:
        """Note what somebody says here; their newest word counts, from whichever client.

        Returns:
            False where too many are kept already.
        """
        word = self._here.get(mxid)
        if word is None and len(self._here) >= MOST:
            return False
        if word is None or word.until <= now:
            self._here.pop(mxid, None)  # who begins comes behind those who type already
        self._there.pop(mxid, None)
        self._here[mxid] = _Word(now + HERE_SECONDS if typing else now, now)
        return True

    def hear(self, mxids: Sequence[Mxid], now: float) -> None:
        """Note the homeserver's list, which is whole: who is not in it has stopped."""
        listed: dict[Mxid, _Listed] = {}
        for mxid in mxids:
            if len(listed) >= MOST:
                break
            word = self._here.get(mxid)
            if word is not None and now - word.said < ECHO_SECONDS:
                continue
            before = self._there.get(mxid)
            # Who has sent their message stays in the list until their client says that they
            # have stopped.
            ended = before is not None and before.ended
            listed[mxid] = _Listed(now + THERE_SECONDS, ended)
        self._there = listed

    def end(self, mxid: Mxid, now: float) -> bool:
        """Note that somebody types no longer, because they have spoken or gone.

        Returns:
            Whether they had said here that they type.
        """
        if (listed := self._there.get(mxid)) is not None:
            listed.ended = True
        word = self._here.get(mxid)
        if word is None or word.until <= now:
            return False
        self._here[mxid] = _Word(now, now)
        return True

    def unhear(self) -> None:
        """Forget the homeserver's list."""
        self._there.clear()

    def at(self, now: float) -> list[Mxid]:
        """Return who types at a moment, those who began first before the others."""
        here = [mxid for mxid, word in self._here.items() if word.until > now]
        there = [one for one, listed in self._there.items() if listed.until > now]
        return here + [one for one in there if not self._there[one].ended and one not in here]

    def standing(self, now: float) -> list[tuple[Mxid, bool, float]]:
        """Return who types, whether they have said so themselves, and for how many seconds yet."""
        return [
            (mxid, True, self._here[mxid].until - now)
            if (word := self._here.get(mxid)) is not None and word.until > now
            else (mxid, False, self._there[mxid].until - now)
            for mxid in self.at(now)
        ]

    def learn(self, mxid: Mxid, here: bool, seconds: float, now: float) -> None:
        """Note what another list of the same room knows of somebody of whom this one does not."""
        if mxid in self._here or mxid in self._there or len(self._here) >= MOST:
            return
        if here:
            until = now + min(seconds, HERE_SECONDS)
            self._here[mxid] = _Word(until, until - HERE_SECONDS)
        elif len(self._there) < MOST:
            self._there[mxid] = _Listed(now + min(seconds, THERE_SECONDS))

    def forget(self, now: float) -> bool:
        """Drop what says nothing any more; return whether anything is left."""
        self._here = {
            mxid: word
            for mxid, word in self._here.items()
            if word.until > now or now - word.said < ECHO_SECONDS
        }
        self._there = {one: kept for one, kept in self._there.items() if kept.until > now}
        return bool(self._here or self._there)
