"""Read marks only go forward, and only to what is there."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from openmeet_bridge.core.ids import EventId, RoomId
from openmeet_bridge.storage import read_marks
from openmeet_bridge.storage.read_marks import ReadMark

from ..support.house import ROOM, House, ghost, house_at

ANN, BEN = ghost("ann"), ghost("ben")
OTHER = RoomId("!other")


class Marks:
    def __init__(self, house: House, said: list[EventId]) -> None:
        self.house = house
        self.said = said

    async def set(self, *marks: ReadMark) -> list[EventId]:
        """Raise marks; return the events at which those stand that moved."""
        async with self.house.database.transaction() as connection:
            moved = await read_marks.raise_marks(connection, marks)
        keys = [key for _, key in moved]
        assert all(key > 0 for key in keys)
        return [mark.event_id for mark, _ in moved]

    def at(self, index: int, room_id: RoomId = ROOM, timestamp: int = 1) -> ReadMark:
        return ReadMark(room_id, ANN, self.said[index], timestamp)


@pytest.fixture
async def marks(database_url: str) -> AsyncIterator[Marks]:
    async with house_at(database_url) as house:
        await house.room(ANN, BEN)
        await house.room(ANN, room_id=OTHER, slug="sailors")
        yield Marks(house, await house.says(BEN, 3))


async def test_forward_only(marks: Marks) -> None:
    assert await marks.set(marks.at(1)) == [marks.said[1]]
    assert await marks.set(marks.at(0)) == []
    assert await marks.set(marks.at(1, timestamp=9)) == []
    assert await marks.set(marks.at(2)) == [marks.said[2]]


async def test_the_furthest_of_several_counts(marks: Marks) -> None:
    given = [marks.at(1), marks.at(2), marks.at(0), marks.at(2)]
    assert await marks.set(*given) == [marks.said[2]]


async def test_everybody_has_a_mark_of_their_own(marks: Marks) -> None:
    ben = ReadMark(ROOM, BEN, marks.said[0], 1)
    assert sorted(await marks.set(marks.at(2), ben)) == sorted([marks.said[2], marks.said[0]])


async def test_what_is_not_in_the_room_marks_nothing(marks: Marks) -> None:
    assert await marks.set(marks.at(0, OTHER)) == []
    assert await marks.set(ReadMark(ROOM, ANN, EventId("$nothing"), 1)) == []
    assert await marks.set() == []
