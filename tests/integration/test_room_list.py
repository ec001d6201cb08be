"""The list of rooms: names, members, and how much is unread."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from openmeet_bridge.bridge.room_lists import ListedWithLast, RoomLists
from openmeet_bridge.core.entry import Person
from openmeet_bridge.core.ids import EventId, Mxid, PortalKind, RoomId, TenantId, UserSlug
from openmeet_bridge.storage import directory, ghosts, read_marks, room_list, rooms
from openmeet_bridge.storage import unread as unread_marks
from openmeet_bridge.storage.read_marks import ReadMark
from openmeet_bridge.storage.room_summaries import RECENT

from ..support.house import LAKE, NAMING, ROOM, SEA, House, ghost, house_at

ANN, BEN = ghost("ann"), ghost("ben")
GUEST = Mxid("@guest:elsewhere")


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    async with house_at(database_url) as made:
        await made.user("ann", "https://a/ann.png")
        await made.user("ben", "https://a/ben.png")
        yield made


async def listed(house: House, mxid: Mxid, tenant: TenantId = LAKE) -> list[ListedWithLast]:
    found, _ = await RoomLists(house.database, NAMING).rooms(tenant, mxid)
    return found


async def unread(house: House, mxid: Mxid = ANN) -> int:
    (room,) = await listed(house, mxid)
    return room.unread.unread_count


async def test_a_group(house: House) -> None:
    await house.room(ANN, BEN, GUEST)
    (found,) = await listed(house, ANN)
    room = found.room
    assert (room.room_id, room.kind, room.slug) == (ROOM, PortalKind.GROUP, "hikers")
    assert (room.name, room.topic, room.avatar_url) == ("Hikers", "Up!", None)
    assert found.unread.member_count == 3  # the bot is in it too
    assert (found.unread.read_key, found.unread.unread_count) == (room.since_key, 0)
    assert (found.last, room.direct_with) == (None, None)


async def test_a_direct_chat_looks_like_the_other_one(house: House) -> None:
    room_id = RoomId("!direct")
    await house.room(ANN, BEN, room_id=room_id, kind=PortalKind.DIRECT, slug="ann~ben")
    async with house.database.transaction() as connection:
        for slug in ("ann", "ben"):
            await connection.execute(
                "INSERT INTO directory_member VALUES ('lake', 'direct', 'ann~ben', $1, 'member')",
                slug,
            )
    (seen_by_ann,) = await listed(house, ANN)
    (seen_by_ben,) = await listed(house, BEN)
    assert (seen_by_ann.room.name, seen_by_ann.room.avatar_url) == ("Ben", "https://a/ben.png")
    assert (seen_by_ben.room.name, seen_by_ben.room.avatar_url) == ("Ann", "https://a/ann.png")
    assert seen_by_ann.room.direct_with == Person(BEN, "Ben", "https://a/ben.png", UserSlug("ben"))
    async with house.database.transaction() as connection:
        await directory.delete_user(connection, LAKE, UserSlug("ben"))
    (seen_by_ann,) = await listed(house, ANN)
    assert (seen_by_ann.room.name, seen_by_ann.room.direct_with) == ("Hikers", None)


async def test_unread_stops_at_a_hundred(house: House) -> None:
    await house.room(ANN, BEN)
    await house.says(BEN, 99)
    assert await unread(house) == 99
    await house.says(BEN, 20)
    assert await unread(house) == RECENT == 100


async def test_what_one_says_oneself_is_read(house: House) -> None:
    await house.room(ANN, BEN)
    await house.says(ANN, 3)
    assert (await unread(house), await unread(house, BEN)) == (0, 3)


async def test_what_was_said_before_one_came_is_not_unread(house: House) -> None:
    await house.room(BEN)
    await house.says(BEN, 3)
    await house.member(ANN, "join")
    await house.says(BEN, 2)
    assert await unread(house) == 2


async def test_a_mark_makes_read(house: House) -> None:
    await house.room(ANN, BEN)
    said = await house.says(BEN, 5)
    async with house.database.transaction() as connection:
        await read_marks.raise_marks(connection, [ReadMark(ROOM, ANN, said[2], 1)])
    assert await unread(house) == 2
    (room,) = await listed(house, ANN)
    assert room.unread.read_key > room.room.since_key


async def test_only_rooms_in_which_one_is(house: House) -> None:
    await house.room(ANN)
    await house.member(BEN, "invite")
    assert await listed(house, BEN) == []
    assert await listed(house, ANN, SEA) == []
    async with house.database.connection() as connection:
        assert await room_list.rooms_of(connection, LAKE, ANN, RoomId("!other")) == []
        assert len(await room_list.rooms_of(connection, LAKE, ANN, ROOM)) == 1
    await house.member(ANN, "leave")
    assert await listed(house, ANN) == []


async def test_who_is_in_a_room(house: House) -> None:
    await house.room(ANN, GUEST)
    await house.member(BEN, "invite")
    await house.member(Mxid("@gone:elsewhere"), "leave")
    async with house.database.connection() as connection:
        people = await room_list.people(connection, LAKE, ROOM, NAMING.bot)
        assert await room_list.people(connection, SEA, ROOM, NAMING.bot) == []
        known = await room_list.persons(connection, ROOM, [ANN, BEN, GUEST])
    found = {one.person.mxid: (one.person.name, one.membership) for one in people}
    assert found == {ANN: ("Ann", "join"), BEN: ("Ben", "invite"), GUEST: ("guest", "join")}
    assert set(known) == {ANN, GUEST}
    assert (known[ANN].slug, known[GUEST].slug) == ("ann", None)


async def test_receipts_are_those_of_who_is_there(house: House) -> None:
    await house.room(ANN, BEN, GUEST)
    (said,) = await house.says(BEN)
    async with house.database.transaction() as connection:
        marks = [ReadMark(ROOM, mxid, said, 7) for mxid in (ANN, GUEST)]
        await read_marks.raise_marks(connection, marks)
    await house.member(GUEST, "leave")
    async with house.database.connection() as connection:
        found = await room_list.receipts(connection, LAKE, ROOM)
        assert await room_list.receipts(connection, SEA, ROOM) == []
    assert {one.person.name for one in found} == {"Ann", "Ben"}  # who says something has read
    (receipt,) = [one for one in found if one.person.name == "Ann"]
    assert (receipt.event_id, receipt.timestamp) == (said, 7)


async def test_what_one_may_not_read_is_not_shown_as_the_last_message(house: House) -> None:
    async def last(mxid: Mxid) -> EventId | None:
        (found,) = await listed(house, mxid)
        return found.last.event_id if found.last else None

    await house.room(ANN)
    hidden = {"history_visibility": "joined"}
    await house.state(NAMING.bot, "m.room.history_visibility", "", hidden)
    await house.says(ANN)
    await house.member(BEN, "join")
    assert await last(BEN) is None
    (heard,) = await house.says(ANN)
    assert await last(BEN) == heard
    await house.member(BEN, "leave")
    (unheard,) = await house.says(ANN)
    await house.member(BEN, "join")
    assert (await last(BEN), await last(ANN)) == (heard, unheard)
    await house.sends(ANN, {"redacts": unheard}, kind="m.room.redaction")
    assert await last(ANN) == heard


async def test_who_has_said_the_last(house: House) -> None:
    stray = ghost("stray")  # a user of OpenMeet's whose row is gone
    guest = {"membership": "join", "displayname": "Gus"}
    for number, sender in enumerate((ANN, BEN, GUEST, stray)):
        room_id = await house.room(ANN, BEN, room_id=RoomId(f"!{number}"), slug=f"hikers-{number}")
        await house.state(sender, "m.room.member", sender, guest, room_id)
        await house.says(sender, 1, room_id)
    async with house.database.transaction() as connection:
        await ghosts.ensure(connection, stray, LAKE, UserSlug("stray"))
        await rooms.bar(connection, [(RoomId("!0"), BEN)])
        await unread_marks.flag(connection, RoomId("!1"), ANN)
    found = {one.room.room_id: one for one in await listed(house, ANN)}
    assert [found[RoomId(f"!{n}")].last.sender for n in range(4)] == [  # type: ignore[union-attr]
        Person(ANN, "Ann", "https://a/ann.png", UserSlug("ann")),
        Person(BEN, "Ben", "https://a/ben.png", UserSlug("ben")),
        Person(GUEST, "Gus", None, None),
        Person(stray, "Gus", None, UserSlug("stray")),
    ]
    counted = [
        (one.unread.member_count, one.unread.marked_unread) for _, one in sorted(found.items())
    ]
    assert counted == [(1, False), (2, True), (3, False), (3, False)]
    assert RoomId("!0") not in {one.room.room_id for one in await listed(house, BEN)}
