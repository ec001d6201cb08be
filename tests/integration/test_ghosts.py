"""Ghosts look as their people do on OpenMeet, and nothing is asked twice."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from openmeet_bridge.bridge.directory import Directory
from openmeet_bridge.bridge.ghosts import Ghosts
from openmeet_bridge.bridge.pictures import Pictures
from openmeet_bridge.core.changes import (
    Change,
    DeleteBlock,
    DeleteUser,
    PutBlock,
    PutDirect,
    PutUser,
    RenameUser,
)
from openmeet_bridge.core.directory import NAMELESS, User
from openmeet_bridge.core.errors import Conflict
from openmeet_bridge.core.ids import ClientTxnId, Mxid, PortalKind, PortalRef, RoomId, UserSlug
from openmeet_bridge.core.naming import Naming, direct_slug
from openmeet_bridge.core.rules import Rules
from openmeet_bridge.matrix.errors import HomeserverUnavailable, Refused
from openmeet_bridge.openmeet.pictures import PictureStore
from openmeet_bridge.storage import ghosts, outbox, rooms
from openmeet_bridge.storage.database import Database

from ..support.ghost_matrix import GhostMatrix
from ..support.house import LAKE, NAMING, ROOM, House, ghost
from ..support.picture_server import File, PictureServer, picture, picture_server

ANN, BEN, CAT = UserSlug("ann"), UserSlug("ben"), UserSlug("cat")
PAIR = PortalRef(LAKE, PortalKind.DIRECT, direct_slug(ANN, BEN))


class World:
    def __init__(self, database: Database, server: PictureServer, store: PictureStore) -> None:
        self.database = database
        self.house = House(database)
        self.server = server
        self.matrix = GhostMatrix()
        homeserver = self.matrix.as_homeserver()
        pictures = Pictures(database, homeserver, store, NAMING.bot, max_pixels=100_000, side=32)
        self.ghosts = Ghosts(database, homeserver, NAMING, pictures)
        self.directory = Directory(
            database, NAMING, lambda _: Rules(), lambda: None, lambda _: None, lambda *_: None
        )

    async def apply(self, *changes: Change) -> None:
        await self.directory.apply(LAKE, changes)

    async def put(
        self, slug: UserSlug, name: str, picture: str | None = None, *, active: bool = True
    ) -> None:
        await self.apply(PutUser(User(LAKE, slug, None, name, picture, active=active)))

    async def refreshed(self, slug: UserSlug) -> list[tuple[str, str]]:
        """Do a user's job; return what it asked of the homeserver."""
        self.matrix.calls.clear()
        await self.ghosts.refresh(LAKE, slug)
        return list(self.matrix.calls)

    async def wanted(self, slug: UserSlug) -> int:
        async with self.database.connection() as connection:
            return int(
                await connection.fetchval(
                    "SELECT wanted FROM job WHERE kind = 'user' AND slug = $1", slug
                )
            )


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        database = Database(database_url)
        stack.push_async_callback(database.close)
        server = await stack.enter_async_context(picture_server())
        store = PictureStore(max_bytes=100_000, timeout=5, allow_private_addresses=True)
        await stack.enter_async_context(store)
        yield World(database, server, store)


async def test_name_and_picture_follow_and_cost_nothing_when_they_are_there(world: World) -> None:
    await world.put(ANN, "Ann", world.server.put("a.png", picture()))
    assert not await world.ghosts.is_settled(LAKE, ANN)
    done = await world.refreshed(ANN)
    assert [call for call, _ in done] == ["register", "device", "name", "upload", "avatar"]
    assert world.matrix.names[ghost("ann")] == "Ann"
    assert world.matrix.avatars[ghost("ann")] == "mxc://test/1"
    assert await world.refreshed(ANN) == []
    assert await world.ghosts.is_settled(LAKE, ANN)
    await world.put(ANN, "Ann Lee", world.server.put("b.png", picture("blue")))
    assert [call for call, _ in await world.refreshed(ANN)] == ["name", "upload", "avatar"]
    await world.put(ANN, "Ann Lee", None)
    assert not await world.ghosts.is_settled(LAKE, ANN)
    assert await world.refreshed(ANN) == [("avatar", ghost("ann"))]
    assert world.matrix.avatars[ghost("ann")] == ""
    assert await world.refreshed(ANN) == []


