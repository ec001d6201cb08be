"""Portals against a homeserver that notes every call: what is asked, and when nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest

from openmeet_bridge.bridge import echo, half_made
from openmeet_bridge.bridge.directory import Directory
from openmeet_bridge.bridge.echo import NotSettled, Overtaken
from openmeet_bridge.bridge.ghosts import Ghosts
from openmeet_bridge.bridge.ingest import Ingest
from openmeet_bridge.bridge.portals import Portals
from openmeet_bridge.bridge.room_views import RoomViews
from openmeet_bridge.core.changes import (
    Change,
    DeleteMember,
    DeletePortal,
    PutMember,
    PutPortal,
    PutUser,
    RenamePortal,
)
from openmeet_bridge.core.directory import Member, Portal, User, Visibility
from openmeet_bridge.core.events import PORTAL_KEY
from openmeet_bridge.core.ids import Mxid, PortalKind, PortalRef, RoomId, TenantId, UserSlug
from openmeet_bridge.core.room_steps import CreateRoom, Join, Look
from openmeet_bridge.core.rules import Aspect, Rules
from openmeet_bridge.matrix.errors import (
    HomeserverError,
    HomeserverUnavailable,
    RateLimited,
    Refused,
)
from openmeet_bridge.storage import ghosts as stored_ghosts
from openmeet_bridge.storage import pictures, portals, rooms
from openmeet_bridge.storage.database import Database

from ..support.house import LAKE, NAMING, ghost
from ..support.noting_homeserver import NotingHomeserver
from ..support.simulated_rooms import Room

HIKERS = PortalRef(LAKE, PortalKind.GROUP, "hikers")
TREKKERS = HIKERS._replace(slug="trekkers")
ANN, BEN, CYD = (UserSlug(name) for name in ("ann", "ben", "cyd"))
NO = Refused(403, "M_FORBIDDEN", "not this one")
PHOTO = "https://lake.test/hikers.jpg"


class NamedGhosts:
    """Ghosts that need nothing done."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.refused: set[UserSlug] = set()
        self.meanwhile: dict[UserSlug, Callable[[], Awaitable[None]]] = {}

    async def refresh(self, tenant: TenantId, slug: UserSlug) -> None:
        if slug in self.meanwhile:
            await self.meanwhile.pop(slug)()
        if slug in self.refused:
            raise NO

    async def ensure(self, tenant: TenantId, slug: UserSlug) -> Mxid:
        async with self._database.connection() as connection:
            return (await stored_ghosts.ensure(connection, ghost(slug, tenant), tenant, slug)).mxid


