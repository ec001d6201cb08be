"""Pages of a timeline: both ways, around an event, and only for those who are in the room."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from openmeet_bridge.bridge.pages import Place
from openmeet_bridge.bridge.room_lists import RoomLists
from openmeet_bridge.bridge.timeline import Page, Timeline
from openmeet_bridge.core.cursor import Cursor
from openmeet_bridge.core.errors import InvalidParam, NotFound
from openmeet_bridge.core.ids import EventId, Mxid, RoomId, TenantId

from ..support.history import Untouched
from ..support.house import LAKE, NAMING, ROOM, SEA, House, ghost, house_at

ANN, BEN, CLEO = ghost("ann"), ghost("ben"), ghost("cleo")
EVERYTHING = 13


class World:
    """A room with ten messages, after its creation, the bot and Ann."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.timeline = Timeline(house.database, Untouched(house.database), page_limit=20)
        self.lists = RoomLists(house.database, NAMING)

    async def page(
        self, mxid: Mxid = ANN, tenant: TenantId = LAKE, room_id: RoomId = ROOM, **place: Any
    ) -> Page:
        limit = place.pop("limit", 4)
        return await self.timeline.page(tenant, mxid, room_id, Place(**place), limit=limit)


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with house_at(database_url) as house:
        await house.user("ann")
        await house.room(ANN)
        await house.says(ANN, 10)
        yield World(house)


def ids(page: Page) -> list[str]:
    return [entry.event_id for entry in page.entries]


async def test_the_end_of_a_timeline(world: World) -> None:
    page = await world.page()
    assert [(entry.kind, entry.text) for entry in page.entries] == [
        ("text", str(n)) for n in (6, 7, 8, 9)
    ]
    assert (page.has_before, page.has_after) == (True, False)
    assert (page.entries[0].sender.name, page.entries[0].sender.slug) == ("Ann", "ann")


async def test_backwards_to_the_beginning_and_forwards_to_the_end(world: World) -> None:
    everything = await world.page(limit=20)
    assert (len(everything.entries), everything.has_before) == (EVERYTHING, False)
    pages = [await world.page()]
    while pages[0].has_before:
        pages.insert(0, await world.page(before=pages[0].entries[0].order))
        assert pages[0].has_after
    assert [one for page in pages for one in ids(page)] == ids(everything)
    forward = ids(pages[0])[:1]
    page = await world.page(after=pages[0].entries[0].order)
    while True:
        forward += ids(page)
        assert page.has_before
        if not page.has_after:
            break
        page = await world.page(after=page.entries[-1].order)
    assert forward == ids(everything)


async def test_nothing_follows_the_end(world: World) -> None:
    last = (await world.page()).entries[-1]
    page = await world.page(after=last.order)
    assert (page.entries, page.has_before, page.has_after) == ([], True, False)
    first = (await world.page(limit=20)).entries[0]
    page = await world.page(before=first.order)
    assert (page.entries, page.has_before, page.has_after) == ([], False, True)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 20])
@pytest.mark.parametrize("index", [0, 1, 6, EVERYTHING - 2, EVERYTHING - 1])
async def test_around_an_event(world: World, limit: int, index: int) -> None:
    everything = ids(await world.page(limit=20))
    page = await world.page(around=EventId(everything[index]), limit=limit)
    found = ids(page)
    assert everything[index] in found
    assert len(found) <= limit
    start = everything.index(found[0])
    assert found == everything[start : start + len(found)]
    assert page.has_before is (start > 0)
    assert page.has_after is (start + len(found) < EVERYTHING)


async def test_at_a_time(world: World) -> None:
    everything = await world.page(limit=20)
    for index, entry in enumerate(everything.entries):
        page = await world.page(at=entry.timestamp, limit=3)
        start = max(0, index - 1)
        assert ids(page) == ids(everything)[start : index + 2]
        assert (page.has_before, page.has_after) == (start > 0, index + 2 < EVERYTHING)
    assert ids(await world.page(at=0)) == ids(everything)[:3]
    assert ids(await world.page(at=1 << 52)) == ids(await world.page())


