"""Who may read what: pages, replays, live streams and quotes say the same of a restricted room."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from openmeet_bridge.bridge.log_view import LogView
from openmeet_bridge.bridge.pages import Place
from openmeet_bridge.bridge.timeline import Page, Timeline
from openmeet_bridge.core.entry import LogEntry
from openmeet_bridge.core.errors import NotFound
from openmeet_bridge.core.ids import EventId, Mxid, Position, RoomId
from openmeet_bridge.storage import rooms

from ..support.history import Untouched
from ..support.house import LAKE, NAMING, ROOM, House, ghost, house_at

ANN, BEN, CLEO = ghost("ann"), ghost("ben"), ghost("cleo")


class World:
    """A room in which Ann talks and others come and go."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.log = LogView(house.database)
        self._timeline = Timeline(house.database, Untouched(house.database))

    async def page(self, mxid: Mxid, *, limit: int = 50, **place: Any) -> Page:
        return await self._timeline.page(LAKE, mxid, ROOM, Place(**place), limit=limit)

    async def texts(self, mxid: Mxid) -> list[str]:
        """The messages that somebody may read."""
        page = await self.page(mxid)
        return [entry.text for entry in page.entries if entry.kind == "text"]

    async def says(self, text: str, **more: Any) -> EventId:
        return await self.house.sends(ANN, {"msgtype": "m.text", "body": text, **more})

    async def opens(self, visibility: str) -> EventId:
        content = {"history_visibility": visibility}
        return await self.house.state(NAMING.bot, "m.room.history_visibility", "", content)

    async def live(self, after: Position) -> list[LogEntry]:
        return (await self.log.after(after, 100))[0]

    async def missed(self, mxid: Mxid, after: Position) -> list[str]:
        """What somebody is shown of what they missed."""
        found = await self.log.missed(LAKE, mxid, after, self.house.grown[-1], 100)
        return [
            logged.entry.event_id
            for logged, mine in found
            if mine and (logged.readers is None or mxid in logged.readers)
        ]


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with house_at(database_url) as house:
        for slug in ("ann", "ben", "cleo"):
            await house.user(slug)
        await house.room(ANN)
        yield World(house)


async def test_only_what_was_said_while_one_was_in(world: World) -> None:
    await world.says("in the beginning")
    await world.opens("joined")
    await world.says("before")
    await world.house.member(BEN, "invite")
    await world.says("between")
    came = await world.house.member(BEN, "join")
    first = await world.says("first")
    went = await world.house.member(BEN, "leave")
    hidden = await world.says("hidden")
    with pytest.raises(NotFound):
        await world.page(BEN)
    await world.house.member(BEN, "join")
    last = await world.says("last")
    assert await world.texts(ANN) == [
        "in the beginning", "before", "between", "first", "hidden", "last"
    ]  # fmt: skip
    assert await world.texts(BEN) == ["in the beginning", "first", "last"]

    everything = [entry.event_id for entry in (await world.page(BEN)).entries]
    assert came in everything
    assert went in everything
    for index, event_id in enumerate(everything):
        page = await world.page(BEN, around=event_id, limit=1)
        assert (page.has_before, page.has_after) == (index > 0, index + 1 < len(everything))
    with pytest.raises(NotFound) as caught:
        await world.page(BEN, around=hidden)
    assert list(caught.value.fields) == ["query.around"]

    # Page by page, in both directions, over what is not theirs.
    page = await world.page(BEN, limit=1)
    backwards = [page.entries[0]]
    while page.has_before:
        page = await world.page(BEN, limit=1, before=backwards[0].order)
        assert page.has_after
        backwards.insert(0, page.entries[0])
    assert [entry.event_id for entry in backwards] == everything
    order = (await world.page(BEN, around=first, limit=1)).entries[0].order
    page = await world.page(BEN, after=order, limit=2)
    assert page.entries[0].event_id == went
    order = (await world.page(ANN, around=hidden, limit=1)).entries[0].order
    page = await world.page(BEN, before=order, limit=2)
    assert [entry.event_id for entry in page.entries] == [first, went]
    assert page.has_after
    assert (await world.page(BEN, at=0)).entries[0].event_id == everything[0]
    assert (await world.page(BEN, limit=1)).entries[0].event_id == last