async def test_a_step_that_failed_is_the_only_one_repeated(world: World) -> None:
    await world.put(ANN, "Ann", world.server.put("a.png", picture()))
    world.matrix.failures["avatar"] = [HomeserverUnavailable("away")]
    with pytest.raises(HomeserverUnavailable):
        await world.ghosts.refresh(LAKE, ANN)
    assert await world.refreshed(ANN) == [("avatar", ghost("ann"))]


async def test_an_email_address_is_never_shown(world: World) -> None:
    await world.put(ANN, "ann@example.org")
    await world.refreshed(ANN)
    assert world.matrix.names[ghost("ann")] == NAMELESS


async def test_a_picture_that_cannot_be_had_settles_and_leaves_the_rest_alone(world: World) -> None:
    await world.put(ANN, "Ann", world.server.put("a.png", picture()))
    await world.refreshed(ANN)
    await world.put(ANN, "Ann", world.server.put("b.png", b"<svg>"))
    assert await world.refreshed(ANN) == [("avatar", ghost("ann"))]
    assert world.matrix.avatars[ghost("ann")] == ""
    assert await world.ghosts.is_settled(LAKE, ANN)
    await world.put(ANN, "Ann", world.server.put("a.png", picture()))
    await world.refreshed(ANN)
    world.server.files["c.png"] = File(status=503)
    await world.put(ANN, "Ann", f"{world.server.url}/c.png")
    # Away just now: the former picture stays until it is known what there is.
    assert await world.refreshed(ANN) == []
    assert world.matrix.avatars[ghost("ann")] == "mxc://test/1"
    assert await world.ghosts.is_settled(LAKE, ANN)


async def test_direct_chats_are_in_both_peoples_lists(world: World) -> None:
    for slug in (ANN, BEN, CAT):
        await world.put(slug, slug.title())
        await world.refreshed(slug)
    await world.apply(PutDirect(ANN, BEN), PutDirect(ANN, CAT))
    assert await world.ghosts.is_settled(LAKE, ANN)  # there is no room yet
    before = await world.wanted(ANN), await world.wanted(BEN)
    async with world.database.transaction() as connection:
        await rooms.bind(connection, RoomId("!pair"), PAIR)
    assert (await world.wanted(ANN), await world.wanted(BEN)) == (before[0] + 1, before[1] + 1)
    assert [slug async for slug in world.ghosts.unsettled(LAKE)] == [ANN, BEN]
    assert await world.refreshed(ANN) == [("m.direct", ghost("ann"))]
    assert await world.refreshed(BEN) == [("m.direct", ghost("ben"))]
    assert world.matrix.data[ghost("ann"), "m.direct"] == {ghost("ben"): ["!pair"]}
    assert world.matrix.data[ghost("ben"), "m.direct"] == {ghost("ann"): ["!pair"]}
    assert await world.refreshed(ANN) == []
    async with world.database.transaction() as connection:
        await rooms.unbind(connection, RoomId("!pair"), "closed")
    assert await world.wanted(BEN) == before[1] + 2
    await world.refreshed(ANN)
    assert world.matrix.data[ghost("ann"), "m.direct"] == {}


async def test_who_is_blocked_is_ignored(world: World) -> None:
    for slug in (ANN, BEN):
        await world.put(slug, slug.title())
        await world.refreshed(slug)
    await world.apply(PutBlock(ANN, BEN))
    assert await world.refreshed(ANN) == [("m.ignored_user_list", ghost("ann"))]
    assert await world.refreshed(BEN) == []
    ignored = world.matrix.data[ghost("ann"), "m.ignored_user_list"]
    assert ignored == {"ignored_users": {ghost("ben"): {}}}
    assert await world.refreshed(ANN) == []
    await world.apply(DeleteBlock(ANN, BEN))
    await world.refreshed(ANN)
    assert world.matrix.data[ghost("ann"), "m.ignored_user_list"] == {"ignored_users": {}}


async def test_who_blocked_somebody_who_is_gone_is_looked_at(world: World) -> None:
    for slug in (ANN, BEN):
        await world.put(slug, slug.title())
    await world.apply(PutBlock(ANN, BEN))
    before = await world.wanted(ANN)
    await world.apply(DeleteUser(BEN))
    assert await world.wanted(ANN) == before + 1


