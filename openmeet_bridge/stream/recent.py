"""Recent entries: the end of the log in memory, for readers who were away for a moment.

After a restart of a proxy, all readers come back at once with cursors that are seconds old. What
they missed is the same for all who are in the same rooms: it is kept here, encoded once, and the
database is asked only by those who were away for longer.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Collection, Sequence
from operator import attrgetter
from typing import Final, TypeVar

import msgspec

from ..core.entry import Entry, LogEntry
from ..core.ids import EventId, Mxid, Position, RoomId
from .frames import Frame, cursor_at, room_frames

_MOST: Final = 16_384
_MOST_BYTES: Final = 32 << 20
_SECONDS: Final = 600.0
_FIXED: Final = 1500
"""Bytes of an entry in memory besides its texts, about."""

K = TypeVar("K")

_position = attrgetter("position")


class Kept:
    """One entry that is kept.

    Attributes:
        size: Bytes in memory, about.
    """

    __slots__ = ("_frames", "at", "logged", "position", "size")

    def __init__(self, logged: LogEntry, at: float) -> None:
        self.logged = logged
        self.position = logged.position
        self.at = at
        self.size = _size(logged.entry)
        self._frames: Sequence[Frame] | None = None

    def frames(self, epoch: str) -> Sequence[Frame]:
        """Return the entry as those get it who are in its room."""
        if self._frames is None:
            self._frames = tuple(room_frames(self.logged, cursor_at(epoch, self.position)))
        return self._frames

    def show(self, entry: Entry) -> None:
        """Show the entry as it is now: what was deleted since is given to nobody."""
        self.logged = msgspec.structs.replace(self.logged, entry=entry)
        self._frames = None


class Recent:
    """The end of the log.

    Args:
        start: Everything after this position is here.
        most: Entries that are kept.
        most_bytes: Bytes that they may take, about.
        seconds: How long they are kept.
        clock: Seconds, of a clock that never goes back.
    """

    def __init__(
        self,
        start: Position,
        *,
        most: int = _MOST,
        most_bytes: int = _MOST_BYTES,
        seconds: float = _SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start = start
        self._most = most
        self._most_bytes = most_bytes
        self._seconds = seconds
        self._clock = clock
        self._all: deque[Kept] = deque()
        self._rooms: dict[RoomId, list[Kept]] = {}
        self._events: dict[EventId, list[Kept]] = {}
        self._moved: dict[Mxid, Position] = {}
        self._quoted: dict[EventId, Position] = {}
        self._bytes = 0

    def add(self, batch: Sequence[LogEntry]) -> None:
        """Keep the next piece of the log."""
        now = self._clock()
        for logged in batch:
            self._renew(logged)
            self._keep(Kept(logged, now))
        while self._all and (
            len(self._all) > self._most
            or self._bytes > self._most_bytes
            or self._all[0].at < now - self._seconds
        ):
            self._drop()

    def forget(self, up_to: Position | None = None) -> None:
        """Keep nothing of what is there now, or nothing up to a position: the log is asked."""
        while self._all and (up_to is None or self._all[0].position <= up_to):
            self._drop()

    def missed(
        self, mxid: Mxid, rooms: Collection[RoomId], after: Position, up_to: Position
    ) -> list[Kept] | None:
        """Return what somebody missed between two positions, in log order.

        Args:
            mxid: Who.
            rooms: In which rooms they are, at the second position.
            after: The first position.
            up_to: The second one; everything up to it has been added.

        Returns:
            None where it must be read from the log: some of it is here no longer, or somebody's
            own coming or going is part of it.
        """
        if after < self._start or self._moved.get(mxid, 0) > after:
            return None
        found = [
            kept
            for room_id in rooms
            if room_id in self._rooms
            for kept in _between(self._rooms[room_id], after, up_to)
            if kept.logged.readers is None or mxid in kept.logged.readers
        ]
        found.sort(key=_position)
        return found

    def _keep(self, kept: Kept) -> None:
        logged = kept.logged
        self._bytes += kept.size
        self._all.append(kept)
        self._rooms.setdefault(logged.entry.room_id, []).append(kept)
        self._events.setdefault(logged.entry.event_id, []).append(kept)
        for event_id in _quoted(logged.entry):
            self._quoted[event_id] = logged.position
        if logged.effect is not None:
            self._moved[logged.effect.user.mxid] = logged.position

    def _renew(self, logged: LogEntry) -> None:
        """Let what is kept of a line show it as it is now, where it is now, and once only.

        A change leaves the line where it stands, and takes the place of an earlier change. A line
        that comes again has been moved.
        """
        entry = logged.entry
        for kept in list(self._events.get(entry.event_id, ())):
            if kept.logged.changed or not logged.changed:
                self._rooms[kept.logged.entry.room_id].remove(kept)
                self._events[entry.event_id].remove(kept)
            else:
                kept.show(entry)
        if entry.event_id in self._quoted and (entry.deletion or entry.edited):
            # Others quote what it has said until now.
            self.forget(self._quoted[entry.event_id])

    def _drop(self) -> None:
        kept = self._all.popleft()
        self._start = kept.position
        self._bytes -= kept.size
        _take_out(self._rooms, kept.logged.entry.room_id, kept)
        _take_out(self._events, kept.logged.entry.event_id, kept)
        for event_id in _quoted(kept.logged.entry):
            if self._quoted.get(event_id) == kept.position:
                del self._quoted[event_id]
        effect = kept.logged.effect
        if effect is not None and self._moved.get(effect.user.mxid) == kept.position:
            del self._moved[effect.user.mxid]


def _between(room: list[Kept], after: Position, up_to: Position) -> list[Kept]:
    first = bisect_right(room, after, key=_position)
    return room[first : bisect_right(room, up_to, key=_position)]


def _take_out(table: dict[K, list[Kept]], key: K, kept: Kept) -> None:
    """Take one out that is the first of its list, unless it was taken out before."""
    kept_there = table.get(key)
    if kept_there and kept_there[0] is kept:
        del kept_there[0]
    if not kept_there:
        table.pop(key, None)


def _quoted(entry: Entry) -> list[EventId]:
    return [one.event_id for one in (entry.reply_to, entry.thread) if one is not None]


def _size(entry: Entry) -> int:
    return _FIXED + len(entry.text) + len(entry.html or "")