class Lake:
    """A directory, the portals that follow it, and the homeserver where they are."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.ingest = Ingest(database, NAMING, lambda *_: None, lambda _: None)
        self.matrix = NotingHomeserver("test", self.ingest)
        self.ghosts = NamedGhosts(database)
        self.rules = Rules(spaces=False)
        self.photos: dict[str, str | None] = {}
        self.portals = self.bridge()
        self.directory = Directory(
            database, NAMING, lambda _: self.rules, *(lambda *_: None for _ in range(3))
        )

    def bridge(self) -> Portals:
        """Portals as after a start."""

        async def photo(url: str | None) -> str | None:
            return self.photos.get(url or "")

        return Portals(
            self.database,
            self.matrix.as_homeserver,
            cast(Ghosts, self.ghosts),
            NAMING,
            lambda _: self.rules,
            "12",
            photo,
        )

    async def apply(self, *changes: Change) -> None:
        await self.directory.apply(LAKE, changes)

    async def hikers(self, *members: UserSlug, **facts: Any) -> Portal:
        """Write the group and its members; nothing is done yet."""
        made = Portal(HIKERS, NAMING.alias(HIKERS), "Hikers", **facts)
        await self.apply(
            *(PutUser(User(LAKE, slug, None, slug.title(), None)) for slug in members),
            PutPortal(made),
            *(PutMember(HIKERS, Member(slug)) for slug in members),
        )
        return made

    async def settle(self, ref: PortalRef = HIKERS) -> list[tuple[str, str]]:
        """Settle; what was asked for it."""
        before = len(self.matrix.calls)
        await self.portals.settle(ref)
        assert await self.portals.plan(ref) == []
        return self.matrix.calls[before:]

    async def room(self, ref: PortalRef = HIKERS) -> portals.Room:
        async with self.database.connection() as connection:
            found = await portals.room(connection, ref)
        assert found is not None
        return found

    async def inside(self, room_id: str) -> set[str]:
        room = self.matrix.rooms.room(room_id)
        return {event["state_key"] for event in room.members("join")} - {NAMING.bot}

    async def told(self) -> list[tuple[str, Any]]:
        async with self.database.connection() as connection:
            rows = await connection.fetch("SELECT type, payload FROM webhook_event ORDER BY id")
        return [(row["type"], msgspec.json.decode(row["payload"])) for row in rows]


@pytest.fixture
async def lake(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lake]:
    monkeypatch.setattr(echo, "_PATIENCE", 0.1)
    database = Database(database_url)
    yield Lake(database)
    await database.close()


async def test_a_portal_is_made_with_one_call_and_one_for_each_member(lake: Lake) -> None:
    await lake.hikers(ANN, BEN)
    assert await lake.portals.plan(HIKERS) == [
        CreateRoom(NAMING.alias(HIKERS), (ghost(ANN), ghost(BEN)))
    ]
    create, *joins = await lake.settle()
    assert create == ("create", "om_lake_group_hikers")
    assert sorted(joins) == [("join", ghost(ANN)), ("join", ghost(BEN))]
    assert await lake.settle() == []
    room_id = (await lake.room()).room_id
    ready = {"tenant": "lake", "kind": "group", "slug": "hikers", "room_id": room_id}
    assert await lake.told() == [("portal.ready", ready | {"alias": NAMING.alias(HIKERS)})]


async def test_two_at_once_are_one_after_the_other(lake: Lake) -> None:
    await lake.hikers(ANN)
    await asyncio.gather(*(lake.portals.settle(HIKERS) for _ in range(3)))
    assert lake.matrix.calls == [("create", "om_lake_group_hikers"), ("join", ghost(ANN))]


# Creation


async def test_the_room_of_a_creation_whose_answer_was_lost_is_found(lake: Lake) -> None:
    await lake.hikers(ANN)
    lake.matrix.silent = True

    def lost(verb: str, _: str) -> HomeserverError | None:
        if verb == "create" and not lake.matrix.rooms.rooms:
            body = {"room_alias_name": "om_lake_group_hikers", "creation_content": _mark("hikers")}
            lake.matrix.rooms.create(NAMING.bot, {**body, "room_version": "12"})
            return HomeserverUnavailable("the answer is lost")
        return None

    lake.matrix.mood = lost
    with pytest.raises(HomeserverUnavailable):
        await lake.portals.settle(HIKERS)
    # The room is known, but the log has nothing of it: only the homeserver can tell how it is.
    with pytest.raises(NotSettled):
        await lake.portals.settle(HIKERS)
    assert len(lake.matrix.asked("room_state")) >= 1
    assert await lake.portals.plan(HIKERS) == [Look("the room as the homeserver has it")]
    await lake.matrix.tell()
    lake.matrix.silent = False
    await lake.settle()
    assert len(lake.matrix.rooms.rooms) == 1
    room = next(iter(lake.matrix.rooms.rooms.values()))
    assert room.content("m.room.name") == {"name": "Hikers"}
    assert await lake.inside(room.room_id) == {ghost(ANN)}


def _mark(slug: str) -> dict[str, Any]:
    return {PORTAL_KEY: {"tenant": "lake", "kind": "group", "slug": slug}}


async def test_a_room_that_was_made_under_a_former_name_is_the_portals(lake: Lake) -> None:
    await lake.hikers(ANN)
    await lake.apply(RenamePortal(HIKERS, "trekkers"))
    made = lake.matrix.rooms.create(
        NAMING.bot,
        {"room_alias_name": "om_lake_group_trekkers", "creation_content": _mark("hikers")},
    )
    lake.matrix.silent = True  # the log has not heard of it
    with pytest.raises(NotSettled):
        await lake.portals.settle(TREKKERS)
    assert (await lake.room(TREKKERS)).room_id == made.room_id


async def test_a_room_whose_beginning_comes_late_is_the_renamed_portals(lake: Lake) -> None:
    await lake.hikers(ANN)
    await lake.apply(RenamePortal(HIKERS, "trekkers"))
    body = {"room_alias_name": "om_lake_group_hikers", "creation_content": _mark("hikers")}
    made = lake.matrix.rooms.create(NAMING.bot, body)
    await lake.matrix.tell()
    assert (await lake.room(TREKKERS)).room_id == made.room_id
    await lake.settle(TREKKERS)
    assert set(lake.matrix.rooms.aliases) == {NAMING.alias(HIKERS), NAMING.alias(TREKKERS)}


async def test_a_strangers_room_is_not_taken(lake: Lake) -> None:
    await lake.hikers(ANN)
    made = lake.matrix.rooms.create("@stranger:test", {"room_alias_name": "om_lake_group_hikers"})
    with pytest.raises(Refused, match="M_ROOM_IN_USE"):
        await lake.portals.settle(HIKERS)
    assert lake.matrix.rooms.aliases == {NAMING.alias(HIKERS): made.room_id}


async def test_the_name_of_a_renamed_group_is_taken_for_a_new_one(lake: Lake) -> None:
    await lake.hikers(ANN)
    await lake.settle()
    old = (await lake.room()).room_id
    await lake.apply(RenamePortal(HIKERS, "trekkers"))
    await lake.settle(TREKKERS)
    await lake.hikers(BEN)  # the first one's job has not run yet
    await lake.settle()
    new = (await lake.room()).room_id
    assert old != new
    await lake.settle(TREKKERS)
    assert lake.matrix.rooms.aliases == {NAMING.alias(HIKERS): new, NAMING.alias(TREKKERS): old}
    assert await lake.inside(old) == {ghost(ANN)}


async def test_what_was_done_and_not_noted_is_no_trouble(lake: Lake) -> None:
    await lake.hikers(ANN)
    await lake.settle()
    room = await lake.room()
    async with lake.database.connection() as connection:
        await connection.execute("UPDATE portal SET applied = '{}'")
    assert await lake.settle() == [
        ("create_alias", NAMING.alias(HIKERS)),
        ("resolve", NAMING.alias(HIKERS)),
    ]
    assert (await lake.room()).applied == room.applied


async def test_an_alias_that_was_taken_away_is_made_again(lake: Lake) -> None:
    await lake.hikers(ANN)
    await lake.settle()
    lake.matrix.rooms.aliases.clear()
    await lake.apply(RenamePortal(HIKERS, "trekkers"))
    await lake.settle(TREKKERS)
    assert set(lake.matrix.rooms.aliases) == {NAMING.alias(HIKERS), NAMING.alias(TREKKERS)}


# Members


async def test_one_who_is_refused_does_not_stop_the_others(lake: Lake) -> None:
    await lake.hikers(ANN, BEN, CYD)
    lake.ghosts.refused = {BEN}
    for _ in range(2):
        with pytest.raises(Refused):
            await lake.portals.settle(HIKERS)
    room = await lake.room()
    assert await lake.inside(room.room_id) == {ghost(ANN), ghost(CYD)}
    assert room.problem == f"{ghost(BEN)} cannot be brought in: {NO}"
    assert [kind for kind, _ in await lake.told()] == ["membership.failed", "portal.ready"]
    lake.ghosts.refused = set()
    await lake.settle()
    assert (await lake.room()).problem is None
    lake.matrix.mood = lambda verb, about: NO if (verb, about) == ("join", ghost(BEN)) else None
    lake.matrix.rooms.kick(lake.matrix.rooms.room(room.room_id), NAMING.bot, ghost(BEN), None)
    await lake.matrix.tell()
    with pytest.raises(Refused):
        await lake.portals.settle(HIKERS)
    # It had come right in between: that is another failure, of which OpenMeet hears.
    failed = [event for kind, event in await lake.told() if kind == "membership.failed"]
    assert [event["user"] for event in failed] == [BEN, BEN]


async def test_one_who_cannot_be_invited_does_not_hinder_the_creation(lake: Lake) -> None:
    await lake.hikers(ANN, BEN)
    lake.matrix.mood = lambda verb, about: (
        NO
        if (verb == "create" and not lake.matrix.asked("create")[1:])
        or (verb in ("invite", "join") and about == ghost(BEN))
        else None
    )
    with pytest.raises(Refused):
        await lake.portals.settle(HIKERS)
    assert await lake.inside((await lake.room()).room_id) == {ghost(ANN)}


async def test_a_homeserver_that_has_enough_is_left_alone(lake: Lake) -> None:
    slugs = [UserSlug(f"walker-{number:02}") for number in range(20)]
    await lake.hikers(*slugs)
    enough = RateLimited("enough", retry_after_ms=100)
    lake.matrix.mood = lambda verb, _: (
        enough if verb == "join" and len(lake.matrix.asked("join")) > 8 else None
    )
    with pytest.raises(RateLimited):
        await lake.portals.settle(HIKERS)
    assert len(lake.matrix.asked("join")) <= 8 + 5
    lake.matrix.mood = lambda *_: None
    left = [one for one in await lake.settle() if one[0] == "join"]
    assert len(left) == 12
    assert len(set(left)) == 12


async def test_the_bridges_own_kick_never_keeps_anybody_out(lake: Lake) -> None:
    lake.rules = Rules(spaces=False, accepted={PortalKind.GROUP: frozenset(Aspect)})
    await lake.hikers(ANN)
    await lake.settle()
    await lake.apply(PutUser(User(LAKE, ANN, None, "Ann", None, active=False)))
    assert ("kick", ghost(ANN)) in await lake.settle()
    await lake.apply(PutUser(User(LAKE, ANN, None, "Ann", None)))
    assert ("join", ghost(ANN)) in await lake.settle()


async def test_who_is_taken_out_before_their_turn_does_not_come_in(lake: Lake) -> None:
    await lake.hikers(ANN)
    await lake.settle()
    await lake.hikers(ANN, BEN, CYD)
    lake.ghosts.meanwhile[CYD] = lambda: lake.apply(DeleteMember(HIKERS, CYD))
    before = len(lake.matrix.calls)
    with pytest.raises(Overtaken, match=ghost(CYD)):
        await lake.portals.settle(HIKERS)
    asked = lake.matrix.calls[before:]
    assert ("join", ghost(CYD)) not in asked
    assert ("join", ghost(BEN)) in asked
    await lake.settle()
    assert await lake.inside((await lake.room()).room_id) == {ghost(ANN), ghost(BEN)}


async def test_who_is_taken_out_while_they_come_in_goes_out_at_once(lake: Lake) -> None:
    await lake.hikers(ANN)
    await lake.settle()
    await lake.hikers(ANN, BEN)

    async def meanwhile(verb: str, about: str) -> None:
        if (verb, about) == ("join", ghost(BEN)):
            await lake.apply(DeleteMember(HIKERS, BEN))

    lake.matrix.meanwhile = meanwhile
    with pytest.raises(Overtaken):
        await lake.portals.settle(HIKERS)
    assert lake.matrix.calls[-1] == ("kick", ghost(BEN))
    assert await lake.settle() == []


async def test_who_was_made_a_member_of_a_new_group_and_no_longer_is_stays_out(lake: Lake) -> None:
    await lake.hikers(ANN, BEN)
    lake.ghosts.meanwhile[BEN] = lambda: lake.apply(DeleteMember(HIKERS, BEN))
    with pytest.raises(Overtaken):
        await lake.portals.settle(HIKERS)
    await lake.settle()
    assert await lake.inside((await lake.room()).room_id) == {ghost(ANN)}
    assert lake.matrix.asked("join") == [ghost(ANN)]


async def test_a_settling_that_is_overtaken_never_gives_a_room_back(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read that somebody is a member; before it looks at the room, they are not."""
    await lake.hikers(ANN, BEN)
    await lake.settle()
    look, taken_out = RoomViews.present, asyncio.Event()

    async def late_look(views: RoomViews, *about: Any) -> Any:
        if not taken_out.is_set():
            taken_out.set()
            await lake.apply(DeleteMember(HIKERS, BEN))
        return await look(views, *about)

    monkeypatch.setattr(RoomViews, "present", late_look)
    with pytest.raises(Overtaken):
        await lake.portals.settle(HIKERS)
    assert sorted(lake.matrix.asked("join")) == [ghost(ANN), ghost(BEN)]
    await lake.settle()
    assert await lake.inside((await lake.room()).room_id) == {ghost(ANN)}


