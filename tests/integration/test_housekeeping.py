"""Housekeeping: strangers' events go after an hour, and nothing else does."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from openmeet_bridge.bridge.housekeeping import Housekeeping
from openmeet_bridge.core.ids import Mxid, RoomId
from openmeet_bridge.storage.database import Database

from ..support.house import NAMING, ROOM, House

PRIVATE, SPACE, LATE = RoomId("!private"), RoomId("!space"), RoomId("!late")
MARA = Mxid("@mara:elsewhere")


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    database = Database(database_url)
    yield House(database)
    await database.close()


async def rooms_of(house: House, table: str) -> set[str]:
    async with house.database.connection() as connection:
        rows = await connection.fetch(f"SELECT DISTINCT room_id FROM {table}")  # noqa: S608
    return {row["room_id"] for row in rows}


async def test_strangers_are_dropped_after_an_hour(house: House) -> None:
    ann = await house.user("ann")
    await house.room(ann)
    await house.member(NAMING.bot, "join", SPACE)
    for room in (PRIVATE, LATE):
        await house.member(MARA, "join", room)
        await house.state(MARA, "m.room.name", "", {"name": "Mine"}, room)
        await house.says(MARA, 3, room)
    async with house.database.connection() as connection:
        await connection.execute(
            "UPDATE log SET received_at = now() - interval '61 min' WHERE room_id <> $1", LATE
        )
    await Housekeeping(house.database, NAMING.bot).tidy()
    for table in ("log", "room_member"):
        assert await rooms_of(house, table) == {ROOM, SPACE, LATE}
    assert await rooms_of(house, "room_state") == {ROOM, LATE}


async def test_comparisons_that_are_done_are_forgotten_after_a_week(house: House) -> None:
    async with house.database.connection() as connection:
        await connection.execute(
            """
            INSERT INTO job (tenant, kind, slug, wanted, done, settled_at) VALUES
            ('lake', 'compare', 'old', 1, 1, now() - interval '8 days'),
            ('lake', 'compare', 'new', 1, 1, now()),
            ('lake', 'compare', 'due', 2, 1, now() - interval '8 days'),
            ('lake', 'group', 'old', 1, 1, now() - interval '8 days')
            """
        )
    await Housekeeping(house.database, NAMING.bot).tidy()
    async with house.database.connection() as connection:
        rows = await connection.fetch("SELECT kind, slug FROM job")
    left = {tuple(row) for row in rows}
    assert left == {("compare", "due"), ("compare", "new"), ("group", "old")}
