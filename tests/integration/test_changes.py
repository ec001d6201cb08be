"""The language of changes: what each does to the directory, to jobs, and to who is in a room."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from openmeet_bridge.bridge.directory import Applied, Directory
from openmeet_bridge.core.changes import (
    Change,
    DeleteBlock,
    DeleteMember,
    DeleteOverride,
    DeletePortal,
    DeleteUser,
    PutBlock,
    PutDirect,
    PutMember,
    PutOverride,
    PutPortal,
    PutUser,
    RenamePortal,
    RenameUser,
    ReplaceMembers,
)
from openmeet_bridge.core.directory import (
    NAMELESS,
    Member,
    Override,
    Portal,
    Snapshot,
    User,
    Visibility,
)
from openmeet_bridge.core.errors import BridgeError, Conflict, InvalidParam, NotFound
from openmeet_bridge.core.ids import Mxid, PortalKind, PortalRef, RoomId, UserSlug
from openmeet_bridge.core.naming import direct_slug
from openmeet_bridge.core.rules import Rules
from openmeet_bridge.storage import directory as stored
from openmeet_bridge.storage import ghosts, jobs, rooms
from openmeet_bridge.storage.database import Database

from ..support.house import LAKE, NAMING, ROOM, SEA, House, ghost

ANN, BEN, CEM = UserSlug("ann"), UserSlug("ben"), UserSlug("cem")
HIKERS = PortalRef(LAKE, PortalKind.GROUP, "hikers")
WALK = PortalRef(LAKE, PortalKind.MEETUP, "walk")
ANN_BEN = PortalRef(LAKE, PortalKind.DIRECT, direct_slug(ANN, BEN))


def user(slug: UserSlug, **more: object) -> PutUser:
    return PutUser(replace(User(LAKE, slug, None, slug.title(), None), **more))  # type: ignore[arg-type]


def portal(ref: PortalRef, **more: object) -> PutPortal:
    return PutPortal(replace(Portal(ref, "", ref.slug.title()), **more))  # type: ignore[arg-type]


@dataclass
class Desk:
    """A directory with two people, a group and a meetup, and what it has told others."""

    house: House
    directory: Directory
    gone: list[Mxid] = field(default_factory=list)
    out: list[tuple[Mxid, RoomId]] = field(default_factory=list)

    @property
    def database(self) -> Database:
        return self.house.database

    async def apply(self, *changes: Change) -> Applied:
        return await self.directory.apply(LAKE, changes)

    async def told(self, *changes: Change) -> list[tuple[str, str, str, str | None]]:
        """What really changed: kind, slug, what, member."""
        applied = await self.apply(*changes)
        return [(one.kind, one.slug, one.what, one.member) for one in applied.differences]

    async def whole(self) -> Snapshot:
        async with self.database.connection() as connection:
            return await stored.snapshot(connection, LAKE)

    async def everything(self) -> list[list[str]]:
        """All that is kept of the tenant, to see whether anything changed."""
        tables = (
            "directory_head",
            "directory_user",
            "directory_portal",
            "directory_member",
            "directory_override",
            "directory_block",
            "former_alias",
            "ghost",
            "job",
            "room_member",
        )
        async with self.database.connection() as connection:
            return [
                sorted(map(str, await connection.fetch(f"SELECT * FROM {table}")))  # noqa: S608
                for table in tables
            ]

    async def wanted(self) -> set[tuple[str, str]]:
        """Which jobs there are."""
        async with self.database.connection() as connection:
            rows = await connection.fetch("SELECT kind, slug FROM job WHERE wanted > done")
        return {(row["kind"], row["slug"]) for row in rows}

    async def all_done(self) -> None:
        async with self.database.connection() as connection:
            await connection.execute("UPDATE job SET done = wanted, leased_until = NULL")

    async def inside(self) -> set[Mxid]:
        """Who is in the group's room and not barred."""
        async with self.database.connection() as connection:
            found = await rooms.room_members(connection, ROOM)
        return {one.mxid for one in found if one.membership == "join" and not one.barred}


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    database = Database(database_url)
    gone: list[Mxid] = []
    out: list[tuple[Mxid, RoomId]] = []
    directory = Directory(
        database,
        NAMING,
        lambda _: Rules(spaces=False),
        lambda: None,
        user_gone=gone.append,
        member_gone=lambda mxid, room_id: out.append((mxid, room_id)),
    )
    made = Desk(House(database), directory, gone, out)
    await made.apply(user(ANN), user(BEN), portal(HIKERS), portal(WALK, group="hikers"))
    yield made
    await database.close()


