"""Counting while a batch goes into the log: what it changes of what is unread, and for whom."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ..core.cursor import SORT_KEY_STEP
from ..core.events import Event
from ..core.ids import EventId, Mxid, Position, RoomId
from ..storage import mentions, read_marks, room_summaries
from ..storage.database import Connection
from ..storage.event_log import Row
from ..storage.read_marks import Placed, ReadMark
from .mentioning import Mentioning


async def recount(connection: Connection, room_ids: Collection[RoomId]) -> None:
    """Count rooms anew in which messages were blanked. The caller holds the lock of the log."""
    await room_summaries.renew_messages(connection, sorted(room_ids))
    await mentions.tidy(connection, sorted(room_ids))


class Counting:
    """What a batch changes of counts and marks.

    Args:
        bot: Is in every room, and is not counted.

    Attributes:
        read: Who has read further now by what they said, and where.
    """

    def __init__(self, bot: Mxid) -> None:
        self._bot = bot
        self.read: list[tuple[RoomId, Mxid]] = []
        self._mentioning = Mentioning()
        self._said: dict[tuple[RoomId, Mxid], Placed] = {}
        self._last: list[tuple[RoomId, int, Position]] = []
        self._rooms: set[RoomId] = set()
        self._moved: dict[EventId, RoomId] = {}

    def add(self, event: Event, row: Row) -> None:
        """Note a new entry."""
        if not row.counted:
            return
        if row.sort_key == row.position * SORT_KEY_STEP:
            self._last.append((row.room_id, row.sort_key, row.position))
        else:
            self._rooms.add(row.room_id)
        self._mentioning.add(event)
        # Who says something has read what stands above.
        mark = ReadMark(row.room_id, row.sender, row.event_id, row.timestamp)
        before = self._said.get((row.room_id, row.sender))
        if before is None or before[1] < row.sort_key:
            self._said[row.room_id, row.sender] = mark, row.sort_key

    def move(self, event: Event) -> None:
        """Note that an entry has changed its place."""
        self._moved[event.event_id] = event.room_id
        self._rooms.add(event.room_id)

    async def write(
        self,
        connection: Connection,
        redacted: Collection[tuple[RoomId, EventId]],
        peopled: Iterable[RoomId],
    ) -> None:
        """Write what was noted. All else that the batch changes is written already.

        Args:
            connection: The batch's transaction.
            redacted: What the batch has redacted.
            peopled: The rooms whose members it has changed.
        """
        self._rooms |= {room_id for room_id, _ in redacted}
        if last := [one for one in self._last if one[0] not in self._rooms]:
            await room_summaries.append(connection, last)
        if self._rooms:
            await room_summaries.renew_messages(connection, sorted(self._rooms))
        if peopled := set(peopled):
            await room_summaries.renew_members(connection, sorted(peopled), self._bot)
        await self._mentioning.write(connection)
        if redacted:
            await mentions.drop(connection, [target for _, target in redacted])
        if self._said:
            self.read = await read_marks.raise_said(connection, list(self._said.values()))
        if self._moved:
            events, rooms = list(self._moved), sorted(set(self._moved.values()))
            await mentions.follow(connection, events)
            await read_marks.follow(connection, rooms, events)
