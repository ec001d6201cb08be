"""Turns: several workers send what waits for rooms, each message once and in order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from openmeet_bridge.bridge.delivery import Delivery
from openmeet_bridge.bridge.duties import Duties
from openmeet_bridge.core.ids import ClientTxnId, EventId, RoomId, UserSlug
from openmeet_bridge.storage import outbox, room_turns
from openmeet_bridge.storage.database import Database
from openmeet_bridge.storage.instance import InstanceLock
from openmeet_bridge.storage.outbox import Message
from openmeet_bridge.storage.room_turns import Attempt, Next

from ..support.house import LAKE, ROOM, ghost
from ..support.waiting import eventually
from ..support.workers import bury, enter

ROOMS = [RoomId(f"!room{number}") for number in range(5)]
EACH = 10


class Box:
    """The outbox, with hands on it."""

    def __init__(self, database: Database, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self.database = database
        self.connection = connection

    async def put(self, name: str, room_id: RoomId = ROOM) -> Message:
        message, _ = await outbox.put(
            self.connection,
            LAKE,
            UserSlug("ann"),
            ClientTxnId(name),
            room_id,
            ghost("ann"),
            b'{"body":"%b"}' % name.encode(),
        )
        return message

    async def sent(self, message: Message, worker: str | None = None) -> None:
        await outbox.mark_sent(self.connection, message.id, EventId(f"${message.id}"), worker)

    async def next(self, worker: str) -> Next:
        return await room_turns.next_pending(self.connection, ROOM, worker)

    async def attempt(self, message: Message, worker: str) -> Attempt:
        return await room_turns.attempt(self.connection, message, worker)

    async def turns(self) -> list[tuple[str, bool]]:
        rows = await self.connection.fetch("SELECT worker, called FROM room_turn ORDER BY room_id")
        return [(row["worker"], row["called"]) for row in rows]


@pytest.fixture
async def box(database_url: str) -> AsyncIterator[Box]:
    database = Database(database_url)
    connection = await asyncpg.connect(database_url)
    for worker in ("one", "two"):
        await enter(connection, worker)
    yield Box(database, connection)
    await connection.close()
    await database.close()


async def test_a_room_is_one_workers_turn(box: Box) -> None:
    first, second = await box.put("1"), await box.put("2")
    assert await box.attempt(first, "one") is Attempt.MADE
    assert await box.attempt(first, "two") is Attempt.ANOTHERS
    assert await box.attempt(first, "nobody") is Attempt.ANOTHERS
    assert await room_turns.pending_rooms(box.connection, "two") == []
    assert await room_turns.pending_rooms(box.connection, "one") == [ROOM]
    await box.sent(first)
    assert await box.attempt(second, "one") is Attempt.MADE  # the call is answered by going on
    await box.sent(second)
    assert await box.next("two") == Next(None, called=False)
    assert await box.turns() == [("one", False)]
    assert await box.next("one") == Next(None, called=False)
    assert await box.turns() == []


async def test_the_turn_goes_with_the_last_message(box: Box) -> None:
    first, second = await box.put("1"), await box.put("2")
    await box.put("3", RoomId("!elsewhere"))
    for one, turns in ((first, [("one", False)]), (second, [])):
        assert await box.attempt(one, "one") is Attempt.MADE
        await box.sent(one, "two")
        assert await box.turns() == [("one", False)]
        await box.sent(one, "one")
        assert await box.turns() == turns
    third = await box.put("4")
    assert await box.attempt(third, "one") is Attempt.MADE
    assert await box.attempt(third, "two") is Attempt.ANOTHERS
    await box.sent(third, "one")
    assert await box.turns() == [("one", True)]


async def test_nobody_goes_who_was_called_for(box: Box) -> None:
    first = await box.put("1")
    assert await box.attempt(first, "one") is Attempt.MADE
    second = await box.put("2")
    assert await box.attempt(second, "two") is Attempt.ANOTHERS
    await box.sent(first)
    await box.sent(second)  # as if it had been taken back
    assert await box.next("one") == Next(None, called=True)
    assert await box.next("one") == Next(None, called=False)
    assert await box.turns() == []


async def test_a_call_that_comes_while_the_turn_is_given_back_is_heard(box: Box) -> None:
    """What both see of each other depends on who commits first: neither way is a message left."""
    first = await box.put("1")
    assert await box.attempt(first, "one") is Attempt.MADE
    await box.sent(first)
    second = await box.put("2")
    async with box.database.connection() as other:
        turn = other.transaction()
        await turn.start()
        assert await room_turns.attempt(other, second, "two") is Attempt.ANOTHERS
        await box.connection.execute("UPDATE outbox SET state = 'sent'")
        going = asyncio.create_task(box.next("one"))
        await asyncio.sleep(0.1)  # it waits for the row, which the call holds
        await turn.commit()
        assert await going == Next(None, called=True)


async def test_the_turns_of_the_dead_are_free(box: Box) -> None:
    message = await box.put("1")
    elsewhere = await box.put("2", RoomId("!quiet"))
    for one in (message, elsewhere):
        assert await box.attempt(one, "one") is Attempt.MADE
    await bury(box.connection, "one")
    assert set(await room_turns.pending_rooms(box.connection, "two")) == {ROOM, RoomId("!quiet")}
    assert await box.attempt(message, "two") is Attempt.MADE
    assert await box.attempt(message, "one") is Attempt.ANOTHERS
    await room_turns.forget_dead(box.connection)
    assert await box.turns() == [("two", False)]


class Stage:
    """A homeserver that notes what it gets, and forgets no transaction id; slow now and then."""

    def __init__(self) -> None:
        self.heard: dict[RoomId, list[str]] = {room: [] for room in ROOMS}
        self.calls = 0
        self._known: dict[str, EventId] = {}
        self._random = random.Random(7)

    async def send_event(
        self, room_id: RoomId, kind: str, txn_id: str, content: bytes, *_: Any
    ) -> EventId:
        self.calls += 1
        if txn_id not in self._known:
            self._known[txn_id] = EventId(f"${len(self._known)}")
            self.heard[room_id].append(content.decode().split('"')[3])
        await asyncio.sleep(self._random.choice((0, 0, 0.003)))
        return self._known[txn_id]

    async def ensure(self, *_: Any) -> None:
        """Everybody exists."""


async def _nobody(*_: object) -> bool:
    return False


class Sender:
    """A worker that does nothing but send."""

    def __init__(self, dsn: str, stage: Stage) -> None:
        self.database = Database(dsn, size=4)
        # However slow the machine is, nobody is given up but who is buried by hand.
        self.duties = Duties(InstanceLock(dsn, shared=True), [], lease=600.0, renewed=0.1)
        self.settled: list[int] = []
        play: Any = stage
        self.delivery = Delivery(
            self.database,
            play,
            play,
            self.duties,
            settled=self.settled.append,
            failed=lambda _: None,
            unreachable=lambda: None,
            readmitted=_nobody,
        )
        self.duties.gone = self.delivery.take_over
        self._loops: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self.duties.begin()
        loops = (self.duties.run(), self.delivery.run())
        self._loops = [asyncio.ensure_future(one) for one in loops]

    async def kill(self) -> None:
        """Ends as a process that is killed: nothing is given back."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self.delivery.stop()

    async def end(self) -> None:
        await self.kill()
        await self.duties.end()
        await self.database.close()


@pytest.mark.parametrize("killed", [False, True])
async def test_two_workers_send_everything_once_and_in_order(
    box: Box, database_url: str, killed: bool
) -> None:
    stage = Stage()
    both = [Sender(database_url, stage) for _ in range(2)]
    for one in both:
        await one.start()
    for number in range(EACH):
        for room in ROOMS:
            await box.put(f"{room} {number}", room)
            # Whoever gets it from a browser is another one each time.
            both[number % 2].delivery.wake(room)
        if killed and number == EACH // 2:
            await both[0].kill()
            await bury(box.connection, both[0].duties.worker)

    async def done() -> bool:
        return await outbox.pending_total(box.connection) == 0

    await eventually(done, "all is sent", poll=0.02)
    for room in ROOMS:
        assert stage.heard[room] == [f"{room} {number}" for number in range(EACH)]
    if not killed:
        assert stage.calls == EACH * len(ROOMS)
        everything = sorted(both[0].settled + both[1].settled)
        assert len(everything) == len(set(everything)) == EACH * len(ROOMS)

    async def free() -> bool:
        return not await box.turns()

    await eventually(free, "the turns are given back", poll=0.02)
    for one in both:
        await one.end()