@pytest.fixture
async def room(desk: Desk) -> RoomId:
    """The group's room, with Ann and Ben in it."""
    await desk.apply(ReplaceMembers(HIKERS, [Member(ANN, "owner"), Member(BEN)]))
    await desk.house.room(ghost(ANN), ghost(BEN))
    await desk.apply(portal(HIKERS))
    await desk.all_done()
    return ROOM


# Each change


async def test_what_is_so_already_is_no_difference(desk: Desk) -> None:
    when = datetime(2026, 5, 1, tzinfo=UTC)
    override = Override(BEN, inside=False, reason="noise")
    changes: list[Change] = [
        user(ANN, openmeet_id=3, avatar_url="https://x/a", active=True),
        portal(WALK, starts_at=when, ends_at=when, status="published", openmeet_id=9),
        portal(HIKERS, visibility=Visibility.PUBLIC, topic="Up", url="https://x/"),
        PutMember(HIKERS, Member(ANN, "owner")),
        ReplaceMembers(WALK, [Member(ANN, "host"), Member(BEN, "participant", "pending")]),
        PutDirect(ANN, BEN),
        PutBlock(ANN, BEN),
        PutOverride(HIKERS, override),
    ]
    first = await desk.apply(*changes)
    assert len(first.differences) == 11
    await desk.all_done()
    again = await desk.apply(*changes)
    assert (again.differences, again.revision) == ([], first.revision)
    assert await desk.wanted() == set()
    for change in changes:
        assert (await desk.apply(change)).differences == []


async def test_who_says_it_again_has_what_failed_tried_again(desk: Desk) -> None:
    await desk.all_done()
    async with desk.database.connection() as connection:
        await connection.execute(
            "UPDATE job SET permanent = true, wanted = done + 1, error = 'x' WHERE slug = 'ann'"
        )
    await desk.directory.apply(LAKE, [user(ANN)], bulk=True)
    async with desk.database.connection() as connection:
        status = await jobs.status(connection, LAKE, "user", ANN)
        assert status is not None
        assert status.permanent
    await desk.apply(user(ANN))
    assert await desk.wanted() == {("user", ANN)}
    assert (await desk.directory.status(LAKE, "user", ANN)).state == "pending"


async def test_only_what_is_different_is_named(desk: Desk) -> None:
    applied = await desk.apply(
        user(ANN, name="Anna"), portal(HIKERS, topic="Up"), PutMember(HIKERS, Member(ANN))
    )
    assert [(one.what, one.fields) for one in applied.differences] == [
        ("changed", ("name",)),
        ("changed", ("topic",)),
        ("added", ()),
    ]


async def test_one_request_asks_for_each_job_once(desk: Desk) -> None:
    await desk.all_done()
    async with desk.database.connection() as connection:
        before = await jobs.status(connection, LAKE, "group", "hikers")
    await desk.apply(
        PutMember(HIKERS, Member(ANN)), PutMember(HIKERS, Member(BEN)), portal(HIKERS, topic="x")
    )
    async with desk.database.connection() as connection:
        after = await jobs.status(connection, LAKE, "group", "hikers")
    assert before is not None
    assert after is not None
    assert after.wanted == before.wanted + 1
    assert await desk.wanted() == {("group", "hikers")}


async def test_a_user_who_is_removed_leaves_everything(desk: Desk, room: RoomId) -> None:
    await desk.apply(PutDirect(ANN, BEN), PutBlock(ANN, BEN))
    assert ("user", BEN, "removed", None) in await desk.told(DeleteUser(BEN))
    assert desk.gone == [ghost(BEN)]
    assert desk.out == [(ghost(BEN), room)]
    assert {"hikers", ANN_BEN.slug, BEN} <= {slug for _, slug in await desk.wanted()}
    whole = await desk.whole()
    assert BEN not in whole.users
    assert BEN not in whole.members[HIKERS]
    assert not whole.blocks
    assert await desk.told(DeleteUser(BEN)) == []


async def test_an_inactive_user_is_out_until_active_again(desk: Desk, room: RoomId) -> None:
    await desk.apply(user(BEN, active=False))
    assert desk.gone == [ghost(BEN)]
    assert await desk.inside() == {NAMING.bot, ghost(ANN)}
    assert ("group", "hikers") in await desk.wanted()
    assert BEN in (await desk.whole()).members[HIKERS]
    await desk.all_done()
    await desk.apply(user(BEN))
    assert ("group", "hikers") in await desk.wanted()


