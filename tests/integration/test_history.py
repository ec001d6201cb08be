"""History older than the log: fetched as far as somebody reads, kept, and nobody's news."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from openmeet_bridge.bridge.log_view import LogView
from openmeet_bridge.bridge.pages import Place
from openmeet_bridge.bridge.room_lists import RoomLists
from openmeet_bridge.bridge.timeline import Page, Timeline
from openmeet_bridge.core.directory import Portal
from openmeet_bridge.core.entry import Entry
from openmeet_bridge.core.errors import NotFound, Unavailable
from openmeet_bridge.core.events import Event
from openmeet_bridge.core.ids import EventId, Mxid, PortalKind, PortalRef, Position, UserSlug
from openmeet_bridge.storage import directory, erasure, rooms, told_messages

from ..support.history import OldRoom
from ..support.house import LAKE, NAMING, ROOM, House, ghost, house_at

ANN, BEN = ghost("ann"), ghost("ben")
HAN = Mxid("@han:test")


class Tale:
    """Writes the events of an old room."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def add(self, sender: str, kind: str, content: Any, **more: Any) -> str:
        number = len(self.events)
        event = {"event_id": f"$old{number}", "room_id": ROOM, "type": kind, "sender": sender,
                 "origin_server_ts": 1000 + number, "content": content, **more}  # fmt: skip
        self.events.append(event)
        return str(event["event_id"])

    def state(self, sender: str, kind: str, content: Any, key: str = "", **more: Any) -> str:
        return self.add(sender, kind, content, state_key=key, **more)

    def joins(self, who: str, **more: Any) -> str:
        return self.state(who, "m.room.member", {"membership": "join", **more}, who)

    def says(self, who: str, text: str, **more: Any) -> str:
        return self.add(who, "m.room.message", {"msgtype": "m.text", "body": text, **more})

    def relates(self, who: str, kind: str, target: str, **more: Any) -> str:
        relation = {"event_id": target, **more.pop("relation")}
        return self.add(who, kind, {"m.relates_to": relation, **more})


def old_tale() -> Tale:
    tale = Tale()
    tale.state(NAMING.bot, "m.room.create", {"room_version": "11"})
    tale.joins(NAMING.bot)
    tale.state(NAMING.bot, "m.room.name", {"name": "Old"})
    tale.joins(ANN, displayname="Young Ann")
    tale.joins(HAN, displayname="Han")
    first = tale.says(HAN, "fisrt")
    for number in range(40):
        tale.says(ANN, f"old {number}")
    new = {"msgtype": "m.text", "body": "first"}
    tale.relates(
        HAN, "m.room.message", first, relation={"rel_type": "m.replace"},
        body="* first", msgtype="m.text", **{"m.new_content": new},
    )  # fmt: skip
    tale.relates(ANN, "m.reaction", first, relation={"rel_type": "m.annotation", "key": "👍"})
    bad = tale.says(HAN, "bad")
    tale.add(HAN, "m.room.redaction", {"redacts": bad})
    return tale


class World:
    """A portal's room of which the log has only the newest events."""

    def __init__(
        self, house: House, tale: Tale, piece: int = 10, visibility: str = "shared"
    ) -> None:
        self.house = house
        self.old = OldRoom(tale.events, visibility=visibility)
        self.timeline = Timeline(house.database, self.old.history(house.database, piece))
        self.lists = RoomLists(house.database, NAMING)

    async def adopt(self, known: int) -> None:
        """Makes the room a portal's, and pushes its newest events."""
        ref = PortalRef(LAKE, PortalKind.GROUP, "hikers")
        async with self.house.database.transaction() as connection:
            await directory.put_portal(connection, Portal(ref, NAMING.alias(ref), "Hikers", "Up!"))
            assert await rooms.bind(connection, ROOM, ref)
        raws = [msgspec.json.encode(event) for event in self.old.events[-known:]]
        await self.house.pushes([msgspec.json.decode(raw, type=Event) for raw in raws])

    async def page(self, mxid: Mxid = ANN, *, limit: int = 8, **place: Any) -> Page:
        return await self.timeline.page(LAKE, mxid, ROOM, Place(**place), limit=limit)

    async def to_the_beginning(self, mxid: Mxid = ANN, *, limit: int = 8) -> list[Entry]:
        """Everything, read backwards."""
        page = await self.page(mxid, limit=limit)
        found = page.entries
        for _ in range(100):
            if not page.has_before:
                return found
            page = await self.page(mxid, limit=limit, before=found[0].order)
            found = [*page.entries, *found]
        raise AssertionError("there is no end")


