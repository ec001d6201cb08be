"""What somebody does in a room makes its job due; what the bridge does itself does not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from openmeet_bridge.bridge.drift import Drift
from openmeet_bridge.core.directory import Member
from openmeet_bridge.core.ids import Mxid, PortalKind, PortalRef, RoomId, UserSlug
from openmeet_bridge.storage import directory, rooms, spaces
from openmeet_bridge.storage.spaces import Space

from ..support.house import LAKE, NAMING, ROOM, House, house_at

EVE = Mxid("@eve:test")
HIKERS = PortalRef(LAKE, PortalKind.GROUP, "hikers")
BOT = NAMING.bot


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    async with house_at(database_url) as made:
        ann = await made.user("ann")
        async with made.database.transaction() as connection:
            await directory.put_members(connection, HIKERS, [Member(UserSlug("ann"))])
        await made.room(ann)
        yield made


async def wanted(house: House) -> list[tuple[str, str]]:
    async with house.database.connection() as connection:
        rows = await connection.fetch("DELETE FROM job RETURNING kind, slug")
    return sorted((row["kind"], row["slug"]) for row in rows)


async def test_a_room_that_the_bridge_makes_is_no_drift(house: House) -> None:
    assert await wanted(house) == []


@pytest.mark.parametrize(
    "kind",
    [
        "m.room.name",
        "m.room.topic",
        "m.room.avatar",
        "m.room.power_levels",
        "m.room.join_rules",
        "m.room.history_visibility",
        "m.room.canonical_alias",
        "m.room.guest_access",
        "m.room.tombstone",
        "m.space.parent",
    ],
)
async def test_state_that_others_set_is_drift(house: House, kind: str) -> None:
    content: dict[str, Any] = {"replacement_room": "!new"}
    await house.state(EVE, kind, "", content)
    assert await wanted(house) == [("group", "hikers")]
    await house.state(BOT, kind, "", content)
    # A tombstone leads elsewhere, whoever has set it.
    assert await wanted(house) == ([("group", "hikers")] if kind == "m.room.tombstone" else [])


async def test_what_says_nothing_of_the_room_is_no_drift(house: House) -> None:
    await house.says(EVE, 3)
    await house.state(EVE, "org.example.weather", "", {"sun": True})
    await house.state(EVE, "m.room.name", "", {"name": "Elsewhere"}, RoomId("!elsewhere"))
    assert await wanted(house) == []


async def test_members(house: House) -> None:
    ann = NAMING.ghost(LAKE, UserSlug("ann"))
    ben = await house.user("ben")
    member = "m.room.member"
    for sender, who, membership, expected in (
        (ann, ann, "join", False),  # a new profile
        (EVE, EVE, "join", False),  # no ghost
        (EVE, ann, "leave", True),
        (ann, ann, "join", False),  # as the directory has it
        (BOT, ann, "leave", False),
        (ann, ann, "join", False),
        (ann, ann, "leave", True),
        (EVE, ben, "invite", True),
        (ben, ben, "join", True),  # nothing in the directory puts Ben there
        (EVE, BOT, "leave", True),
    ):
        await house.state(sender, member, who, {"membership": membership})
        assert bool(await wanted(house)) == expected, (sender, who, membership)


async def test_a_space_has_a_job_of_its_own(house: House) -> None:
    space = RoomId("!space")
    async with house.database.connection() as connection:
        await spaces.put(connection, Space(LAKE, "hikers", space))
    await house.state(BOT, "m.space.child", ROOM, {"via": ["test"]}, space)
    assert await wanted(house) == []
    await house.state(EVE, "m.space.child", ROOM, {}, space)
    assert await wanted(house) == [("space", "hikers")]


async def test_where_the_bot_is_let_in_may_be_where_a_tombstone_leads(house: House) -> None:
    new = RoomId("!new")
    await house.state(EVE, "m.room.tombstone", "", {"replacement_room": new})
    await wanted(house)
    await house.state(EVE, "m.room.member", BOT, {"membership": "invite"}, RoomId("!other"))
    assert await wanted(house) == []
    await house.state(EVE, "m.room.member", BOT, {"membership": "invite"}, new)
    assert await wanted(house) == [("group", "hikers")]


async def test_a_room_that_openmeet_never_named_is_left_alone(house: House) -> None:
    strange = PortalRef(LAKE, PortalKind.GROUP, "strange")
    async with house.database.connection() as connection:
        await rooms.bind(connection, RoomId("!strange"), strange)
    await house.state(EVE, "m.room.name", "", {"name": "Mine"}, RoomId("!strange"))
    assert await wanted(house) == []


async def test_without_state_the_database_is_not_asked() -> None:
    assert not await Drift(BOT).want_jobs(None)  # type: ignore[arg-type]