async def test_a_deleted_portal_is_empty_at_once(desk: Desk, room: RoomId) -> None:
    await desk.apply(user(CEM), PutOverride(HIKERS, Override(CEM, inside=True, reason="guest")))
    await desk.house.member(ghost(CEM), "join")
    assert await desk.told(DeletePortal(HIKERS)) == [("group", "hikers", "removed", None)]
    assert await desk.inside() == {NAMING.bot}
    assert sorted(desk.out) == [(ghost(slug), room) for slug in (ANN, BEN, CEM)]
    assert await desk.told(DeletePortal(HIKERS)) == []
    assert await desk.told(DeletePortal(HIKERS._replace(slug="none"))) == []
    assert HIKERS not in (await desk.whole()).portals


# Who is out is out at once


@pytest.mark.parametrize(
    "change",
    [
        DeleteMember(HIKERS, BEN),
        ReplaceMembers(HIKERS, [Member(ANN, "owner")]),
        PutMember(HIKERS, Member(BEN, "guest")),
        PutMember(HIKERS, Member(BEN, "member", "banned")),
        PutOverride(HIKERS, Override(BEN, inside=False, reason="noise")),
        user(BEN, active=False),
        DeleteUser(BEN),
    ],
    ids=lambda change: type(change).__name__,
)
async def test_who_is_out_is_out_at_once(desk: Desk, room: RoomId, change: Change) -> None:
    await desk.apply(change)
    assert desk.out == [(ghost(BEN), room)]
    assert await desk.inside() == {NAMING.bot, ghost(ANN)}
    assert ("group", "hikers") in await desk.wanted()


async def test_a_rename_in_the_same_request_lets_nobody_stay(desk: Desk, room: RoomId) -> None:
    await desk.apply(DeleteMember(HIKERS, BEN), RenamePortal(HIKERS, "walkers"))
    assert desk.out == [(ghost(BEN), room)]


async def test_nobody_is_told_of_what_was_not_kept(desk: Desk, room: RoomId) -> None:
    before = await desk.everything()
    with pytest.raises(NotFound) as refused:
        await desk.apply(DeleteMember(HIKERS, BEN), PutMember(HIKERS, Member(CEM)))
    assert refused.value.position == 1
    assert refused.value.fields == {"user": "is not known"}
    await desk.directory.apply(LAKE, [DeleteUser(BEN), user(CEM)], dry_run=True)
    assert (desk.out, desk.gone) == ([], [])
    assert await desk.everything() == before


async def test_an_operators_word_goes_before_openmeets(desk: Desk, room: RoomId) -> None:
    inside = Override(BEN, inside=True, reason="keep")
    assert await desk.told(PutOverride(HIKERS, inside)) == [("group", "hikers", "changed", BEN)]
    await desk.apply(DeleteMember(HIKERS, BEN))
    assert ghost(BEN) in await desk.inside()
    await desk.apply(DeleteOverride(HIKERS, BEN))
    assert ghost(BEN) not in await desk.inside()
    assert desk.out == [(ghost(BEN), room)]
    assert await desk.told(DeleteOverride(HIKERS, BEN)) == []


async def test_a_block_concerns_the_direct_chat(desk: Desk) -> None:
    await desk.apply(PutDirect(ANN, BEN))
    await desk.all_done()
    assert await desk.told(PutBlock(BEN, ANN)) == [("user", BEN, "changed", None)]
    assert {("user", BEN), ("direct", ANN_BEN.slug)} <= await desk.wanted()
    assert await desk.told(PutDirect(ANN, BEN)) == []
    await desk.apply(DeletePortal(ANN_BEN))
    with pytest.raises(Conflict):
        await desk.apply(PutDirect(ANN, BEN))
    assert await desk.told(DeleteBlock(BEN, ANN)) == [("user", BEN, "changed", None)]
    await desk.apply(PutDirect(BEN, ANN))
    assert (await desk.whole()).portals[ANN_BEN].reborn
    with pytest.raises(InvalidParam):
        await desk.apply(PutBlock(ANN, ANN))


# Renames


async def test_a_user_keeps_everything_under_another_slug(desk: Desk, room: RoomId) -> None:
    await desk.apply(
        PutDirect(ANN, BEN),
        PutBlock(BEN, ANN),
        PutOverride(HIKERS, Override(BEN, inside=True, reason="keep")),
    )
    dan = UserSlug("dan")
    direct = ANN_BEN._replace(slug=direct_slug(ANN, dan))
    assert await desk.told(RenameUser(BEN, dan)) == [
        ("user", dan, "renamed", None),
        ("direct", direct.slug, "renamed", None),
    ]
    whole = await desk.whole()
    assert whole.users[dan].mxid == ghost(BEN)
    assert whole.members[HIKERS].keys() == {ANN, dan}
    assert whole.members[direct].keys() == {ANN, dan}
    assert whole.blocks == {(dan, ANN)}
    assert BEN not in whole.users
    assert desk.out == []
    assert ghost(BEN) in await desk.inside()
    with pytest.raises(NotFound):
        await desk.directory.status(LAKE, "user", BEN)
    assert await desk.told(RenameUser(BEN, dan)) == []