def by_id(entries: list[Entry]) -> dict[str, Entry]:
    return {entry.event_id: entry for entry in entries}


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    async with house_at(database_url) as house:
        house.began = 5000  # after all that is old
        await house.user("ann")
        await house.user("ben")
        yield house


async def test_page_by_page_to_the_beginning(house: House) -> None:
    tale = old_tale()
    tale.joins(ANN, displayname="Ann")
    tale.says(ANN, "new")
    world = World(house, tale)
    await world.adopt(2)
    (_,), cursor = await world.lists.rooms(LAKE, ANN)
    entries = await world.to_the_beginning()
    lines = [one["event_id"] for one in tale.events if one["type"] != "m.room.redaction"]
    changes = [one["event_id"] for one in tale.events if "m.relates_to" in one["content"]]
    assert [entry.event_id for entry in entries] == [one for one in lines if one not in changes]
    found = by_id(entries)
    assert found["$old5"].text == "first"
    assert found["$old5"].edited is not None
    assert [(one.key, one.count) for one in found["$old5"].reactions] == [("👍", 1)]
    assert found["$old48"].kind == "deleted"
    assert found["$old48"].deletion is not None
    assert found["$old5"].sender.name == "Han"

    # Once is enough: all that comes again comes from the log.
    asked = len(world.old.calls)
    assert asked < 12
    again = await world.to_the_beginning(limit=50)
    assert [(one.event_id, one.text) for one in again] == [
        (one.event_id, one.text) for one in entries
    ]
    assert len(world.old.calls) == asked

    # Nobody's news: no stream and no replay has it, nothing is unread by it, nobody is told.
    assert (await world.lists.rooms(LAKE, ANN))[1] == cursor
    log = LogView(house.database)
    live, _ = await log.after(Position(0), 1000)
    assert {logged.entry.event_id for logged in live} == {"$old50", "$old51"}
    missed = await log.missed(LAKE, ANN, Position(0), house.grown[-1], 1000)
    assert [logged.entry.event_id for logged, _ in missed] == ["$old50", "$old51"]
    async with house.database.connection() as connection:
        said, _, _ = await told_messages.said_after(
            connection, Position(0), [LAKE], 1000, bot=NAMING.bot, pushed_age=1e12,
            repaired_age=1e12,
        )  # fmt: skip
        assert [one.event_id for one in said] == ["$old51"]
        # Older than what is known, it says only of what nothing was known how that is now.
        member = await rooms.members(connection, [(ROOM, ANN), (ROOM, HAN)])
        assert member[ROOM, ANN].name == "Ann"
        assert member[ROOM, HAN].membership == "join"
        assert member[ROOM, HAN].since_key > 0  # from where on something may be unread
        assert await rooms.state(connection, ROOM, "m.room.name") == b'{"name":"Old"}'


async def test_what_comes_later_is_above_it(house: House) -> None:
    tale = old_tale()
    tale.joins(ANN)
    world = World(house, tale, piece=3)
    await world.adopt(1)
    entries = await world.to_the_beginning(limit=50)
    before = house.grown[-1]
    relation = {"rel_type": "m.annotation", "event_id": "$old5", "key": "🎉"}
    await house.sends(BEN, {"m.relates_to": relation}, kind="m.reaction")
    (changed,), _ = await LogView(house.database).after(before, 10)
    assert (changed.changed, changed.entry.event_id) == (True, "$old5")
    assert changed.entry.revision > by_id(entries)["$old5"].revision
    assert [one.key for one in changed.entry.reactions] == ["👍", "🎉"]
    assert (await world.page(around=EventId("$old5"), limit=1)).entries == [changed.entry]
    (answer,) = await house.says(ANN)
    assert (await world.page(limit=50)).entries[-1].event_id == answer