async def test_a_ghost_that_the_homeserver_has_lost_is_made_anew(world: World) -> None:
    await world.put(ANN, "Ann", world.server.put("a.png", picture()))
    await world.refreshed(ANN)
    await world.put(ANN, "Ann Lee", f"{world.server.url}/a.png")
    world.matrix.failures["name"] = [Refused(403, "M_FORBIDDEN", "AS has not registered this user")]
    with pytest.raises(Refused):
        await world.ghosts.refresh(LAKE, ANN)
    assert world.matrix.did("register")
    # All of it, since a homeserver that lost the user has lost the profile too.
    assert await world.refreshed(ANN) == [("name", ghost("ann")), ("avatar", ghost("ann"))]


async def test_a_room_that_missed_the_profile_is_told(world: World) -> None:
    await world.put(ANN, "Ann", world.server.put("a.png", picture()))
    await world.refreshed(ANN)
    ann = ghost("ann")
    await world.house.room(ann)
    assert await world.ghosts.is_settled(LAKE, ANN)  # it shows no name at all
    shown = {"membership": "join", "displayname": "Ann", "avatar_url": "mxc://test/1"}
    for content in (shown | {"displayname": "Old Ann"}, shown | {"avatar_url": "mxc://test/0"}):
        await world.house.state(ann, "m.room.member", ann, content)
        assert not await world.ghosts.is_settled(LAKE, ANN)
        assert await world.refreshed(ANN) == [("m.room.member", ROOM)]
        assert world.matrix.data[ROOM, ann] == shown
    await world.house.state(ann, "m.room.member", ann, shown)
    assert await world.ghosts.is_settled(LAKE, ANN)
    # Who has no picture on OpenMeet may have one of their own.
    await world.put(ANN, "Ann", None)
    await world.refreshed(ANN)
    assert await world.ghosts.is_settled(LAKE, ANN)


async def test_an_inactive_user_is_left_alone(world: World) -> None:
    await world.put(ANN, "Ann", active=False)
    assert await world.refreshed(ANN) == []
    assert await world.ghosts.is_settled(LAKE, ANN)


async def test_without_pictures_avatars_are_left_alone(world: World) -> None:
    await world.put(ANN, "Ann", world.server.put("a.png", picture()))
    plain = Ghosts(world.database, world.matrix.as_homeserver(), NAMING)
    await plain.refresh(LAKE, ANN)
    assert not world.matrix.did("avatar")
    assert await plain.is_settled(LAKE, ANN)


async def test_messages_of_a_user_who_is_gone_are_given_up(world: World) -> None:
    await world.put(ANN, "Ann")
    told: list[int] = []
    world.directory.endings._message_gone = told.append
    async with world.database.transaction() as connection:
        message, _ = await outbox.put(
            connection, LAKE, ANN, ClientTxnId("x"), RoomId("!r"), ghost("ann"), b"{}"
        )
    await world.put(ANN, "Ann", active=False)
    async with world.database.connection() as connection:
        found = await outbox.by_id(connection, message.id)
    assert found is not None
    assert (found.state, found.errcode) == ("failed", "M_USER_DEACTIVATED")
    assert told == [message.id]


# Matrix ids that OpenMeet's users had before the bridge


def adopting(world: World, *patterns: str) -> Directory:
    naming = Naming("test", adopted=[re.compile(one) for one in patterns])
    return Directory(
        world.database, naming, lambda _: Rules(), lambda: None, lambda _: None, lambda *_: None
    )


async def test_an_id_of_before_is_kept(world: World) -> None:
    directory = adopting(world, r"@(?:[a-z-]+_lake):test$")
    user = User(LAKE, ANN, 1, "Ann", None, mxid=Mxid("@ann_lake:test"))
    await directory.apply(LAKE, [PutUser(user)])
    await world.refreshed(ANN)
    assert world.matrix.names == {"@ann_lake:test": "Ann"}


