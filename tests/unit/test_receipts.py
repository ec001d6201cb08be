"""Receipts: forward only, shown to readers, and told to the homeserver when it listens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import create_autospec

import msgspec
import pytest

from openmeet_bridge.bridge import receipts as receipts_module
from openmeet_bridge.bridge.ephemeral import EphemeralEvents
from openmeet_bridge.bridge.receipts import Receipts
from openmeet_bridge.bridge.rights import Actor
from openmeet_bridge.bridge.typing import Typing
from openmeet_bridge.core.errors import NotFound
from openmeet_bridge.core.events import Ephemeral
from openmeet_bridge.core.ids import EventId, Mxid, Position, RoomId, TenantId, UserSlug
from openmeet_bridge.matrix.errors import HomeserverUnavailable, RateLimited, Refused
from openmeet_bridge.matrix.homeserver import Homeserver
from openmeet_bridge.storage import preferences
from openmeet_bridge.storage.preferences import Preferences
from openmeet_bridge.storage.read_marks import ReadMark
from openmeet_bridge.stream.broadcast import Broadcast
from openmeet_bridge.stream.bus import LocalBus
from openmeet_bridge.stream.frames import Frame
from openmeet_bridge.stream.hub import Hub

from ..support.house import LAKE, NAMING, ROOM, SEA, House, ghost, house_at
from ..support.waiting import eventually

ANN, BEN, CLEO = ghost("ann"), ghost("ben"), ghost("cleo")
OTHER = RoomId("!other")
STRANGER = Mxid("@stranger:elsewhere")


def slug_of(mxid: Mxid) -> UserSlug:
    return UserSlug("ann" if mxid == ANN else "cleo")


class Listener(Homeserver):
    """Notes receipts, and fails when told to."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.failures: list[Exception] = []

    async def receipt(
        self, room_id: str, event_id: str, user_id: str, receipt_type: str = "m.read"
    ) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.told.append((user_id, event_id))


class Readers(Hub):
    """Notes what is told to rooms."""

    def __init__(self) -> None:
        super().__init__("0badcafe", Position(0))
        self.seen: list[dict[str, Any]] = []

    def to_room(self, room_id: RoomId, frame: Frame) -> None:
        data = json.loads(frame.data)
        assert (frame.type, data["room_id"]) == ("receipt", room_id)
        self.seen.append(data)


