"""The log in PostgreSQL, written by ingest, with a stop before each commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from openmeet_bridge.bridge.ingest import Ingest
from openmeet_bridge.core.ids import EventId, Mxid, Position, RoomId
from openmeet_bridge.core.naming import Naming
from openmeet_bridge.storage import event_log
from openmeet_bridge.storage.database import Connection, Database

from .gate import Gate
from .truth import Version


class StoppingDatabase(Database):
    """A database whose transactions stand still before they are committed."""

    def __init__(self, dsn: str, gate: Gate) -> None:
        super().__init__(dsn, size=4)
        self._gate = gate

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend a connection inside a transaction."""
        async with super().transaction() as connection:
            yield connection
            with self._gate.rest():
                await self._gate.stop()


class WrittenLog:
    """Writes the log, one transaction at a time, and tells what each has brought."""

    def __init__(self, dsn: str) -> None:
        self.gate = Gate()
        self.database = StoppingDatabase(dsn, self.gate)
        self.ingest = Ingest(self.database, Naming("test"), lambda *_: None, lambda _: None)
        self.writing: asyncio.Task[int] | None = None

    async def head(self) -> event_log.Head:
        """Return the end of the log."""
        async with self.database.connection() as connection:
            return await event_log.head(connection)

    async def leap(self, position: Position) -> None:
        """Let the log go on at a position far ahead."""
        async with self.database.connection() as connection:
            await event_log.advance(connection, position)

    def start(self, work: Coroutine[Any, Any, int]) -> None:
        """Begin to write; it stands still before its commit."""
        self.writing = asyncio.get_running_loop().create_task(self._work(work))

    async def _work(self, work: Coroutine[Any, Any, int]) -> int:
        with self.gate.work():
            return await work

    async def finish(self) -> None:
        """Commit what is being written."""
        self.gate.release_all()
        if self.writing is not None:
            await self.writing
        self.writing = None
        self.gate.open = False

    async def versions(
        self, after: Position, is_ours: Callable[[RoomId], bool]
    ) -> tuple[list[Version], Position]:
        """Return what stands in our rooms after a position, and the end of the log."""
        async with self.database.snapshot() as connection:
            head = await event_log.head(connection)
            rows = await connection.fetch(
                "SELECT position, event_id, room_id, state_key, effect FROM log "
                "WHERE position > $1 AND tenant IS NOT NULL ORDER BY position",
                after,
            )
        found = [
            Version(
                Position(row["position"]),
                EventId(row["event_id"]),
                RoomId(row["room_id"]),
                Mxid(row["state_key"]) if row["effect"] else None,
                row["effect"] > 0,
            )
            for row in rows
        ]
        return [version for version in found if is_ours(version.room_id)], head.position

    async def timeline(self, room_id: RoomId) -> list[EventId]:
        """Return the events of a room in the order of its timeline."""
        async with self.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT event_id FROM log WHERE room_id = $1 ORDER BY sort_key", room_id
            )
        return [row["event_id"] for row in rows]

    async def is_known(self, room_id: RoomId) -> bool:
        """Whether it is known whose room it is."""
        async with self.database.connection() as connection:
            found = await connection.fetchval("SELECT true FROM portal WHERE room_id = $1", room_id)
        return bool(found)

    async def joined(self, room_id: RoomId) -> tuple[set[Mxid], set[Mxid]]:
        """Return who is in a room by the projection, and by the newest event of each."""
        async with self.database.connection() as connection:
            kept = await connection.fetch(
                "SELECT mxid FROM room_member WHERE room_id = $1 AND membership = 'join'", room_id
            )
            newest = await connection.fetch(
                """
                SELECT DISTINCT ON (state_key) state_key,
                       convert_from(content, 'UTF8')::json ->> 'membership' AS membership
                FROM log WHERE room_id = $1 AND type = 'm.room.member'
                ORDER BY state_key, sort_key DESC
                """,
                room_id,
            )
        true = {row["state_key"] for row in newest if row["membership"] == "join"}
        return {row["mxid"] for row in kept}, true