async def test_a_made_ghost_goes_before_another_and_the_claim_is_noted(world: World) -> None:
    directory = adopting(world, r"@(?:[a-z-]+_lake):test$")
    for slug, mxid in ((ANN, "@ann:elsewhere"), (BEN, "@ann_lake:test"), (CAT, "@ann_lake:test")):
        user = User(LAKE, slug, None, slug, None, mxid=Mxid(mxid))
        await directory.apply(LAKE, [PutUser(user)])
    async with world.database.connection() as connection:
        found = [await ghosts.of_user(connection, LAKE, slug) for slug in (ANN, BEN, CAT)]
    assert [(one.mxid, one.claimed_mxid) for one in found if one] == [
        (ghost("ann"), "@ann:elsewhere"),
        ("@ann_lake:test", None),
        (ghost("cat"), "@ann_lake:test"),
    ]
    await directory.apply(LAKE, [PutUser(User(LAKE, ANN, None, "ann", None, mxid=ghost("ann")))])
    async with world.database.connection() as connection:
        ann = await ghosts.of_user(connection, LAKE, ANN)
    assert ann is not None
    assert ann.claimed_mxid is None


async def test_direct_chats_of_an_adopted_persons_own_are_kept(world: World) -> None:
    directory = adopting(world, r"@(?:[a-z-]+_lake):test$")
    ann = Mxid("@ann_lake:test")
    await directory.apply(LAKE, [PutUser(User(LAKE, ANN, 1, "Ann", None, mxid=ann))])
    await world.put(BEN, "Ben")
    await world.apply(PutDirect(ANN, BEN), PutBlock(ANN, BEN))
    async with world.database.transaction() as connection:
        await rooms.bind(connection, RoomId("!pair"), PAIR)
    own = {"@friend:test": ["!own"], ghost("ben"): ["!other"]}
    world.matrix.data[ann, "m.direct"] = own
    world.matrix.data[ann, "m.ignored_user_list"] = {"ignored_users": {"@foe:test": {}}}
    await world.refreshed(ANN)
    assert world.matrix.data[ann, "m.direct"] == {
        "@friend:test": ["!own"],
        ghost("ben"): ["!other", "!pair"],
    }
    ignored = world.matrix.data[ann, "m.ignored_user_list"]
    assert ignored == {"ignored_users": {"@foe:test": {}, ghost("ben"): {}}}
    async with world.database.transaction() as connection:
        await rooms.unbind(connection, RoomId("!pair"), "closed")
    await world.apply(DeleteBlock(ANN, BEN))
    await world.refreshed(ANN)
    assert world.matrix.data[ann, "m.direct"] == own
    assert world.matrix.data[ann, "m.ignored_user_list"] == {"ignored_users": {"@foe:test": {}}}


async def test_a_slug_that_was_somebody_elses_gets_another_ghost(world: World) -> None:
    await world.put(ANN, "Ann")
    await world.put(BEN, "Ben")
    await world.apply(DeleteUser(ANN))
    await world.apply(RenameUser(BEN, ANN))
    await world.put(BEN, "Another Ben")
    async with world.database.connection() as connection:
        ann = await ghosts.of_user(connection, LAKE, ANN)
        ben = await ghosts.of_user(connection, LAKE, BEN)
    assert ann is not None
    assert ann.mxid == ghost("ben")
    assert ben is not None
    assert ben.mxid == NAMING.another(ghost("ben"), 2)


async def test_who_comes_back_is_the_same_and_another_with_the_slug_is_not(world: World) -> None:
    async def mxid() -> Mxid:
        async with world.database.connection() as connection:
            found = await ghosts.of_user(connection, LAKE, ANN)
        assert found is not None
        return found.mxid

    await world.apply(PutUser(User(LAKE, ANN, 1, "Ann", None)))
    await world.apply(DeleteUser(ANN), PutUser(User(LAKE, ANN, 1, "Ann", None)))
    assert await mxid() == ghost("ann")
    await world.apply(DeleteUser(ANN), PutUser(User(LAKE, ANN, 2, "Other Ann", None)))
    assert await mxid() == NAMING.another(ghost("ann"), 2)


async def test_an_erased_slug_never_comes_back(world: World) -> None:
    await world.put(ANN, "Ann")
    await world.apply(DeleteUser(ANN))
    async with world.database.connection() as connection:
        await ghosts.mark_erased(connection, ghost("ann"))
        assert await ghosts.erased(connection, LAKE) == {ANN}
    with pytest.raises(Conflict, match="was erased"):
        await world.put(ANN, "Ann")
