"""Repair: what it waits for, and what must not stop it."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from openmeet_bridge.bridge.ingest import Ingest
from openmeet_bridge.bridge.repair import Repair
from openmeet_bridge.core.naming import Naming
from openmeet_bridge.matrix.answers import SyncAnswer
from openmeet_bridge.storage import event_log, repair_mark
from openmeet_bridge.storage.database import Database

NAMING = Naming("test")
EVENT = {
    "event_id": "$lost",
    "type": "m.room.message",
    "sender": "@ann:test",
    "origin_server_ts": 1,
    "content": {"body": "hi"},
}
ANSWER = {"next_batch": "s2", "rooms": {"join": {"!room": {"timeline": {"events": [EVENT]}}}}}


class Homeserver:
    """Answers every ``/sync`` with one event."""

    async def sync(self, *_: Any) -> SyncAnswer:
        """The same each time."""
        return msgspec.json.decode(msgspec.json.encode(ANSWER), type=SyncAnswer)


async def test_streams_hear_what_the_log_holds_before_it_is_repaired(database_url: str) -> None:
    database = Database(database_url)
    delivered, asked = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        asked.set()
        await delivered.wait()

    ingest = Ingest(database, NAMING, lambda _: None, lambda _: None)
    unused: Any = None
    repair = Repair(
        database,
        Homeserver(),  # type: ignore[arg-type]
        unused,
        ingest,
        NAMING,
        "bridge",
        interval=60,
        echo_overdue=60,
        recovered=lambda: None,
        delivered=wait,
    )
    looking = asyncio.create_task(repair.once())
    await asked.wait()
    async with database.connection() as connection:
        assert (await event_log.head(connection)).position == 0
        assert await repair_mark.get(connection) is None
    delivered.set()
    assert await looking == 1
    async with database.connection() as connection:
        assert (await event_log.head(connection)).position == 1
        assert await repair_mark.get(connection) == "s2"
    await database.close()
