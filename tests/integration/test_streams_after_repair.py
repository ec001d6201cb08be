"""What streams see when repair finds that things happened in another order than they came."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence

import pytest

from openmeet_bridge.bridge.ingest import Ingest
from openmeet_bridge.bridge.log_view import LogView
from openmeet_bridge.core.entry import LogEntry
from openmeet_bridge.core.events import Event
from openmeet_bridge.core.ids import Mxid, Position, RoomId, TenantId
from openmeet_bridge.core.naming import Naming
from openmeet_bridge.storage.database import Database

from ..stream.true_room import TrueRoom

LAKE = TenantId("lake")
ANN, BEN = Mxid("@om_lake_ann:test"), Mxid("@om_lake_ben:test")
END = Position(1 << 40)


class World:
    """A room as the homeserver has it, and the log as it came to be."""

    def __init__(self, database: Database) -> None:
        self.room = TrueRoom(RoomId("!room"), LAKE)
        self.view = LogView(database)
        self.head = Position(0)
        self._ingest = Ingest(database, Naming("test"), self._grown, lambda _: None)

    async def push(self, *events: Event) -> None:
        await self._ingest.push("1", events, [])

    async def repair(self) -> int:
        return await self._ingest.repair(self.room.room_id, self.room.events, self.head)

    async def fed(self, after: int = 0) -> list[LogEntry]:
        found, _ = await self.view.after(Position(after), 100)
        return found

    async def missed(self, who: Mxid, after: int) -> list[tuple[str, bool | None, bool]]:
        found = await self.view.missed(LAKE, who, Position(after), END, 100)
        return [
            (one.entry.event_id, one.effect.joined if one.effect else None, readable)
            for one, readable in found
        ]

    async def rooms(self, who: Mxid) -> frozenset[RoomId]:
        return (await self.view.standing(LAKE, who)).rooms

    def _grown(self, position: Position, topics: Collection[str]) -> None:
        self.head = position


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    database = Database(database_url)
    made = World(database)
    await made.push(*made.room.events)
    yield made
    await database.close()


def ids(found: Sequence[LogEntry]) -> list[str]:
    return [one.entry.event_id for one in found]


async def test_a_going_in_the_wrong_place_stays_where_it_took_effect(world: World) -> None:
    come = world.room.come_or_go(ANN, 0)
    messages = [world.room.message(), world.room.message()]
    go = world.room.come_or_go(ANN, 0)
    await world.push(come)
    before = world.head
    await world.push(go)
    await world.push(*messages)
    assert await world.repair() == 1
    fed = await world.fed(before)
    # A feed that lags must come to the going first, or Ann would get what was said after it.
    assert ids(fed) == [go.event_id, *(one.event_id for one in messages)]
    by_order = sorted(fed, key=lambda one: one.entry.order)
    assert ids(by_order) == [*(one.event_id for one in messages), go.event_id]
    # And who was away since before learns of it.
    assert await world.missed(ANN, before) == [(go.event_id, False, False)]


async def test_a_coming_in_the_wrong_place_is_still_told(world: World) -> None:
    before = world.head
    messages = [world.room.message(), world.room.message()]
    come = world.room.come_or_go(ANN, 0)
    await world.push(come)
    await world.push(*messages)
    assert await world.repair() == 1
    assert (await world.missed(ANN, before))[0] == (come.event_id, True, True)


async def test_a_kick_that_was_overtaken_takes_effect_when_that_is_found(world: World) -> None:
    come, rename = world.room.come_or_go(ANN, 0), world.room.rename(ANN)
    kick = world.room.come_or_go(ANN, 1)
    await world.push(come)
    began = world.head
    await world.push(kick)
    await world.push(rename)
    before = world.head
    assert await world.rooms(ANN) == {world.room.room_id}
    await world.repair()
    assert await world.rooms(ANN) == frozenset()
    # It is told by the entry that wrongly brought her in, and the kick stays where it was.
    fed = await world.fed(began)
    assert ids(fed) == [kick.event_id, rename.event_id]
    told = fed[1].effect
    assert fed[1].position > before
    assert told is not None
    assert (told.user.mxid, told.joined) == (ANN, False)
    assert (told.membership, told.by_self) == ("leave", False)
    assert [effect for _, effect, _ in await world.missed(ANN, before)] == [False]


async def test_a_return_that_was_overtaken_takes_effect_when_that_is_found(world: World) -> None:
    come, go = world.room.come_or_go(ANN, 0), world.room.come_or_go(ANN, 0)
    back = world.room.come_or_go(ANN, 0)
    await world.push(come, back)
    await world.push(go)
    before = world.head
    assert await world.rooms(ANN) == frozenset()
    await world.repair()
    later = world.room.message()
    await world.push(later)
    assert await world.rooms(ANN) == {world.room.room_id}
    told = await world.missed(ANN, before)
    assert told[-1] == (later.event_id, None, True)
    assert [effect for _, effect, _ in told if effect is not None] == [True]


async def test_a_change_between_two_ways_of_being_out_is_told_to_nobody(world: World) -> None:
    come, go = world.room.come_or_go(ANN, 0), world.room.come_or_go(ANN, 0)
    invite = world.room.rename(ANN)
    await world.push(come, invite)
    await world.push(go)
    await world.push(world.room.come_or_go(BEN, 0))
    before = world.head
    await world.repair()
    assert await world.rooms(ANN) == frozenset()
    assert not [one for one in await world.fed(before) if one.effect]


async def test_a_room_whose_first_event_comes_late_is_seen_from_then_on(world: World) -> None:
    late = TrueRoom(RoomId("!late"), LAKE)
    (create,) = late.events
    early, come, message = late.message(), late.come_or_go(ANN, 0), late.message()
    before = world.head
    await world.push(early, come, message)
    assert (ids(await world.fed(before)), await world.rooms(ANN)) == ([], frozenset())
    seen = world.head
    await world.push(create)
    assert await world.rooms(ANN) == {late.room_id}
    # Streams are past the old positions: all of it has new ones.
    wanted = [early.event_id, come.event_id, message.event_id, create.event_id]
    assert ids(await world.fed(seen)) == wanted
    assert await world.missed(ANN, seen) == [
        (come.event_id, True, True),
        (message.event_id, None, True),
        (create.event_id, None, True),
    ]
