"""Typing: told to the homeserver once in a while, told to readers, and never stuck."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from openmeet_bridge.bridge import typing as typing_module
from openmeet_bridge.bridge.typing import Typing
from openmeet_bridge.core.errors import NotFound
from openmeet_bridge.core.ids import Mxid, Position, RoomId
from openmeet_bridge.matrix.errors import HomeserverUnavailable
from openmeet_bridge.matrix.homeserver import Homeserver
from openmeet_bridge.stream.frames import Frame
from openmeet_bridge.stream.hub import Hub

from ..support.house import LAKE, ROOM, SEA, House, ghost, house_at
from ..support.waiting import eventually

ANN, BEN = ghost("ann"), ghost("ben")
STRANGER = Mxid("@stranger:elsewhere")


class Deaf(Homeserver):
    """Notes typing notices, or is away."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bool]] = []
        self.away = False

    async def typing(
        self, room_id: str, user_id: str, typing: bool, timeout_ms: int = 30_000
    ) -> None:
        self.told.append((user_id, typing))
        if self.away:
            raise HomeserverUnavailable("away")


class Readers(Hub):
    """Notes what is told to a room that always has readers."""

    def __init__(self) -> None:
        super().__init__("0badcafe", Position(0))
        self.frames: list[bytes] = []
        self.followed = True

    def has_readers(self, room_id: RoomId) -> bool:
        return self.followed

    def to_room(self, room_id: RoomId, frame: Frame) -> None:
        assert (frame.type, room_id) == ("typing", ROOM)
        self.frames.append(frame.data)


class World:
    def __init__(self, house: House) -> None:
        self.house, self.homeserver, self.readers = house, Deaf(), Readers()
        self.typing = Typing(house.database, self.homeserver, self.readers)

    async def ann(self, typing: bool = True) -> None:
        await self.typing.say(LAKE, ROOM, ANN, typing)


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with house_at(database_url) as house:
        await house.user("ann")
        await house.user("ben")
        await house.room(ANN, BEN)
        made = World(house)
        yield made
        made.typing.stop()


async def test_the_same_again_is_told_once(world: World) -> None:
    for _ in range(3):
        await world.ann()
    await world.ann(False)
    await world.ann(False)
    await world.ann()
    assert world.homeserver.told == [(ANN, True), (ANN, False), (ANN, True)]


async def test_after_a_while_it_is_told_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(typing_module, "_REPEAT", 0.0)
    await world.ann()
    await world.ann()
    assert world.homeserver.told == [(ANN, True)] * 2


async def test_a_homeserver_that_is_away_is_no_error(world: World) -> None:
    world.homeserver.away = True
    await world.ann()
    world.homeserver.away = False
    await world.ann()
    assert len(world.homeserver.told) == 2


async def test_too_many_at_once_are_dropped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typing_module, "_REMEMBERED", 1)
    await world.ann()
    await world.typing.say(LAKE, ROOM, BEN, True)
    assert world.homeserver.told == [(ANN, True)]
    monkeypatch.setattr(typing_module, "_TIMEOUT_MS", -1_000_000)  # Ann's notice is long over
    await world.typing.say(LAKE, ROOM, BEN, True)
    assert world.homeserver.told == [(ANN, True), (BEN, True)]


async def test_only_who_is_in_the_room_can_type(world: World) -> None:
    for tenant, mxid in ((LAKE, STRANGER), (SEA, ANN)):
        with pytest.raises(NotFound):
            await world.typing.say(tenant, ROOM, mxid, True)
    assert world.homeserver.told == []


async def test_readers_see_all_who_type_and_nobody_who_is_not_there(world: World) -> None:
    await world.typing.heard(ROOM, [BEN, STRANGER, ANN])
    (seen,) = world.readers.frames
    assert seen.index(b'"Ben"') < seen.index(b'"Ann"')
    assert b"stranger" not in seen
    await world.typing.heard(ROOM, [])
    assert world.readers.frames[1:] == [b'{"room_id":"!room","users":[]}']


async def test_a_room_without_readers_costs_nothing(world: World) -> None:
    world.readers.followed = False
    await world.house.database.close()
    await world.typing.heard(ROOM, [ANN])
    assert world.readers.frames == []


async def test_a_lost_end_ends_by_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typing_module, "_EXPIRY", 0.01)
    await world.typing.heard(ROOM, [ANN])

    async def nobody() -> bool:
        return world.readers.frames[-1] == b'{"room_id":"!room","users":[]}'

    await eventually(nobody, "nobody types any more")
    assert len(world.readers.frames) == 2