async def test_invited_shared_and_back(world: World) -> None:
    await world.opens("invited")
    await world.says("too early")
    await world.house.member(BEN, "invite")
    await world.says("invited")
    await world.house.member(BEN, "join")
    await world.house.member(CLEO, "join")
    await world.says("both")
    assert await world.texts(BEN) == ["invited", "both"]
    assert await world.texts(CLEO) == ["both"]
    redacted = await world.opens("joined")
    await world.says("still both")
    await world.opens("shared")
    await world.house.member(CLEO, "leave")
    await world.says("shared")
    await world.house.member(CLEO, "join")
    assert await world.texts(CLEO) == ["both", "still both", "shared"]
    # What is redacted of a room says who may read it all the same.
    await world.house.sends(NAMING.bot, {"redacts": redacted}, kind="m.room.redaction")
    await world.house.member(CLEO, "leave")
    await world.house.member(CLEO, "join")
    assert await world.texts(CLEO) == ["both", "still both", "shared"]
    async with world.house.database.connection() as connection:
        assert await rooms.bar(connection, [(ROOM, CLEO)])
    with pytest.raises(NotFound):
        await world.page(CLEO)


async def test_what_comes_up_again_is_for_those_who_were_there(world: World) -> None:
    shared = await world.says("for all")
    await world.opens("joined")
    old = await world.says("old")
    await world.house.member(BEN, "join")
    new = await world.says("new")
    before = world.house.grown[-1]
    for target in (shared, old, new):
        relation = {"rel_type": "m.annotation", "event_id": target, "key": "👍"}
        await world.house.sends(ANN, {"m.relates_to": relation}, kind="m.reaction")
    answer = await world.says("re: old", **{"m.relates_to": {"m.in_reply_to": {"event_id": old}}})
    answer2 = await world.says(
        "re: all", **{"m.relates_to": {"m.in_reply_to": {"event_id": shared}}}
    )
    live = {logged.entry.event_id: logged for logged in await world.live(before)}
    assert live[shared].readers is None
    assert live[old].readers == frozenset({ANN})
    assert live[new].readers == frozenset({ANN, BEN})
    assert live[answer].readers is None
    assert await world.missed(ANN, before) == [shared, old, new, answer, answer2]
    assert await world.missed(BEN, before) == [shared, new, answer, answer2]
    # A quote is read by all who read the answer.
    for entry in (live[answer].entry, (await world.page(ANN, around=answer, limit=1)).entries[0]):
        assert entry.reply_to is not None
        assert (entry.reply_to.event_id, entry.reply_to.text) == (old, None)
    quote = live[answer2].entry.reply_to
    assert quote is not None
    assert quote.text == "for all"


async def test_of_rooms_that_are_not_wanted_only_ones_own_comings_and_goings(world: World) -> None:
    other = RoomId("!other:test")
    await world.house.room(ANN, room_id=other, slug="sailors")
    before = world.house.grown[-1]
    await world.says("here")
    (there,) = await world.house.says(ANN, 1, other)
    came = await world.house.member(BEN, "join")
    joined = await world.house.member(BEN, "join", other)
    (heard,) = await world.house.says(ANN, 1, other)
    said = await world.says("to all")

    async def missed(mxid: Mxid, limit: int, *wanted: RoomId) -> list[tuple[EventId, bool]]:
        end = world.house.grown[-1]
        found = await world.log.missed(LAKE, mxid, before, end, limit, wanted)
        return [(logged.entry.event_id, readable) for logged, readable in found]

    own = [(came, False), (joined, True), (heard, True)]
    assert await missed(BEN, 100, other) == own
    assert await missed(BEN, 100, ROOM) == [(came, True), (joined, False), (said, True)]
    assert await missed(BEN, 100) == [(came, False), (joined, False)]
    # What is not wanted does not count for the limit.
    assert await missed(ANN, 3, other) == [(there, True), (joined, True), (heard, True)]