async def test_limits_are_cut_to_the_servers_own(world: World) -> None:
    await world.house.says(ANN, 30)
    assert len((await world.page(limit=1_000_000)).entries) == 20
    assert len((await world.page(limit=0)).entries) == 1
    assert len((await world.page(limit=-5)).entries) == 1


@pytest.mark.parametrize(
    "place",
    [{"before": "x"}, {"after": ""}, {"after": "F" * 16}, {"before": "f" * 16}, {"before": "-1"}],
)
async def test_an_order_that_is_none(world: World, place: dict[str, Any]) -> None:
    with pytest.raises(InvalidParam) as caught:
        await world.page(**place)
    assert list(caught.value.fields) == [f"query.{next(iter(place))}"]


async def test_one_place_at_a_time(world: World) -> None:
    with pytest.raises(InvalidParam):
        await world.page(before="0" * 16, after="0" * 16)
    with pytest.raises(InvalidParam):
        await world.page(after="0" * 16, around=EventId("$e1"))


async def test_an_event_of_another_room_is_not_found(world: World) -> None:
    other = await world.house.room(BEN, room_id=RoomId("!other"), slug="sailors")
    (theirs,) = await world.house.says(BEN, room_id=other)
    (target,) = await world.house.says(ANN)
    relation = {"rel_type": "m.annotation", "event_id": target, "key": "👍"}
    reaction = await world.house.sends(ANN, {"m.relates_to": relation}, kind="m.reaction")
    for event_id in (theirs, EventId("$nothing"), reaction):
        with pytest.raises(NotFound) as caught:
            await world.page(around=event_id)
        assert list(caught.value.fields) == ["query.around"]


async def test_only_who_is_in_the_room_may_read(world: World) -> None:
    await world.house.member(BEN, "invite")
    await world.house.member(CLEO, "join")
    assert (await world.page(CLEO)).entries
    await world.house.member(CLEO, "leave")
    for stranger in (BEN, CLEO, Mxid("@nobody:test")):
        with pytest.raises(NotFound):
            await world.page(stranger)
        with pytest.raises(NotFound):
            await world.lists.members(LAKE, stranger, ROOM)
        with pytest.raises(NotFound):
            await world.lists.room(LAKE, stranger, ROOM)
        assert (await world.lists.rooms(LAKE, stranger))[0] == []


async def test_a_room_is_of_its_tenant_only(world: World) -> None:
    with pytest.raises(NotFound):
        await world.page(tenant=SEA)
    with pytest.raises(NotFound):
        await world.lists.members(SEA, ANN, ROOM)
    with pytest.raises(NotFound):
        await world.lists.room(SEA, ANN, ROOM)
    assert (await world.lists.rooms(SEA, ANN))[0] == []
    with pytest.raises(NotFound):
        await world.page(room_id=RoomId("!nothing"))


async def test_rooms_come_with_the_place_where_they_were_read(world: World) -> None:
    _, cursor = await world.lists.rooms(LAKE, ANN)
    assert cursor.position == world.house.grown[-1]
    assert Cursor.parse(str(cursor)) == cursor


async def test_the_most_lively_room_comes_first_and_quiet_ones_last(world: World) -> None:
    for room_id, slug in ((RoomId("!quiet"), "quiet"), (RoomId("!new"), "new")):
        await world.house.room(ANN, room_id=room_id, slug=slug)
    await world.house.says(ANN, room_id=RoomId("!new"))
    listed, _ = await world.lists.rooms(LAKE, ANN)
    assert [one.room.room_id for one in listed] == ["!new", ROOM, "!quiet"]
    assert listed[0].last is not None
    assert listed[2].last is None


async def test_who_may_send(world: World) -> None:
    assert (await world.lists.room(LAKE, ANN, ROOM)).permissions.send
    levels = {"events_default": 50, "users": {NAMING.bot: 100}}
    await world.house.state(NAMING.bot, "m.room.power_levels", "", levels)
    assert not (await world.lists.room(LAKE, ANN, ROOM)).permissions.send
