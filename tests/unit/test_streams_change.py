"""Other rooms for a live stream: nothing is missing of them, and nobody slips in who has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from openmeet_bridge.core.cursor import Cursor
from openmeet_bridge.core.errors import Unavailable
from openmeet_bridge.core.ids import RoomId
from openmeet_bridge.stream import frames
from openmeet_bridge.stream.change import Change
from openmeet_bridge.stream.frames import WS, Frame

from .test_streams_follow import ANN, FOREIGN, OTHER, ROOM, House


@pytest.fixture
async def house() -> House:
    """Ann is in both rooms, and hears of one of them."""
    house = House()
    house.ann.wanted = frozenset({OTHER})
    await house.open()
    return house


def to(*rooms: RoomId) -> Change:
    def answer(followed: Collection[RoomId], cursor: Cursor) -> Frame:
        return frames.subscribed(None, sorted(followed), None, cursor)

    return Change(frozenset(rooms), WS, answer)


EVERYTHING = Change(None, WS, to().answer)


@pytest.mark.parametrize("change", [to(ROOM, OTHER, FOREIGN), EVERYTHING], ids=["some", "all"])
async def test_what_comes_after_the_answer_is_all_there_is(house: House, change: Change) -> None:
    await house.says()
    house.log.append(ROOM)  # and the feed is behind: it is read as being there already
    changing = asyncio.create_task(house.streams.change(house.ann, change))
    await asyncio.sleep(0.01)
    assert not changing.done()
    await house.deliver()
    await changing
    assert house.ann.rooms == {ROOM, OTHER}
    await house.says()
    await house.says(FOREIGN)
    assert house.got() == ["subscribed", "$11"]


async def test_less_needs_no_look_into_the_log(house: House) -> None:
    looks = house.looks
    await house.streams.change(house.ann, to(OTHER))
    await house.streams.change(house.ann, to())
    assert (house.looks, house.ann.rooms) == (looks, set())


@pytest.mark.parametrize("expelled", [True, False])
async def test_who_goes_while_it_is_looked_does_not_slip_in(house: House, expelled: bool) -> None:
    async def go() -> None:
        if expelled:  # the log shows it later; who asks the database is told at once
            house.hub.expel(ANN.mxid, ROOM)
            house.log.append(ROOM, ANN.mxid, joined=False)
        else:
            await house.moves(False)

    house.meanwhile.append(go)
    changing = asyncio.create_task(house.streams.change(house.ann, EVERYTHING))
    await asyncio.sleep(0)
    await house.deliver()
    await changing
    assert house.got() == ["room.removed", "subscribed"]
    await house.says()
    assert house.got() == []


async def test_who_comes_while_it_is_looked_misses_nothing(house: House) -> None:
    await house.moves(False)
    house.got()
    house.meanwhile.append(lambda: house.moves(True))
    await house.streams.change(house.ann, to(ROOM))
    await house.says()
    assert house.got() == ["room.added", "subscribed", "$11"]


async def test_what_does_not_come_to_rest_changes_nothing(house: House) -> None:
    house.meanwhile += [lambda n=n: house.moves(n % 2 == 1) for n in range(5)]  # type: ignore[misc]
    with pytest.raises(Unavailable):
        await house.streams.change(house.ann, EVERYTHING)
    assert (house.ann.wanted, house.ann.rooms) == (frozenset({OTHER}), {OTHER})
    house.hub.leave(house.ann)
    await house.streams.change(house.ann, EVERYTHING)
    assert not house.hub.has_readers(ROOM)