async def test_a_slug_that_was_somebodys_can_be_taken(desk: Desk) -> None:
    await desk.apply(user(CEM), DeleteUser(CEM))
    await desk.apply(RenameUser(BEN, CEM))
    await desk.apply(user(BEN))
    whole = await desk.whole()
    assert whole.users[CEM].mxid == ghost(BEN)
    newcomer = whole.users[BEN].mxid
    assert newcomer not in (None, ghost(BEN), ghost(CEM))
    with pytest.raises(Conflict) as taken:
        await desk.apply(RenameUser(ANN, BEN))
    assert taken.value.fields == {"to": "is taken"}
    with pytest.raises(InvalidParam) as long:
        await desk.apply(RenameUser(ANN, UserSlug("x" * 250)))
    assert list(long.value.fields) == ["to"]


async def test_slugs_are_exchanged_in_three_steps(desk: Desk) -> None:
    step = UserSlug("step")
    await desk.apply(RenameUser(ANN, step), RenameUser(BEN, ANN), RenameUser(step, BEN))
    whole = await desk.whole()
    assert (whole.users[ANN].mxid, whole.users[BEN].mxid) == (ghost(BEN), ghost(ANN))


async def test_a_portal_keeps_its_room_and_its_old_alias(desk: Desk, room: RoomId) -> None:
    walkers = HIKERS._replace(slug="walkers")
    assert await desk.told(RenamePortal(HIKERS, "walkers")) == [
        ("group", "walkers", "renamed", None)
    ]
    async with desk.database.connection() as connection:
        assert await rooms.room_of(connection, walkers) == room
        found = await stored.portal_by_alias(connection, NAMING.alias(HIKERS))
        assert found is not None
        assert found.ref == walkers
        assert found.alias == NAMING.alias(walkers)
    whole = await desk.whole()
    assert whole.members[walkers].keys() == {ANN, BEN}
    assert whole.portals[WALK].group == "walkers"
    assert await desk.told(RenamePortal(HIKERS, "walkers")) == []
    with pytest.raises(NotFound):
        await desk.apply(RenamePortal(HIKERS, "elsewhere"))
    await desk.apply(portal(HIKERS))
    with pytest.raises(Conflict):
        await desk.apply(RenamePortal(walkers, "hikers"))
    async with desk.database.connection() as connection:
        assert await stored.former_aliases(connection, walkers) == []


async def test_a_name_is_not_free_before_its_room_is_closed(desk: Desk, room: RoomId) -> None:
    await desk.apply(portal(HIKERS._replace(slug="walkers")), DeletePortal(HIKERS))
    with pytest.raises(Conflict) as busy:
        await desk.apply(RenamePortal(HIKERS._replace(slug="walkers"), "hikers"))
    assert busy.value.retry_after_ms


# Names


async def test_a_matrix_id_is_adopted_where_it_may_be(desk: Desk) -> None:
    mine, theirs = NAMING.ghost(LAKE, UserSlug("old")), NAMING.ghost(SEA, UserSlug("old"))
    await desk.apply(
        user(CEM, mxid=mine),
        user(UserSlug("dan"), mxid=theirs),
        user(UserSlug("eve"), mxid=mine),
        user(UserSlug("fay"), mxid=Mxid("@somebody:elsewhere")),
    )
    users = (await desk.whole()).users
    assert users[CEM].mxid == mine
    for slug in map(UserSlug, ("dan", "eve", "fay")):
        assert users[slug].mxid == ghost(slug)


async def test_names_that_cannot_be(desk: Desk) -> None:
    changes: list[Change] = [user(UserSlug("x" * 250)), user(UserSlug(""))]
    for change in changes:
        with pytest.raises(InvalidParam) as refused:
            await desk.apply(change)
        assert list(refused.value.fields) == ["slug"]


async def test_names_that_may_not_be_shown(desk: Desk) -> None:
    await desk.apply(
        user(ANN, name="ann@lake.example"),
        user(BEN, name="  Ben \n B. "),
        user(CEM, name="x" * 500),
    )
    users = (await desk.whole()).users
    assert users[ANN].name == NAMELESS
    assert users[BEN].name == "Ben B."
    assert users[CEM].name == "x" * 254 + "…"


# Revisions


