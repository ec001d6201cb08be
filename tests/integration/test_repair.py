"""Repair: what it waits for, and what must not stop it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from openmeet_bridge.bridge.ingest import Ingest
from openmeet_bridge.bridge.repair import Repair
from openmeet_bridge.core.naming import Naming
from openmeet_bridge.matrix.answers import MessagesAnswer, SyncAnswer
from openmeet_bridge.matrix.errors import RateLimited
from openmeet_bridge.storage import event_log, repair_mark
from openmeet_bridge.storage.database import Database

NAMING = Naming("test")
Delivered = Callable[[], Awaitable[None]]
EVENT = {
    "event_id": "$lost",
    "type": "m.room.message",
    "sender": "@ann:test",
    "origin_server_ts": 1,
    "content": {"body": "hi"},
}
ANSWER = {"next_batch": "s2", "rooms": {"join": {"!room": {"timeline": {"events": [EVENT]}}}}}
LONG = {"events": [EVENT], "limited": True, "prev_batch": "p1"}


class Homeserver:
    """Answers every ``/sync`` with one event."""

    def __init__(self, timeline: dict[str, Any] | None = None) -> None:
        self.answer = ANSWER if timeline is None else {**ANSWER}
        if timeline is not None:
            self.answer["rooms"] = {"join": {"!room": {"timeline": timeline}}}

    async def sync(self, *_: Any) -> SyncAnswer:
        """The same each time."""
        return msgspec.json.decode(msgspec.json.encode(self.answer), type=SyncAnswer)


class BusyHomeserver(Homeserver):
    """Says "not so fast" to every other question."""

    def __init__(self) -> None:
        super().__init__(LONG)
        self.asked: list[str] = []

    async def sync(self, *_: Any) -> SyncAnswer:
        """The newest event of a longer span."""
        self._maybe_not("sync")
        return await super().sync()

    async def messages(self, *_: Any) -> MessagesAnswer:
        """The one before."""
        self._maybe_not("messages")
        older = msgspec.Raw(msgspec.json.encode({**EVENT, "event_id": "$older"}))
        return MessagesAnswer("p1", None, [older])

    def _maybe_not(self, what: str) -> None:
        self.asked.append(what)
        if self.asked.count(what) % 2:
            raise RateLimited("not so fast", retry_after_ms=1)


def repair_of(database: Database, homeserver: Homeserver, delivered: Delivered) -> Repair:
    """A repair that looks when it is told to."""
    unused: Any = None
    return Repair(
        database,
        homeserver,  # type: ignore[arg-type]
        unused,
        Ingest(database, NAMING, lambda *_: None, lambda _: None),
        NAMING,
        "bridge",
        interval=60,
        echo_overdue=60,
        recovered=lambda: None,
        delivered=delivered,
    )


async def at_once() -> None:
    """Nothing to wait for."""


async def test_a_homeserver_that_says_not_so_fast_is_asked_again(database_url: str) -> None:
    database, homeserver = Database(database_url), BusyHomeserver()
    assert await repair_of(database, homeserver, at_once).once() == 2
    assert homeserver.asked == ["sync", "sync", "messages", "messages"]
    await database.close()


async def test_streams_hear_what_the_log_holds_before_it_is_repaired(database_url: str) -> None:
    database = Database(database_url)
    delivered, asked = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        asked.set()
        await delivered.wait()

    repair = repair_of(database, Homeserver(), wait)
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
