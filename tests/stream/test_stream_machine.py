"""Streams driven at random: no gap, no double, nothing for those who are not in a room."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine, Iterator
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from openmeet_bridge.bridge.log_view import LogView
from openmeet_bridge.core.events import Event
from openmeet_bridge.core.ids import Mxid, Position, RoomId, TenantId

from .machine import A, B, StreamMachine, exploring, some
from .memory_log import MemoryLog
from .true_room import TrueRoom
from .truth import Truth
from .written_log import WrittenLog

ACTIONS = ("message",) * 4 + ("come or go",) * 4 + ("change of name", "move", "overturn")
USERS = ("a_1", "a_2", "b_1")
HAPPENINGS = ("message",) * 3 + ("come",) * 4 + ("rename",)
actions = st.sampled_from(ACTIONS)
happenings = st.sampled_from(HAPPENINGS)
# Most concerns one room and one person: only so things come to cross each other.
rooms = st.sampled_from([0] * 6 + [1, 1, 2, 3])
people = st.sampled_from([0] * 4 + [1, 1, 2])
fates = st.sampled_from(["pushed"] * 4 + ["held", "lost"])

Transaction = tuple[list[tuple[str, int, int, str]], bool, int, bool]
transactions = st.tuples(
    st.lists(st.tuples(happenings, rooms, people, fates), min_size=2, max_size=6),
    st.booleans(),  # whether it brings what was held back before
    some,  # what it brings again
    st.booleans(),  # whether it is upside down
)


class InMemory(StreamMachine):
    """The real hub, streams and feed over a log in memory."""

    users = {Mxid("@a_1:test"): A, Mxid("@a_2:test"): A, Mxid("@b_1:test"): B}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        tenants = {RoomId("!a1"): A, RoomId("!a2"): A, RoomId("!b1"): B}
        self.rooms = list(tenants)
        self.memory = MemoryLog(tenants, Position(5))
        for mxid, tenant in self.users.items():
            for room_id in tenants:
                if tenants[room_id] == tenant:
                    self.memory.append(room_id, mxid, joined=True)
        truth = Truth(tenants, Position(5))
        truth.observe(self.memory.versions(Position(5)), self.memory.head)
        self.build(self.memory, "0badcafe", truth)

    @rule(what=st.lists(st.tuples(actions, rooms, people, some), min_size=1, max_size=5))
    def the_log_grows(self, what: list[tuple[str, int, int, int]]) -> None:
        """By one commit. People come even into rooms of another tenant: they must get nothing."""
        for action, room, user, which in what:
            room_id, mxid = self.rooms[room % 3], self._user(user)
            inside = self.memory.is_in(room_id, mxid)
            match action:
                case "message":
                    self.memory.append(room_id)
                case "come or go":
                    self.memory.append(room_id, mxid, joined=not inside)
                case "change of name":
                    self.memory.append(room_id, mxid, joined=inside)
                case "move":
                    self.memory.move(which)
                case "overturn":
                    self.memory.overturn(room_id, mxid)
        self.truth.observe(self.memory.versions(self.truth.head), self.memory.head)
        self.run(asyncio.sleep(0))

    async def finish_writing(self) -> None:
        """One message more in each room: who wrongly follows it is found out."""
        for room_id in self.rooms:
            self.memory.append(room_id)
        self.truth.observe(self.memory.versions(self.truth.head), self.memory.head)


class OnPostgres(StreamMachine):
    """The same, and ingest, over a log in PostgreSQL."""

    replay_entries = 100
    dsn: ClassVar[str]
    worlds: ClassVar[Iterator[int]] = itertools.count(1)

    def __init__(self) -> None:
        super().__init__()
        # Every example has rooms and people of its own; so they need not clean up.
        world = next(self.worlds)
        self.users = {Mxid(f"@om_{name}_{world:04}:test"): TenantId(name[0]) for name in USERS}
        self.written = WrittenLog(self.dsn)
        owners = {"a1": A, "a2": A, "b1": B, "none": None}
        self.true = [TrueRoom(RoomId(f"!{name}-{world:04}"), owners[name]) for name in owners]
        tenants = {
            room.room_id: tenant
            for room, tenant in zip(self.true, owners.values(), strict=True)
            if tenant is not None
        }
        # All cursors are equally long, or an example would not be the same when it is run again.
        self.run(self.written.leap(Position((1 << 28) + (world << 16))))
        head = self.run(self.written.head())
        self.build(LogView(self.written.database), head.epoch, Truth(tenants, head.position))
        for mxid, tenant in self.users.items():
            for room in self.true:
                if tenants.get(room.room_id) == tenant:
                    room.come_or_go(mxid, 0)
        # Of one room the first event comes late: until then nobody knows whose it is.
        late = self.true[1]
        late.held = late.events[:1]
        events = [event for room in self.true for event in room.events]
        self._write(self.written.ingest.push("0", [e for e in events if e not in late.held], ()))
        self.run(self.finish_commit())
        self.fetched: tuple[TrueRoom, list[Event], Position] | None = None

    @precondition(lambda self: self.written.writing is None)
    @rule(transaction=transactions)
    def a_transaction_comes(self, transaction: Transaction) -> None:
        """It stands still before its commit."""
        self._write(self.written.ingest.push("1", self._happen(*transaction), ()))

    @precondition(lambda self: self.written.writing is None)
    @rule(several=st.lists(transactions, min_size=2, max_size=5))
    def transactions_come(self, several: list[Transaction]) -> None:
        """One after another."""
        for transaction in several:
            self.a_transaction_comes(transaction)
            self.the_commit_happens()

    @precondition(lambda self: not self.written.writing and not self.feeding)
    @rule(number=rooms, depth=st.integers(5, 20))
    def repair_looks(self, number: int, depth: int) -> None:
        """And finds what has been lost or overtaken."""
        self.fetched = None
        self.repair_fetches(number, depth)
        self.repair_writes()

    def _happen(
        self, what: list[tuple[str, int, int, str]], held: bool, again: int, upside_down: bool
    ) -> list[Event]:
        """Let things happen; return what is pushed of them, and of what happened before."""
        pushed = []
        for action, number, user, fate in what:
            room, mxid = self.true[number], self._user(user)
            if action == "message":
                event = room.message()
            else:
                event = room.come_or_go(mxid, again) if action == "come" else room.rename(mxid)
            if fate == "held":
                room.held.append(event)
            elif fate == "pushed":
                pushed.append(event)
            if held:
                pushed += room.held
                room.held = []
            if again % 5 == 0:
                pushed += room.events[: again % len(room.events)]
        return pushed[:: -1 if upside_down else 1]

    @precondition(lambda self: self.fetched is None)
    @rule(number=rooms, depth=st.integers(1, 12))
    def repair_fetches(self, number: int, depth: int) -> None:
        """What the homeserver has of a room, from some moment on."""

        async def fetch() -> None:
            room, head = self.true[number], await self.written.head()
            self.fetched = room, room.events[-depth:], head.position

        self.run(fetch())

    @precondition(lambda self: self.fetched and not self.written.writing and not self.feeding)
    @rule()
    def repair_writes(self) -> None:
        """Some time after it has fetched."""
        assert self.fetched is not None
        room, span, fetched_at = self.fetched
        self.fetched = None
        # Who is overturned twice must have been seen in between; repairs are far apart.
        self.run(self._catch_up())
        self._write(self.written.ingest.repair(room.room_id, span, fetched_at))

    @precondition(lambda self: self.written.writing is not None)
    @rule()
    def the_commit_happens(self) -> None:
        """Until now nobody has seen anything of it."""
        self.run(self.finish_commit())

    async def finish_commit(self) -> None:
        """Commit, and compare what the log says with what it should."""
        if self.written.writing is None:
            return
        await self.written.finish()
        self.truth.observe(*await self.written.versions(self.truth.head, self._is_ours))
        for room_id in self.truth.tenants:
            kept, newest = await self.written.joined(room_id)
            assert kept == newest
            known = await self.written.is_known(room_id)
            assert self.truth.members(room_id) == (newest if known else set())

    async def finish_writing(self) -> None:
        """Repair everything: now the log must be as the homeserver has it."""
        for room in self.true:
            room.message()
            head = await self.written.head()
            work = self.written.ingest.repair(room.room_id, room.events, head.position)
            self.written.start(work)
            await self.finish_commit()
            assert await self.written.timeline(room.room_id) == [e.event_id for e in room.events]
            if self._is_ours(room.room_id):
                assert self.truth.members(room.room_id) == room.joined

    async def close(self) -> None:
        """Give back the connections."""
        await self.written.database.close()

    def _is_ours(self, room_id: RoomId) -> bool:
        return room_id in self.truth.tenants

    def _write(self, work: Coroutine[Any, Any, int]) -> None:
        async def start() -> None:
            self.written.start(work)
            await self.written.gate.settle()

        self.run(start())


# When one fails, it takes long until the shortest way to the failure is found.
@pytest.mark.timeout(600)
def test_streams_over_a_log_in_memory() -> None:
    run_state_machine_as_test(InMemory, settings=exploring(150, 50))


@pytest.mark.timeout(600)
def test_streams_over_a_log_in_postgres(database_url: str) -> None:
    machine = type("OnThisPostgres", (OnPostgres,), {"dsn": database_url})
    run_state_machine_as_test(machine, settings=exploring(30, 40))