async def test_each_real_change_is_a_revision(desk: Desk) -> None:
    before = (await desk.directory.head(LAKE)).revision
    applied = await desk.apply(user(CEM), PutMember(HIKERS, Member(CEM)))
    assert applied.revision == before + 1
    dry = await desk.directory.apply(LAKE, [DeleteUser(CEM)], dry_run=True)
    assert (dry.revision, len(dry.differences)) == (before + 1, 1)
    with pytest.raises(Conflict):
        await desk.directory.apply(LAKE, [DeleteUser(CEM)], if_revision=before)
    await desk.directory.apply(LAKE, [DeleteUser(CEM)], if_revision=before + 1)
    assert (await desk.directory.head(SEA)).revision == 0


async def test_a_deprovisioned_tenant_takes_nothing(desk: Desk) -> None:
    async with desk.database.connection() as connection:
        await stored.suspend(connection, LAKE, True)
    with pytest.raises(Conflict):
        await desk.directory.apply(LAKE, [user(CEM)], unless_suspended=True)
    await desk.apply(DeleteUser(BEN))
    async with desk.database.connection() as connection:
        await stored.suspend(connection, LAKE, False)
    await desk.directory.apply(LAKE, [user(CEM)], unless_suspended=True)


# At once


async def test_writers_at_once_neither_wait_for_ever_nor_lose(desk: Desk, room: RoomId) -> None:
    """Feeds write while the log is read: changes to the same rooms, people and jobs."""
    slugs = [UserSlug(f"p{number}") for number in range(12)]
    await desk.apply(*(user(slug) for slug in slugs))
    await desk.apply(ReplaceMembers(HIKERS, [Member(slug) for slug in slugs]))
    chance = random.Random(7)

    async def write(number: int) -> None:
        order = chance.sample(slugs, len(slugs))
        words = ("member", "guest", "admin")
        await desk.apply(*(PutMember(HIKERS, Member(one, chance.choice(words))) for one in order))
        await desk.apply(user(order[0], name=f"Name {number}"))

    async def arrive() -> None:
        for slug in chance.sample(slugs, len(slugs)):
            await desk.house.member(ghost(slug), "join")

    await asyncio.gather(*(write(number) for number in range(8)), *(arrive() for _ in range(2)))
    whole = await desk.whole()
    assert whole.members[HIKERS].keys() == set(slugs)
    async with desk.database.connection() as connection:
        for slug in slugs:
            found = await ghosts.of_user(connection, LAKE, slug)
            assert found is not None
            assert found.mxid == whole.users[slug].mxid


async def test_random_changes_and_their_dry_runs_agree(desk: Desk) -> None:
    """A dry run tells what the change then makes, and what is refused is refused by both."""
    chance = random.Random(11)
    people = [UserSlug(name) for name in ("ann", "ben", "cem", "dan")]
    refs = [HIKERS, WALK, HIKERS._replace(slug="walkers")]
    for _ in range(150):
        changes = _some_changes(chance, people, refs)
        results: list[object] = []
        for dry_run in (True, False):
            try:
                applied = await desk.directory.apply(LAKE, changes, dry_run=dry_run)
                results.append(list(applied.differences))
            except BridgeError as error:
                results.append([error.errcode, error.position, error.fields])
        assert results[0] == results[1], changes


def _some_changes(
    chance: random.Random, people: Sequence[UserSlug], refs: Sequence[PortalRef]
) -> list[Change]:
    def one() -> UserSlug:
        return chance.choice(people)

    def ref() -> PortalRef:
        return chance.choice(refs)

    def member() -> Member:
        return Member(one(), chance.choice(["member", "guest"]))

    soon = datetime(2026, 5, 1, tzinfo=UTC) + timedelta(days=chance.randrange(3))
    makers: list[Callable[[], Change]] = [
        lambda: user(one(), active=chance.random() < 0.8),
        lambda: user(one(), openmeet_id=chance.randrange(1, 4)),
        lambda: DeleteUser(one()),
        lambda: RenameUser(one(), one()),
        lambda: portal(ref(), starts_at=soon),
        lambda: DeletePortal(ref()),
        lambda: RenamePortal(ref(), ref().slug),
        lambda: PutMember(ref(), member()),
        lambda: DeleteMember(ref(), one()),
        lambda: ReplaceMembers(ref(), [member()]),
        lambda: PutDirect(one(), one()),
        lambda: PutBlock(one(), one()),
        lambda: DeleteBlock(one(), one()),
        lambda: PutOverride(ref(), Override(one(), chance.random() < 0.5, "so")),
        lambda: DeleteOverride(ref(), one()),
    ]
    return [chance.choice(makers)() for _ in range(chance.randrange(1, 5))]
