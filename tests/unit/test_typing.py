"""Typing: shown at once, told to the homeserver once in a while, and never stuck."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from openmeet_bridge.bridge import typing as typing_module
from openmeet_bridge.bridge import typing_notices
from openmeet_bridge.bridge.typing import Typing
from openmeet_bridge.core.entry import LogEntry, Person
from openmeet_bridge.core.errors import NotFound
from openmeet_bridge.core.ids import Mxid, Position, RoomId
from openmeet_bridge.core.typists import ECHO_SECONDS, HERE_SECONDS, THERE_SECONDS
from openmeet_bridge.matrix.errors import HomeserverUnavailable
from openmeet_bridge.matrix.homeserver import Homeserver
from openmeet_bridge.stream.broadcast import Broadcast
from openmeet_bridge.stream.bus import LocalBus
from openmeet_bridge.stream.frames import SSE, Frame
from openmeet_bridge.stream.hub import Hub
from openmeet_bridge.stream.subscriber import Subscriber

from ..support.clock import Clock
from ..support.databases import Databases
from ..support.house import LAKE, ROOM, SEA, House, ghost, house_at
from ..support.log_entries import moved, person, said
from ..support.sinks import MemorySink
from ..support.waiting import eventually

ANN, BEN = ghost("ann"), ghost("ben")
FRIEND, STRANGER = Mxid("@friend:elsewhere"), Mxid("@stranger:elsewhere")
OTHER = RoomId("!other")

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Deaf(Homeserver):
    """Notes typing notices, or is away."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bool]] = []
        self.away = False
        self.hangs = False

    async def typing(
        self, room_id: str, user_id: str, typing: bool, timeout_ms: int = 30_000
    ) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        self.told.append((user_id, typing))
        assert timeout_ms == HERE_SECONDS * 1000  # so that nobody types for ever there
        if self.away:
            raise HomeserverUnavailable("away")


class Readers(Hub):
    """Notes what is told to rooms that always have readers."""

    def __init__(self) -> None:
        super().__init__("0badcafe", Position(0))
        self.seen: list[list[str]] = []
        self.followed = True

    def has_readers(self, room_id: RoomId) -> bool:
        return self.followed

    def to_room(self, room_id: RoomId, frame: Frame) -> None:
        data = json.loads(frame.data)
        assert (frame.type, data["room_id"]) == ("typing", room_id)
        self.seen.append([user["name"] for user in data["users"]])

    def take(self) -> list[list[str]]:
        """What was told since the last call."""
        seen, self.seen = self.seen, []
        return seen


class World:
    def __init__(self, house: House) -> None:
        self.house, self.homeserver, self.readers = house, Deaf(), Readers()
        self.clock = Clock()
        broadcast = Broadcast(self.readers, LocalBus())
        self.typing = Typing(house.database, self.homeserver, broadcast, self.clock)

    async def ann(self, typing: bool = True) -> None:
        await self.typing.say(LAKE, ROOM, ANN, typing)

    async def ben(self, typing: bool = True) -> None:
        await self.typing.say(LAKE, ROOM, BEN, typing)

    async def told(self) -> list[tuple[str, bool]]:
        """What the homeserver was told since the last call."""
        notices = self.typing.notices
        while notices.waits:
            await notices.step()
        told, self.homeserver.told = self.homeserver.told, []
        return told


def by(sender: Mxid, *, changed: bool = False) -> LogEntry:
    """A message of somebody, or a change of one."""
    logged = said(1)
    entry = msgspec.structs.replace(logged.entry, sender=Person(sender, "", None, None))
    return msgspec.structs.replace(logged, entry=entry, changed=changed)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(databases: Databases) -> AsyncIterator[House]:
    """The same people and rooms for all tests of this module."""
    database_url = databases.create()
    async with house_at(database_url) as house:
        await house.user("ann")
        await house.user("ben")
        await house.room(ANN, BEN, FRIEND)
        await house.room(ANN, room_id=OTHER, slug="sailors")
        yield house
    databases.drop(database_url)


@pytest_asyncio.fixture(loop_scope="module")
async def world(house: House) -> World:
    return World(house)


async def test_what_is_said_here_is_shown_at_once_and_its_echo_changes_nothing(
    world: World,
) -> None:
    world.homeserver.away = True
    await world.ann()
    await world.ben()
    assert world.readers.take() == [["Ann"], ["Ann", "Ben"]]
    await world.typing.heard(ROOM, [BEN, ANN])
    await world.typing.heard(ROOM, [ANN])
    await world.ann(False)
    assert world.readers.take() == [["Ben"]]
    # Late: Ann has stopped, and so does Ben when nothing more is heard of him.
    await world.typing.heard(ROOM, [ANN, BEN])
    world.clock.wait(HERE_SECONDS)
    world.typing.expire()
    assert world.readers.take() == [[]]
    # What is heard long after is no echo: perhaps Ann types with another client.
    world.clock.wait(ECHO_SECONDS)
    await world.typing.heard(ROOM, [ANN])
    assert world.readers.take() == [["Ann"]]


async def test_the_homeserver_is_told_once_in_a_while(world: World) -> None:
    for _ in range(3):
        await world.ann()
    await world.ann(False)
    await world.ann(False)
    assert await world.told() == [(ANN, False)]  # of what was not told yet only the last
    await world.ann()
    assert await world.told() == [(ANN, True)]
    await world.ann()
    assert await world.told() == []
    world.clock.wait(10)
    await world.ann()
    assert await world.told() == [(ANN, True)]
    assert world.readers.take() == [["Ann"], [], ["Ann"]]