class World:
    def __init__(self, house: House, said: list[EventId]) -> None:
        self.house, self.said = house, said
        self.homeserver, self.readers = Listener(), Readers()
        self.changed: list[tuple[RoomId, Mxid]] = []
        self.receipts = Receipts(
            house.database,
            self.homeserver,
            Broadcast(self.readers, LocalBus()),
            NAMING.bot,
            self.changed.extend,
        )

    async def reads(self, index: int, mxid: Mxid = ANN, tenant: TenantId = LAKE) -> None:
        actor = Actor(tenant, slug_of(mxid), mxid, ROOM)
        await self.receipts.mark(actor, self.said[index], 1000 + index)

    @asynccontextmanager
    async def telling(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.receipts.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def told(self, *expected: tuple[Mxid, EventId]) -> None:
        async def all_told() -> bool:
            return self.homeserver.told == list(expected)

        await eventually(all_told, f"told {expected}")


@pytest.fixture
async def world(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(receipts_module, "_PAUSE", 0.005)
    async with house_at(database_url) as house:
        await house.user("ann")
        await house.user("ben")
        await house.user("cleo")
        await house.room(ANN, BEN, CLEO)
        yield World(house, await house.says(BEN, 3))


async def test_a_mark_is_shown_and_told(world: World) -> None:
    async with world.telling():
        await world.reads(1)
        await world.told((ANN, world.said[1]))
    (seen,) = world.readers.seen
    assert (seen["user"]["name"], seen["event_id"]) == ("Ann", world.said[1])
    assert seen["timestamp"] == 1001
    assert len(seen["order"]) == 16


async def test_never_back_and_never_twice(world: World) -> None:
    await world.reads(1)
    await world.reads(0)
    await world.reads(1)
    await world.reads(2)
    assert [seen["event_id"] for seen in world.readers.seen] == [world.said[1], world.said[2]]


async def test_what_the_homeserver_says_counts_and_its_echo_does_not(world: World) -> None:
    await world.reads(1)
    echo = ReadMark(ROOM, ANN, world.said[1], 5)
    old = ReadMark(ROOM, ANN, world.said[0], 5)
    new = ReadMark(ROOM, CLEO, world.said[2], 5)
    await world.receipts.heard([echo, old, new])
    assert [seen["user"]["name"] for seen in world.readers.seen] == ["Ann", "Cleo"]
    async with world.telling():
        await world.told((ANN, world.said[1]))  # what it said itself it is not told


UNREADABLE_RECEIPTS = (
    b'{"$x":' * 3000,
    b"[]",
    b'{"\xff":{}}',
    b'{"$x":{"m.read":{"@a:b":{"ts":' + b"9" * 5000 + b"}}}}",
)


async def test_a_receipt_that_cannot_be_read_costs_only_itself(world: World) -> None:
    good = json.dumps({world.said[1]: {"m.read": {CLEO: {"ts": 7}}}}).encode()
    contents = (*UNREADABLE_RECEIPTS, good)
    events = [Ephemeral("m.receipt", msgspec.Raw(one), ROOM) for one in contents]
    silent = create_autospec(Typing, instance=True)
    broadcast = Broadcast(world.readers, LocalBus())
    ephemeral = EphemeralEvents(silent, world.receipts, None, broadcast, NAMING.bot)
    await ephemeral.heard(events)
    assert [seen["user"]["name"] for seen in world.readers.seen] == ["Cleo"]


async def test_who_is_not_in_the_room_is_not_shown(world: World) -> None:
    await world.receipts.heard([ReadMark(ROOM, STRANGER, world.said[0], 5)])
    await world.receipts.heard([ReadMark(ROOM, ANN, EventId("$unknown"), 5)])
    await world.receipts.heard([])
    assert world.readers.seen == []


async def test_marks_are_for_members_and_events_of_the_room(world: World) -> None:
    for tenant, mxid in ((LAKE, STRANGER), (SEA, ANN)):
        with pytest.raises(NotFound):
            await world.reads(0, mxid, tenant)
    await world.house.room(BEN, room_id=OTHER, slug="sailors")
    (elsewhere,) = await world.house.says(BEN, room_id=OTHER)
    for event_id in (elsewhere, EventId("$unknown")):
        with pytest.raises(NotFound) as caught:
            await world.receipts.mark(Actor(LAKE, slug_of(ANN), ANN, ROOM), event_id, 1)
        assert list(caught.value.fields) == ["body.event_id"]
    assert world.readers.seen == []


async def test_a_slow_homeserver_gets_the_newest_only(world: World) -> None:
    for index in range(3):
        await world.reads(index)
    async with world.telling():
        await world.told((ANN, world.said[2]))


async def test_a_homeserver_that_is_away_is_told_later(world: World) -> None:
    world.homeserver.failures = [
        HomeserverUnavailable("away"),
        RateLimited("slow down", retry_after_ms=1),
    ]
    async with world.telling():
        await world.reads(0)
        await world.told((ANN, world.said[0]))


async def test_what_is_refused_is_let_go(world: World) -> None:
    world.homeserver.failures = [Refused(403, "M_FORBIDDEN", "No.")]
    async with world.telling():
        await world.reads(0)
        await world.reads(0, CLEO)
        await world.told((CLEO, world.said[0]))


async def test_too_many_that_wait_are_dropped_but_kept_by_us(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipts_module, "_WAITING", 1)
    await world.reads(0)
    await world.reads(0, CLEO)
    await world.reads(1)
    assert len(world.readers.seen) == 3
    async with world.telling():
        await world.told((ANN, world.said[1]))


async def test_private_reading_is_nobodys_business(world: World) -> None:
    actor = Actor(LAKE, slug_of(ANN), ANN, ROOM)
    await world.receipts.mark(actor, world.said[0], 1, private=True)
    async with world.house.database.transaction() as connection:
        chosen = Preferences(receipts=False)
        await preferences.put(connection, LAKE, slug_of(ANN), chosen)
    await world.reads(1)
    assert world.readers.seen == []
    assert world.changed == [(ROOM, ANN)] * 2  # but their own streams are told
    assert await world.receipts.readers(actor, world.said[0]) == []
    await world.reads(2, CLEO)
    async with world.telling():
        await world.told((CLEO, world.said[2]))
    ((person, timestamp),) = await world.receipts.readers(actor, world.said[2])
    assert (person.name, timestamp) == ("Cleo", 1002)
    with pytest.raises(NotFound):
        await world.receipts.readers(Actor(SEA, slug_of(ANN), ANN, ROOM), world.said[0])
    with pytest.raises(NotFound):
        await world.receipts.readers(actor, EventId("$nothing"))


async def test_who_came_late_may_not_read_up_to_what_is_hidden(world: World) -> None:
    hidden = {"history_visibility": "joined"}
    await world.house.state(NAMING.bot, "m.room.history_visibility", "", hidden)
    (before,) = await world.house.says(BEN)
    dora = await world.house.user("dora")
    await world.house.member(dora, "join")
    actor = Actor(LAKE, UserSlug("dora"), dora, ROOM)
    with pytest.raises(NotFound):
        await world.receipts.mark(actor, before, 1)
    with pytest.raises(NotFound):
        await world.receipts.readers(actor, before)
    (after,) = await world.house.says(BEN)
    await world.receipts.mark(actor, after, 1)