async def test_what_the_erased_have_said_is_not_kept_again(house: House) -> None:
    tale = old_tale()
    tale.joins(ANN)
    world = World(house, tale, piece=100)
    await world.adopt(1)
    async with house.database.transaction() as connection:
        await erasure.begin(connection, LAKE, UserSlug("han"), HAN)
    found = by_id(await world.to_the_beginning(limit=100))
    assert [found[one].kind for one in ("$old5", "$old48")] == ["deleted", "deleted"]
    async with house.database.connection() as connection:
        rows = await connection.fetch("SELECT content FROM log WHERE sender = $1", HAN)
        assert {bytes(row["content"]) for row in rows} == {b"{}", b'{"redacts":"$old48"}'}
        assert await rooms.members(connection, [(ROOM, HAN)]) == {}


async def test_around_and_at_reach_back(house: House) -> None:
    tale = old_tale()
    tale.joins(ANN)
    world = World(house, tale, piece=20)
    await world.adopt(1)
    page = await world.page(around=EventId("$old20"), limit=3)
    assert [entry.event_id for entry in page.entries] == ["$old19", "$old20", "$old21"]
    assert page.has_before
    page = await world.page(at=1003, limit=3)
    assert [entry.event_id for entry in page.entries] == ["$old2", "$old3", "$old4"]
    with pytest.raises(NotFound):
        await world.page(around=EventId("$never"))


async def test_who_reads_at_once_causes_one_request(house: House) -> None:
    tale = old_tale()
    tale.joins(ANN)
    world = World(house, tale, piece=30)
    await world.adopt(1)
    pages = await asyncio.gather(*(world.page() for _ in range(5)))
    assert all(page == pages[0] for page in pages)
    assert len(pages[0].entries) == 8
    assert world.old.calls.count("messages") == 1
    world.old.forgetful = True
    assert len(await world.to_the_beginning()) == len(await world.to_the_beginning(limit=50))
    assert world.old.calls.count("context") == 2


async def test_a_homeserver_that_is_away(house: House) -> None:
    tale = old_tale()
    tale.joins(ANN)
    world = World(house, tale)
    await world.adopt(1)
    world.old.away = True
    page = await world.page()
    assert ([entry.event_id for entry in page.entries], page.has_before) == (["$old50"], True)
    for place in ({"before": page.entries[0].order}, {"around": EventId("$old20")}):
        with pytest.raises(Unavailable) as caught:
            await world.page(**place)
        assert caught.value.retry_after_ms
    world.old.away = False
    assert len((await world.page(before=page.entries[0].order)).entries) == 8


async def test_who_may_read_it(house: House) -> None:
    tale = Tale()
    tale.state(NAMING.bot, "m.room.create", {"room_version": "11"})
    tale.joins(NAMING.bot)
    tale.says(NAMING.bot, "shared")
    tale.state(NAMING.bot, "m.room.history_visibility", {"history_visibility": "joined"})
    tale.joins(BEN)
    for number in range(10):
        tale.says(HAN, f"while Ben is in {number}")
    tale.joins(ANN)
    tale.says(HAN, "now")
    tale.joins(BEN, displayname="Ben")
    world = World(house, tale, piece=4, visibility="joined")
    await world.adopt(4)
    ann = [entry.text for entry in await world.to_the_beginning() if entry.kind == "text"]
    assert ann == ["shared", "now"]
    ben = [entry.text for entry in await world.to_the_beginning(BEN) if entry.kind == "text"]
    assert ben == ["shared", *(f"while Ben is in {number}" for number in range(10)), "now"]
