"""Giving rooms up and following them again: nobody slips in who has gone meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from openmeet_bridge.bridge import streams
from openmeet_bridge.bridge.log_view import Standing
from openmeet_bridge.bridge.streams import Streams
from openmeet_bridge.core.errors import Unavailable
from openmeet_bridge.core.ids import Position, RoomId, TenantId
from openmeet_bridge.stream import frames
from openmeet_bridge.stream.bus import LocalBus
from openmeet_bridge.stream.feed import Feed
from openmeet_bridge.stream.frames import WS, Frame
from openmeet_bridge.stream.hub import Hub
from openmeet_bridge.stream.subscriber import Subscriber

from ..stream.memory_log import MemoryLog
from ..stream.parsers import WsParser
from ..support.log_entries import person
from ..support.sinks import MemorySink

LAKE, SEA = TenantId("lake"), TenantId("sea")
ROOM, OTHER, FOREIGN = RoomId("!room"), RoomId("!other"), RoomId("!foreign")
ANN = person("ann")


class House(MemorySink):
    """Ann's one stream, and what happens while somebody looks into the log."""

    def __init__(self) -> None:
        self.log = MemoryLog({ROOM: LAKE, OTHER: LAKE, FOREIGN: SEA}, Position(5))
        for room in (ROOM, OTHER, FOREIGN):
            self.log.append(room, ANN.mxid, joined=True)
        self.hub = Hub("0badcafe", self.log.head)
        self.feed = Feed(self.log.after, self.hub, LocalBus())
        self.streams = Streams(self, self.hub)
        self.ann = Subscriber(LAKE, ANN, self, WS)
        self.meanwhile: list[Callable[[], Awaitable[None]]] = []
        self.looks = 0
        self._parser = WsParser()
        self._got: list[str] = []

    async def standing(self, *who: Any) -> Standing:
        self.looks += 1
        found = await self.log.standing(*who)
        if self.meanwhile:
            await self.meanwhile.pop(0)()
        return found

    async def missed(self, *place: Any) -> Any:
        return await self.log.missed(*place)

    async def open(self) -> None:
        self.hub.enter(self.ann)
        await self.streams.open(self.ann, None)
        self.got()

    async def deliver(self) -> None:
        while await self.feed.step():
            pass

    async def says(self, room: RoomId = ROOM) -> None:
        self.log.append(room)
        await self.deliver()

    async def moves(self, joined: bool) -> None:
        self.log.append(ROOM, ANN.mxid, joined=joined)
        await self.deliver()

    def got(self) -> list[str]:
        got, self._got = self._got, []
        return got

    def write(self, data: bytes) -> None:
        self._got += [one.data.get("event_id", one.type) for one in self._parser.feed(data)]


@pytest.fixture
async def house() -> House:
    house = House()
    await house.open()
    return house


async def test_a_room_is_given_up_and_followed_again(house: House) -> None:
    house.hub.greeting = lambda rooms: [frames.typing(room, []) for room in rooms]
    house.hub.unfollow(house.ann, ROOM)
    house.hub.unfollow(house.ann, ROOM)
    await house.says()
    await house.says(OTHER)
    assert house.got() == ["$10"]
    assert house.ann.rooms == {OTHER}
    assert await house.streams.follow(house.ann, [ROOM, OTHER, FOREIGN]) == {ROOM, OTHER}
    assert house.got() == ["typing"]
    assert await house.streams.follow(house.ann, [ROOM]) == {ROOM}
    await house.says()
    assert house.got() == ["$11"]
    house.hub.unfollow(house.ann, ROOM)
    await house.moves(False)
    assert await house.streams.follow(house.ann, [ROOM]) == set()
    await house.moves(True)  # who comes anew gets it without asking
    house.got()
    await house.says()
    assert house.got() == ["$14"]


@pytest.mark.parametrize("expelled", [True, False])
async def test_who_goes_while_it_is_looked_does_not_slip_in(house: House, expelled: bool) -> None:
    house.hub.unfollow(house.ann, ROOM)

    async def go() -> None:
        if expelled:  # the log shows it later; who asks the database is told at once
            house.hub.expel(ANN.mxid, ROOM)
            house.log.append(ROOM, ANN.mxid, joined=False)
        else:
            await house.moves(False)

    house.meanwhile.append(go)
    following = asyncio.create_task(house.streams.follow(house.ann, [ROOM]))
    await asyncio.sleep(0)
    await house.deliver()
    assert await following == set()
    assert house.looks >= 3  # once to open it, and once more than the first time
    house.got()
    await house.says()
    assert house.got() == []


async def test_what_was_said_before_somebody_came_again_is_not_for_them(house: House) -> None:
    await house.moves(False)
    house.got()
    house.log.append(ROOM)
    house.log.append(ROOM, ANN.mxid, joined=True)  # and the feed is behind
    following = asyncio.create_task(house.streams.follow(house.ann, [ROOM]))
    await asyncio.sleep(0.01)
    assert not following.done()
    await house.deliver()
    assert await following == {ROOM}
    await house.says()
    assert [one for one in house.got() if one.startswith("$")] == ["$11", "$12"]


async def test_what_does_not_come_to_rest_or_through_is_tried_again_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.hub.unfollow(house.ann, ROOM)
    house.meanwhile += [lambda n=n: house.moves(n % 2 == 1) for n in range(5)]  # type: ignore[misc]
    with pytest.raises(Unavailable):
        await house.streams.follow(house.ann, [ROOM])
    monkeypatch.setattr(streams, "_DELIVERY", 0.01)
    house.log.append(ROOM)
    with pytest.raises(Unavailable):
        await house.streams.follow(house.ann, [ROOM])


async def test_a_stream_that_has_ended_follows_nothing(house: House) -> None:
    house.hub.leave(house.ann)
    await house.streams.follow(house.ann, [ROOM])
    house.hub.unfollow(house.ann, ROOM)
    assert not house.hub.has_readers(ROOM)
    written: list[Frame] = []
    house.ann.write(written)
    assert house.got() == []
