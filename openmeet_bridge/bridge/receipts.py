"""Receipts: how far everybody has read, from both sides, only ever forward."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from ..core.cursor import order_text
from ..core.entry import Receipt
from ..core.errors import NotFound
from ..core.ids import EventId, Mxid, RoomId, TenantId
from ..matrix.errors import HomeserverError, RateLimited, Refused
from ..matrix.homeserver import Homeserver
from ..storage import lines, read_marks, room_list, rooms
from ..storage.database import Connection, Database
from ..storage.read_marks import ReadMark
from ..stream import frames
from ..stream.hub import Hub
from ..telemetry import EPHEMERAL_DROPPED

log = structlog.get_logger(__name__)

_WAITING = 10_000
_PAUSE = 1.0


class Receipts:
    """Keeps read marks, shows them to readers, and tells them to the homeserver.

    Args:
        database: Where the marks are.
        homeserver: Gets the receipts of ghosts.
        hub: Gets the receipts of everybody.
    """

    def __init__(self, database: Database, homeserver: Homeserver, hub: Hub) -> None:
        self._database = database
        self._homeserver = homeserver
        self._hub = hub
        # Only the newest of each reader and room matters: a slow homeserver gets fewer, not later.
        self._unsent: dict[tuple[RoomId, Mxid], EventId] = {}
        self._waiting = asyncio.Event()

    async def mark(
        self, tenant: TenantId, room_id: RoomId, mxid: Mxid, event_id: EventId, now_ms: int
    ) -> None:
        """Note that a user has read a room up to an event.

        Raises:
            NotFound: The user is in no such room, or the event is not in it.
        """
        async with self._database.transaction() as connection:
            if not await rooms.is_joined(connection, tenant, room_id, mxid):
                raise NotFound("You are in no such room.")
            if await lines.sort_key_of(connection, tenant, room_id, event_id) is None:
                raise NotFound("The room has no such event.", fields={"body.event_id": "unknown"})
            moved = await self._raise(connection, [ReadMark(room_id, mxid, event_id, now_ms)])
        if moved:
            self._publish(moved)
            self._send_later(room_id, mxid, event_id)

    async def heard(self, marks: Sequence[ReadMark]) -> None:
        """Keep receipts that came from the homeserver; echoes of our own change nothing."""
        async with self._database.transaction() as connection:
            moved = await self._raise(connection, marks)
        self._publish(moved)

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

    async def _raise(self, connection: Connection, marks: Sequence[ReadMark]) -> list[Receipt]:
        moved = []
        for mark, sort_key in await read_marks.raise_marks(connection, marks):
            persons = await room_list.persons(connection, mark.room_id, [mark.mxid])
            if mark.mxid in persons:
                moved.append(
                    Receipt(
                        mark.room_id,
                        persons[mark.mxid],
                        mark.event_id,
                        order_text(sort_key),
                        mark.timestamp,
                    )
                )
        return moved

    def _publish(self, moved: Sequence[Receipt]) -> None:
        for mark in moved:
            self._hub.to_room(mark.room_id, frames.receipt(mark))