async def test_a_settling_does_not_wait_for_what_nobody_wants_any_more(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(echo, "_PATIENCE", 60.0)
    group = await lake.hikers(ANN, BEN)
    await lake.settle()
    await lake.apply(PutPortal(replace(group, name="Walkers")))
    lake.matrix.silent = True

    async def meanwhile(verb: str, about: str) -> None:
        await lake.apply(DeleteMember(HIKERS, BEN))

    lake.matrix.meanwhile = meanwhile
    with pytest.raises(Overtaken):
        await lake.portals.settle(HIKERS)


# What a room says


async def test_the_picture_follows(lake: Lake) -> None:
    lake.photos[PHOTO] = "mxc://test/one"
    group = await lake.hikers(ANN, avatar_url=PHOTO)
    await lake.settle()
    room = lake.matrix.rooms.room((await lake.room()).room_id)
    assert room.content("m.room.avatar") == {"url": "mxc://test/one"}
    other = replace(group, avatar_url=f"{PHOTO}?2")
    await lake.apply(PutPortal(other))
    assert await lake.portals.plan(HIKERS) == [Look("the picture on OpenMeet")]
    # It cannot be had at present: the old one stays, and nobody asks all the time.
    await lake.portals.settle(HIKERS)
    assert room.content("m.room.avatar") == {"url": "mxc://test/one"}
    async with lake.database.connection() as connection:
        await pictures.failed(connection, other.avatar_url or "", "not there", 60, keep=True)
    assert await lake.portals.plan(HIKERS) == []
    lake.photos[other.avatar_url or ""] = "mxc://test/two"
    assert await lake.settle() == [("state", "m.room.avatar")]
    await lake.apply(PutPortal(replace(group, avatar_url=None)))
    assert await lake.settle() == [("state", "m.room.avatar")]
    assert room.content("m.room.avatar") == {}


# The end


async def test_a_closing_that_was_cut_goes_on_and_says_so_once(lake: Lake) -> None:
    await lake.hikers(ANN, BEN, visibility=Visibility.PUBLIC)
    await lake.settle()
    room_id = (await lake.room()).room_id
    await lake.apply(DeletePortal(HIKERS))
    away = HomeserverUnavailable("away")
    lake.matrix.mood = lambda verb, about: away if (verb, about) == ("kick", ghost(BEN)) else None
    with pytest.raises(HomeserverUnavailable):
        await lake.portals.settle(HIKERS)
    lake.matrix.mood = lambda *_: None
    lake.portals = lake.bridge()
    await lake.settle()
    assert len(lake.matrix.asked("say")) == 1
    assert (await lake.inside(room_id), lake.matrix.rooms.aliases) == (set(), {})
    assert lake.matrix.rooms.listed == set()
    async with lake.database.connection() as connection:
        assert await rooms.room_of(connection, HIKERS) is None
        assert await portals.is_former(connection, RoomId(room_id))
    assert await lake.settle() == []


async def test_plans_of_new_members_are_plain(lake: Lake) -> None:
    await lake.hikers(ANN, visibility=Visibility.PUBLIC)
    await lake.settle()
    await lake.hikers(BEN, visibility=Visibility.PUBLIC)
    assert await lake.portals.plan(HIKERS) == [Join(ghost(BEN))]


# What a homeserver leaves behind that dies while it makes a room


@pytest.mark.parametrize("bound", [True, False], ids=["first event was pushed", "alias only"])
async def test_a_room_that_was_never_finished_is_given_up(
    lake: Lake, bound: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(half_made, "PATIENCE", 0.1)
    await lake.hikers(ANN)
    torso = Room("!torso", "12", NAMING.bot)
    mark = {"tenant": LAKE, "kind": "group", "slug": "hikers"}
    lake.matrix.rooms.rooms[torso.room_id] = torso
    lake.matrix.rooms.aliases[NAMING.alias(HIKERS)] = torso.room_id
    lake.matrix.rooms.add(torso, NAMING.bot, "m.room.create", {PORTAL_KEY: mark}, "")
    if bound:
        await lake.matrix.tell()
        assert (await lake.room()).room_id == torso.room_id
    # It may be that somebody is making it at this moment.
    with pytest.raises(HomeserverUnavailable, match="being made"):
        await lake.portals.settle(HIKERS)
    await asyncio.sleep(0.15)
    await lake.settle()
    room_id = (await lake.room()).room_id
    assert room_id != torso.room_id
    assert lake.matrix.rooms.aliases[NAMING.alias(HIKERS)] == room_id
    assert await lake.inside(room_id) == {ghost("ann")}
