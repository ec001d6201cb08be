"""Unread: how much it is in all, marks by hand, and what one's own streams are told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from openmeet_bridge.bridge import unread as unread_module
from openmeet_bridge.bridge.receipts import Receipts
from openmeet_bridge.bridge.rights import Actor
from openmeet_bridge.bridge.room_lists import RoomLists
from openmeet_bridge.bridge.unread import Totals, UnreadState
from openmeet_bridge.core.cursor import parse_order
from openmeet_bridge.core.errors import NotFound, Unavailable
from openmeet_bridge.core.ids import EventId, Mxid, Position, RoomId, TenantId, UserSlug
from openmeet_bridge.matrix.homeserver import Homeserver
from openmeet_bridge.storage import unread
from openmeet_bridge.stream.broadcast import Broadcast
from openmeet_bridge.stream.bus import LocalBus
from openmeet_bridge.stream.frames import Frame
from openmeet_bridge.stream.hub import Hub

from ..support.house import LAKE, NAMING, ROOM, SEA, House, ghost, house_at
from ..support.waiting import eventually

ANN, BEN = ghost("ann"), ghost("ben")
OTHER = RoomId("!other")


class Silent(Homeserver):
    """A homeserver that is told nothing."""

    def __init__(self) -> None:
        pass


class Streams(Hub):
    """Ann has a stream open, and it notes what it is told."""

    def __init__(self) -> None:
        super().__init__("0badcafe", Position(0))
        self.seen: list[dict[str, Any]] = []

    def streams_of(self, mxid: Mxid) -> int:
        return int(mxid == ANN)

    def tenant_of(self, mxid: Mxid) -> TenantId | None:
        return LAKE if mxid == ANN else None

    def to_user(self, mxid: Mxid, frame: Frame) -> None:
        assert (mxid, frame.type) == (ANN, "unread")
        self.seen.append(json.loads(frame.data))


class World:
    def __init__(self, house: House) -> None:
        self.house, self.streams = house, Streams()
        broadcast = Broadcast(self.streams, LocalBus())
        self.unread = UnreadState(house.database, broadcast)
        self.receipts = Receipts(
            house.database, Silent(), broadcast, NAMING.bot, self.unread.changed
        )

    async def totals(self, mxid: Mxid = ANN, tenant: TenantId = LAKE) -> tuple[int, int, int]:
        found = await self.unread.totals(tenant, mxid)
        assert isinstance(found, Totals)
        return found.messages, found.mentions, found.rooms

    async def reads(self, event_id: EventId, room_id: RoomId = ROOM) -> None:
        await self.receipts.mark(Actor(LAKE, UserSlug("ann"), ANN, room_id), event_id, 1)

    @asynccontextmanager
    async def telling(self, count: int) -> AsyncIterator[list[dict[str, Any]]]:
        """Run the loop until so many frames have come."""
        task = asyncio.create_task(self.unread.run())

        async def all_told() -> bool:
            return len(self.streams.seen) >= count

        try:
            await eventually(all_told, f"{count} frames")
            yield self.streams.seen
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with house_at(database_url) as house:
        for slug in ("ann", "ben"):
            await house.user(slug)
        await house.room(ANN, BEN)
        await house.room(ANN, BEN, room_id=OTHER, slug="sailors")
        yield World(house)


async def test_all_rooms_together(world: World) -> None:
    assert await world.totals() == (0, 0, 0)
    await world.house.says(BEN, 3)
    (last,) = await world.house.says(BEN, room_id=OTHER)
    await world.house.sends(BEN, {"body": "Ann!", "m.mentions": {"user_ids": [ANN, BEN]}})
    assert await world.totals() == (5, 1, 2)
    assert (await world.totals(BEN), await world.totals(ANN, SEA)) == ((0, 0, 0), (0, 0, 0))
    await world.reads(last, OTHER)
    assert await world.totals() == (4, 1, 1)
    await world.house.member(ANN, "leave")
    assert await world.totals() == (0, 0, 0)
    await world.house.member(ANN, "join")
    assert await world.totals() == (0, 0, 0)  # what was said meanwhile is not unread


async def test_everybody_is_mentioned_by_who_may(world: World) -> None:
    everybody = {"body": "@room", "m.mentions": {"room": True}}
    await world.house.sends(BEN, everybody)
    assert await world.totals() == (1, 0, 1)
    levels = {"notifications": {"room": 20}, "users": {BEN: 20}}
    await world.house.state(NAMING.bot, "m.room.power_levels", "", levels)
    said = await world.house.sends(BEN, everybody)
    await world.house.sends(BEN, {"body": "hi", "m.mentions": {"user_ids": ["@who:else"]}})
    assert await world.totals() == (3, 1, 1)
    await world.house.sends(BEN, {"redacts": said}, kind="m.room.redaction")
    assert await world.totals() == (2, 0, 1)


async def test_marked_by_hand_until_it_is_read(world: World) -> None:
    (said,) = await world.house.says(BEN)
    await world.reads(said)
    await world.unread.mark(LAKE, ROOM, ANN, True)
    await world.unread.mark(LAKE, ROOM, ANN, True)
    assert await world.totals() == (0, 0, 1)
    lists = RoomLists(world.house.database, NAMING)
    assert (await lists.room(LAKE, ANN, ROOM)).unread.marked_unread
    assert not (await lists.room(LAKE, BEN, ROOM)).unread.marked_unread
    await world.reads(said)  # nothing new, but read it is
    assert await world.totals() == (0, 0, 0)
    await world.unread.mark(LAKE, ROOM, ANN, True)
    await world.unread.mark(LAKE, ROOM, ANN, False)
    assert await world.totals() == (0, 0, 0)
    await world.unread.mark(LAKE, ROOM, ANN, True)
    await world.house.says(ANN)  # who answers has read
    assert await world.totals() == (0, 0, 0)
    for tenant, mxid in ((SEA, ANN), (LAKE, ghost("cleo"))):
        with pytest.raises(NotFound):
            await world.unread.mark(tenant, ROOM, mxid, True)


async def test_ones_own_streams_are_told(world: World) -> None:
    said = await world.house.says(BEN, 3)
    await world.reads(said[1])
    async with world.telling(1) as seen:
        (frame,) = seen
        order = parse_order(frame.pop("read_order"))
    assert frame == {
        **{"room_id": ROOM, "unread_count": 1, "mention_count": 0, "marked_unread": False}
    }
    found = await RoomLists(world.house.database, NAMING).room(LAKE, ANN, ROOM)
    assert order == found.unread.read_key
    await world.reads(said[1])  # nothing has changed
    await world.unread.mark(LAKE, ROOM, ANN, True)
    await world.unread.mark(LAKE, OTHER, ANN, True)
    world.unread.changed([(ROOM, BEN), (ROOM, ANN)])  # Ben listens to nothing
    async with world.telling(3) as seen:
        assert {(one["room_id"], one["marked_unread"]) for one in seen[1:]} == {
            *((ROOM, True), (OTHER, True))
        }
    assert len(world.streams.seen) == 3


async def test_a_database_that_is_away_is_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unread_module, "_PAUSE", 0.005)
    monkeypatch.setattr(unread_module, "_WAITING", 1)
    really, failures = unread.of, [Unavailable("away")]

    async def of(*given: Any) -> Any:
        if failures:
            raise failures.pop()
        return await really(*given)

    monkeypatch.setattr(unread, "of", of)
    world.unread.changed([(ROOM, ANN)])
    async with world.telling(1) as seen:
        assert seen[0]["room_id"] == ROOM
