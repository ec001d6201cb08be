"""Receipts: how far everybody has read, from both sides, only ever forward."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import structlog

from ..core.cursor import order_text
from ..core.entry import Person, Receipt
from ..core.errors import NotFound
from ..core.ids import EventId, Mxid, RoomId
from ..matrix.errors import HomeserverError, RateLimited, Refused
from ..matrix.homeserver import Homeserver
from ..storage import lines, preferences, read_marks, room_list, rooms, unread
from ..storage.database import Connection, Database
from ..storage.read_marks import ReadMark
from ..stream import frames
from ..stream.broadcast import Broadcast
from ..telemetry import EPHEMERAL_DROPPED
from . import reading
from .rights import Actor

log = structlog.get_logger(__name__)

MOST_READERS = 500
"""As many readers of an entry are named, those who read last."""

_WAITING = 10_000
_PAUSE = 1.0


class Receipts:
    """Keeps read marks, shows them to readers, and tells them to the homeserver.

    Args:
        database: Where the marks are.
        homeserver: Gets the receipts of ghosts.
        broadcast: Gets the receipts of everybody.
        bot: Reads everything, and is named nowhere.
        changed: Told of those for whom less is unread now, and where.
    """

    def __init__(
        self,
        database: Database,
        homeserver: Homeserver,
        broadcast: Broadcast,
        bot: Mxid,
        changed: Callable[[Iterable[tuple[RoomId, Mxid]]], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._bot = bot
        self._changed = changed
        self._homeserver = homeserver
        self._broadcast = broadcast
        # Only the newest of each reader and room matters: a slow homeserver gets fewer, not later.
        self._unsent: dict[tuple[RoomId, Mxid], EventId] = {}
        self._waiting = asyncio.Event()

    async def mark(
        self, actor: Actor, event_id: EventId, now_ms: int, *, private: bool = False
    ) -> None:
        """Note that a user has read a room up to an event.

        Args:
            actor: Who, and where.
            event_id: The last event that was read.
            now_ms: When.
            private: Tell nobody. So it is always for those who prefer it.

        Raises:
            NotFound: The user is in no such room, or may read no such event in it.
        """
        mark = ReadMark(actor.room_id, actor.mxid, event_id, now_ms)
        async with self._database.transaction() as connection:
            await _check(connection, actor, event_id, "body.event_id")
            if not private:
                chosen = await preferences.of(connection, actor.tenant, actor.user_slug)
                private = not chosen.receipts
            raised = await read_marks.raise_marks(connection, [mark], private=private)
            cleared = await unread.unflag(connection, mark.room_id, mark.mxid)
            moved = [] if private else await _receipts(connection, raised)
        if raised or cleared:
            self._changed([(mark.room_id, mark.mxid)])
        if moved:
            self._publish(moved)
            self._send_later(mark.room_id, mark.mxid, event_id)

    async def readers(self, actor: Actor, event_id: EventId) -> list[tuple[Person, int]]:
        """Return who is known to have read up to an entry, and when (ms), the newest first.

        Raises:
            NotFound: The user is in no such room, or may read no such event in it.
        """
        async with self._database.connection() as connection:
            await _check(connection, actor, event_id, "path.event_id")
            found = await read_marks.readers(
                connection, actor.room_id, event_id, self._bot, MOST_READERS
            )
            known = await room_list.persons(connection, actor.room_id, [one.mxid for one in found])
        return [(known[one.mxid], one.timestamp) for one in found if one.mxid in known]

    async def heard(self, marks: Sequence[ReadMark]) -> None:
        """Keep receipts that came from the homeserver; echoes of our own change nothing."""
        async with self._database.transaction() as connection:
            moved = await _receipts(connection, await read_marks.raise_marks(connection, marks))
        self._publish(moved)
        self._changed((mark.room_id, mark.user.mxid) for mark in moved)

    async def run(self) -> None:
        """Tell the homeserver about marks for ever. They are kept by us: this may be lossy."""
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            while self._unsent:
                key = next(iter(self._unsent))
                await self._send(*key, self._unsent.pop(key))

    async def _send(self, room_id: RoomId, mxid: Mxid, event_id: EventId) -> None:
        try:
            await self._homeserver.receipt(room_id, event_id, mxid)
        except Refused as error:
            log.info("receipt.refused", room=room_id, error=str(error))
        except HomeserverError as error:
            self._unsent.setdefault((room_id, mxid), event_id)
            wait = error.retry_after_ms / 1000 if isinstance(error, RateLimited) else _PAUSE
            await asyncio.sleep(wait)

    def _send_later(self, room_id: RoomId, mxid: Mxid, event_id: EventId) -> None:
        if len(self._unsent) >= _WAITING and (room_id, mxid) not in self._unsent:
            EPHEMERAL_DROPPED.labels("receipt").inc()
            return
        self._unsent[room_id, mxid] = event_id
        self._waiting.set()

    def _publish(self, moved: Sequence[Receipt]) -> None:
        for mark in moved:
            self._broadcast.to_room(mark.room_id, frames.receipt(mark))


async def _check(connection: Connection, actor: Actor, event_id: EventId, field: str) -> None:
    if not await rooms.is_joined(connection, actor.tenant, actor.room_id, actor.mxid):
        raise NotFound("You are in no such room.")
    key = await lines.key_of(connection, actor.tenant, actor.room_id, event_id)
    part = await reading.readable(connection, actor.room_id, actor.mxid)
    if key is None or key not in part:
        raise NotFound("The room has no such event.", fields={field: "unknown"})


async def _receipts(
    connection: Connection, raised: Sequence[tuple[ReadMark, int]]
) -> list[Receipt]:
    """Return marks as others see them: of those who are in the room."""
    known = await room_list.inside(connection, [(mark.room_id, mark.mxid) for mark, _ in raised])
    return [
        Receipt(mark.room_id, person, mark.event_id, order_text(sort_key), mark.timestamp)
        for mark, sort_key in raised
        if (person := known.get((mark.room_id, mark.mxid))) is not None
    ]