async def test_a_homeserver_that_is_away_costs_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.homeserver.away = True
    await world.ann()
    assert await world.told() == [(ANN, True)]
    world.homeserver.away = False
    await world.ann()  # was not told, so it is told now
    assert await world.told() == [(ANN, True)]
    await world.ben()
    world.clock.wait(11)  # too late to be true
    assert await world.told() == []
    monkeypatch.setattr(typing_notices, "_PATIENCE", 0.01)
    world.homeserver.hangs = True
    await world.ben()
    assert await world.told() == []
    world.homeserver.hangs = False
    await world.ben()
    assert await world.told() == [(BEN, True)]


async def test_the_loops_tell_and_expire(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typing_module, "_TICK", 0.001)
    tasks = [asyncio.create_task(one()) for one in (world.typing.run, world.typing.notices.run)]
    try:
        await world.ann()

        async def ann_was_told() -> bool:
            return world.homeserver.told == [(ANN, True)]

        await eventually(ann_was_told, "told")
        world.clock.wait(HERE_SECONDS)

        async def nobody() -> bool:
            return world.readers.seen == [["Ann"], []]

        await eventually(nobody, "nobody types any more")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_message_ends_it_and_so_does_going(world: World) -> None:
    await world.ann()
    await world.typing.heard(ROOM, [FRIEND])
    await world.told()
    world.readers.take()
    world.typing.happened([said(1, OTHER), by(ANN, changed=True)])
    assert world.readers.take() == []
    world.typing.happened([by(ANN), by(FRIEND)])
    assert world.readers.take() == [["friend"], []]
    assert await world.told() == [(ANN, False)]
    # The friend's client has not said yet that they have stopped: they stay in the list.
    await world.typing.heard(ROOM, [FRIEND, ANN])
    await world.ben()
    assert world.readers.take() == [["Ben"]]
    await world.typing.heard(ROOM, [])
    await world.typing.heard(ROOM, [FRIEND])
    assert world.readers.take() == [["Ben", "friend"]]
    ben = Person(BEN, "Ben", None, None)
    world.typing.happened([moved(5, ben, "leave")])
    assert world.readers.take() == [["friend"]]
    await world.ann()
    world.typing.end_all(ANN)
    world.typing.end(OTHER, ANN)
    assert world.readers.take() == [["Ann", "friend"], ["friend"]]


async def test_only_who_is_in_the_room_types(world: World) -> None:
    for tenant, mxid in ((LAKE, STRANGER), (SEA, ANN)):
        with pytest.raises(NotFound):
            await world.typing.say(tenant, ROOM, mxid, True)
    await world.typing.heard(ROOM, [STRANGER])
    await world.typing.heard(ROOM, [STRANGER, FRIEND])
    await world.house.member(STRANGER, "join")
    await world.typing.heard(ROOM, [STRANGER, FRIEND])
    assert world.readers.take() == [["friend"], ["stranger", "friend"]]
    assert await world.told() == []


async def test_a_lost_end_ends_by_itself_for_each_on_their_own(world: World) -> None:
    await world.typing.heard(ROOM, [FRIEND])
    world.clock.wait(THERE_SECONDS - 10)
    await world.ann()
    world.readers.take()
    world.clock.wait(10)
    world.typing.expire()
    assert world.readers.take() == [["Ann"]]
    world.clock.wait(HERE_SECONDS - 10)
    world.typing.expire()
    assert world.readers.take() == [[]]
    world.clock.wait(ECHO_SECONDS)
    world.typing.expire()
    assert world.typing.now_in([ROOM]) == []


async def test_who_comes_sees_who_types_already(world: World) -> None:
    world.readers.greeting = world.typing.now_in
    await world.ann()
    written: list[bytes] = []

    class Socket(MemorySink):
        def write(self, data: bytes) -> None:
            written.append(data)

    for room_id in (OTHER, ROOM):
        reader = Subscriber(LAKE, person("cleo"), Socket(), SSE)
        world.readers.enter(reader)
        world.readers.attach(reader, [room_id], Position(0))
        await world.readers.go_live(reader)
    (greeting,) = written
    assert b"event: typing" in greeting
    assert b'"Ann"' in greeting
    await world.ann(False)
    assert world.typing.now_in([ROOM]) == []


async def test_a_room_without_readers_costs_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.typing.heard(ROOM, [FRIEND])
    world.readers.followed = False
    monkeypatch.setattr(world.house.database, "connection", None)
    await world.typing.heard(ROOM, [FRIEND])
    await world.typing.heard(OTHER, [FRIEND])
    world.typing.expire()
    assert world.readers.take() == [["friend"], []]


async def test_rooms_and_notices_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typing_module, "_ROOMS", 1)
    monkeypatch.setattr(typing_notices, "_WAITING", 1)
    await world.ann()
    await world.typing.say(LAKE, OTHER, ANN, True)
    await world.ben()
    assert world.readers.take() == [["Ann"], ["Ann", "Ben"]]
    assert await world.told() == [(ANN, True)]
    world.clock.wait(HERE_SECONDS)  # Ann's notice is long over
    await world.ben()
    assert await world.told() == [(BEN, True)]
