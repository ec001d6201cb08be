"""Read marks only go forward, and only to what is there."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from openmeet_bridge.core.ids import EventId, Mxid, RoomId
from openmeet_bridge.storage import read_marks
from openmeet_bridge.storage.read_marks import ReadMark

from ..support.house import NAMING, ROOM, House, ghost, house_at

ANN, BEN, CLEO = ghost("ann"), ghost("ben"), ghost("cleo")
GUEST = Mxid("@guest:elsewhere")
OTHER = RoomId("!other")


class Marks:
    def __init__(self, house: House, said: list[EventId]) -> None:
        self.house = house
        self.said = said

    async def set(self, *marks: ReadMark, private: bool = False) -> list[EventId]:
        """Raise marks; return the events at which those stand that moved."""
        async with self.house.database.transaction() as connection:
            moved = await read_marks.raise_marks(connection, marks, private=private)
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
    guest = ReadMark(ROOM, GUEST, marks.said[0], 1)
    assert sorted(await marks.set(marks.at(2), guest)) == sorted([marks.said[2], marks.said[0]])


async def test_what_is_not_in_the_room_marks_nothing(marks: Marks) -> None:
    assert await marks.set(marks.at(0, OTHER)) == []
    assert await marks.set(ReadMark(ROOM, ANN, EventId("$nothing"), 1)) == []
    assert await marks.set() == []


async def test_what_is_read_in_private_is_told_to_nobody(marks: Marks) -> None:
    async def standing() -> tuple[EventId | None, EventId | None]:
        async with marks.house.database.connection() as connection:
            row = await connection.fetchrow(
                "SELECT event_id, shown_event_id FROM read_mark WHERE mxid = $1 AND room_id = $2",
                *(ANN, ROOM),
            )
        assert row is not None
        return row["event_id"], row["shown_event_id"]

    said = marks.said
    assert await marks.set(marks.at(1), private=True) == [said[1]]
    assert await standing() == (said[1], None)
    assert await marks.set(marks.at(0)) == [said[0]]  # others may know that much
    assert await standing() == (said[1], said[0])
    assert await marks.set(marks.at(1), private=True) == []
    assert await marks.set(marks.at(1)) == [said[1]]
    assert await marks.set(marks.at(2), private=True) == [said[2]]
    assert await standing() == (said[2], said[1])


async def test_who_has_read_an_entry(marks: Marks) -> None:
    async def readers(index: int, limit: int = 9) -> list[Mxid]:
        async with marks.house.database.connection() as connection:
            found = await read_marks.readers(connection, ROOM, marks.said[index], NAMING.bot, limit)
        return [one.mxid for one in found]

    await marks.house.member(CLEO, "join")
    await marks.house.member(GUEST, "join")
    await marks.set(
        marks.at(2, timestamp=5),
        *(ReadMark(ROOM, one, marks.said[1], n) for n, one in ((7, GUEST), (9, NAMING.bot))),
    )
    await marks.set(ReadMark(ROOM, CLEO, marks.said[1], 8), private=True)
    # Neither its sender, nor the bot, nor who tells nobody; the newest first.
    assert await readers(0) == await readers(1) == [GUEST, ANN]
    assert (await readers(0, 1), await readers(2)) == ([GUEST], [ANN])
    await marks.house.member(GUEST, "leave")
    assert await readers(0) == [ANN]
