"""Reading OpenMeet's database: what its rows become, and what it refuses to become."""

# ruff: noqa: S608  (the names are the test's own)

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from openmeet_bridge.core.directory import Member, Visibility
from openmeet_bridge.core.errors import InvalidParam, NotFound, Unavailable
from openmeet_bridge.core.hints import Subject
from openmeet_bridge.core.ids import PortalKind, PortalRef, TenantId, UserSlug
from openmeet_bridge.core.naming import direct_slug
from openmeet_bridge.core.rules import Place, Rules
from openmeet_bridge.openmeet.database import OpenMeetDatabase, Reading
from openmeet_bridge.openmeet.schema import UnusableSchema

from ..support.openmeet_database import OpenMeet
from ..support.openmeet_site import Site

LAKE, PUBLIC = TenantId("lake-1_x"), TenantId("")
SITES = {LAKE: "https://lake.example.org/", PUBLIC: None}
FILES = "https://cdn.example.org/"
ANN, BEN = UserSlug("ann-lee-x1y2z3"), UserSlug("ben--_q-a_b")
HIKERS = PortalRef(LAKE, PortalKind.GROUP, "hikers--a_b-x1")
WALK = PortalRef(LAKE, PortalKind.MEETUP, "walk-in-the-hills-a1b2c3")


@pytest.fixture
async def meet(empty_database_url: str) -> AsyncIterator[OpenMeet]:
    meet = await OpenMeet.build(empty_database_url, [LAKE, PUBLIC])
    yield meet
    await meet.close()


@pytest.fixture
async def database(empty_database_url: str, meet: OpenMeet) -> AsyncIterator[OpenMeetDatabase]:
    database = OpenMeetDatabase(empty_database_url, SITES, FILES)
    yield database
    await database.close()


@pytest.fixture
def site(meet: OpenMeet) -> Site:
    return meet.site(LAKE)


def ref(slug: str, kind: PortalKind = PortalKind.GROUP) -> PortalRef:
    return PortalRef(LAKE, kind, slug)


def levels(reading: Reading, portal: PortalRef, rules: Rules) -> dict[str, int]:
    """Who should be in a portal, by the rules."""
    found = {}
    for slug, member in reading.snapshot.members[portal].items():
        standing = rules.standing(portal.kind, member)
        if standing.place is Place.IN and reading.snapshot.users[slug].active:
            found[str(slug)] = standing.level
    return found


async def assert_as_expected(meet: OpenMeet, reading: Reading, tenant: TenantId) -> None:
    rules = Rules()
    expected = await meet.expected(tenant, rules)
    portals = {
        (one.ref.kind.value, one.ref.slug): one
        for one in reading.snapshot.portals.values()
        if one.ref.kind is not PortalKind.DIRECT
    }
    assert portals.keys() == expected.keys()
    for key, wanted in expected.items():
        assert (portals[key].name, portals[key].visibility) == (wanted.name, wanted.visibility)
        assert levels(reading, portals[key].ref, rules) == wanted.levels, key


async def test_everything_is_read(meet: OpenMeet, database: OpenMeetDatabase) -> None:
    for tenant in (LAKE, PUBLIC):
        reading = await database.snapshot(tenant)
        await assert_as_expected(meet, reading, tenant)
        assert set(reading.snapshot.users) == set(await meet.expected_names(tenant))
        assert {one.tenant for one in reading.snapshot.users.values()} == {tenant}
        assert reading.up_to is not None
    assert reading.unknown == {"url"}


async def test_people(database: OpenMeetDatabase, site: Site) -> None:
    await site.set_photo(1, "avatars/a b?.png")
    await site.set_photo(2, "https://elsewhere.example.org/ben.png")
    await site.register("mx-1", "M", "X", mxid="@mx:example.org")
    await site.register("mx-2", "M", "X", mxid="nonsense")
    users = (await database.snapshot(LAKE)).snapshot.users
    ann, ben = users[ANN], users[BEN]
    assert (ann.name, ann.openmeet_id, ann.active, ann.mxid) == ("Ann Lee", 1, True, None)
    assert ann.avatar_url == "https://cdn.example.org/avatars/a%20b%3F.png"
    assert (ben.name, ben.avatar_url) == ("Ben", "https://elsewhere.example.org/ben.png")
    assert users[UserSlug("null-null-x1y2z3")].name == ""
    assert not users[UserSlug("resting-abc123")].active
    assert users[UserSlug("waiting-abc123")].active
    assert users[UserSlug("mx-1")].mxid == "@mx:example.org"
    assert users[UserSlug("mx-2")].mxid is None
    assert not {"shadow-abc123", "gone-abc123"} & users.keys()


async def test_what_cannot_be_used_is_told(database: OpenMeetDatabase, site: Site) -> None:
    await site.register("x" * 255, "Long", "Slug")
    reading = await database.snapshot(LAKE)
    assert [(one.table, one.id, one.reason) for one in reading.problems] == [
        ("users", "9", "it has no slug"),
        ("users", "10", "it has no slug"),
        ("users", "11", "another row has the slug 'ann-lee-x1y2z3' too"),
        ("chatRooms", "3", "it is the direct chat of a user alone"),
    ]


async def test_groups_and_meetups(database: OpenMeetDatabase, site: Site) -> None:
    snapshot = (await database.snapshot(LAKE)).snapshot
    hikers, walk = snapshot.portals[HIKERS], snapshot.portals[WALK]
    assert (hikers.name, hikers.topic, hikers.openmeet_id) == ("Hikers", "About Hikers", 1)
    assert hikers.url == "https://lake.example.org/groups/hikers--a_b-x1"
    assert (hikers.visibility, hikers.group, hikers.starts_at) == (Visibility.PUBLIC, None, None)
    assert walk.url == "https://lake.example.org/events/walk-in-the-hills-a1b2c3"
    assert (walk.group, walk.status) == (HIKERS.slug, "published")
    assert walk.starts_at == datetime(2026, 12, 1, 18, tzinfo=UTC)
    assert walk.ends_at == datetime(2026, 12, 1, 21, tzinfo=UTC)


async def test_what_is_left_open_is_read_with_care(database: OpenMeetDatabase) -> None:
    snapshot = (await database.snapshot(LAKE)).snapshot
    for slug in ("draft-x1y2z3", "open-x1y2z3"):
        assert snapshot.portals[ref(slug)].visibility is Visibility.PRIVATE
    talk = ref("talk-a1b2c3", PortalKind.MEETUP)
    greek = UserSlug("-k3m_9-")
    assert snapshot.portals[talk].visibility is Visibility.PRIVATE
    assert snapshot.members[talk][greek] == Member(greek, "participant", "none")
    assert snapshot.members[HIKERS][BEN] == Member(BEN, "admin")
    assert snapshot.members[HIKERS][greek].role == "member"


async def test_moments_that_are_none_are_left_out(database: OpenMeetDatabase, site: Site) -> None:
    await site.do("""UPDATE "events" SET "startDate" = '4000-01-01 BC', "endDate" = 'infinity'""")
    walk = (await database.snapshot(LAKE)).snapshot.portals[WALK]
    assert (walk.starts_at, walk.ends_at) == (None, None)


async def test_direct_chats(database: OpenMeetDatabase) -> None:
    snapshot = (await database.snapshot(LAKE)).snapshot
    chats = [one.ref.slug for one in snapshot.of_kind(PortalKind.DIRECT)]
    assert chats == [direct_slug(ANN, BEN)]


async def test_one_thing_with_its_people(database: OpenMeetDatabase) -> None:
    whole = (await database.snapshot(LAKE)).snapshot
    for key in (1, HIKERS.slug):
        part = (await database.read_one(LAKE, "group", key)).snapshot
        assert list(part.portals.values()) == [whole.portals[HIKERS]]
        assert part.members == {HIKERS: whole.members[HIKERS]}
        assert part.users == {slug: whole.users[slug] for slug in whole.members[HIKERS]}
    for key in (2, BEN):
        part = (await database.read_one(LAKE, "user", key)).snapshot
        assert part.users == {BEN: whole.users[BEN]}
    for nothing in (999, 2**62, "nobody", "'; DROP TABLE users; --"):
        part = (await database.read_one(LAKE, "meetup", nothing)).snapshot
        assert (part.users, part.portals) == ({}, {})
    found = await database.portals_of(LAKE, [1])
    assert {Subject("group", 1), Subject("meetup", 1)} <= found
    counts = await database.counts(LAKE)
    assert counts.portals == len(whole.portals) - 1
    assert counts.users >= len(whole.users)


async def test_what_changed(database: OpenMeetDatabase, site: Site) -> None:
    before = datetime.now(UTC) + timedelta(hours=1)  # everything there is, is older
    await site.do('UPDATE "users" SET "updatedAt" = now() + interval \'2 hours\' WHERE "id" = 2')
    await site.do(
        'UPDATE "groupMembers" SET "updatedAt" = now() + interval \'2 hours\' WHERE "groupId" = 2'
    )
    changed = await database.changed_since(LAKE, before)
    assert changed.subjects == {Subject("user", 2), Subject("group", 2)}
    assert changed.up_to is not None
    assert changed.up_to <= datetime.now(UTC), "a clock that is ahead must not hide later changes"
    nothing = await database.changed_since(PUBLIC, before)
    assert nothing.subjects == frozenset()
    longest = await database.changed_since(PUBLIC, datetime.now(UTC))
    assert Subject("meetup", 1) in longest.subjects, "what was committed late is seen"


async def test_an_older_or_newer_openmeet(database: OpenMeetDatabase, site: Site) -> None:
    await database.snapshot(LAKE)
    await site.do('DROP TABLE "userChatRooms", "chatRooms"')
    for table, column in (
        ("users", "isShadowAccount"),
        ("users", "matrixUserId"),
        ("users", "photoId"),
        ("users", "deletedAt"),
        ("events", "seriesSlug"),
        ("events", "endDate"),
        ("groupMembers", "updatedAt"),
        ("groupMembers", "createdAt"),
    ):
        await site.do(f'ALTER TABLE "{table}" DROP COLUMN "{column}"')
    reading = await database.snapshot(LAKE)
    assert {"shadow-abc123", "gone-abc123"} <= reading.snapshot.users.keys()
    assert reading.snapshot.portals[WALK].ends_at is None
    changed = await database.changed_since(LAKE, datetime.now(UTC))
    assert Subject("user", 1) in changed.subjects
    await site.do("ALTER TYPE \"groups_visibility_enum\" RENAME VALUE 'public' TO 'unlisted'")
    hikers = (await database.snapshot(LAKE)).snapshot.portals[HIKERS]
    assert hikers.visibility is Visibility.AUTHENTICATED


async def test_what_is_missing_is_named(
    database: OpenMeetDatabase, site: Site, empty_database_url: str
) -> None:
    await site.do('ALTER TABLE "eventAttendees" RENAME COLUMN "status" TO "state"')
    with pytest.raises(UnusableSchema, match=r"'eventAttendees'.*'status'"):
        await database.snapshot(LAKE)
    await site.do('DROP TABLE "eventAttendees"')
    with pytest.raises(UnusableSchema, match="'eventAttendees'"):
        await database.snapshot(LAKE)
    await site.do('DROP SCHEMA "tenant_lake-1_x" CASCADE')
    with pytest.raises(UnusableSchema, match="'tenant_lake-1_x'"):
        await database.snapshot(LAKE)
    assert (await database.snapshot(PUBLIC)).snapshot.users, "the other tenant is none the worse"


async def test_what_goes_missing_later_is_looked_for_again(
    database: OpenMeetDatabase, site: Site
) -> None:
    await database.snapshot(LAKE)
    await site.do('ALTER TABLE "users" DROP COLUMN "matrixUserId"')
    with pytest.raises(UnusableSchema, match="matrixUserId"):
        await database.read_one(LAKE, "user", 1)
    assert ANN in (await database.read_one(LAKE, "user", 1)).snapshot.users


@pytest.mark.parametrize(
    "tenant",
    ['x"; DROP SCHEMA public CASCADE; --', "a b", "é", "a\0b", "x" * 57, "a.b", "a'b", "a\n"],
)
async def test_a_hostile_tenant_is_no_part_of_sql(empty_database_url: str, tenant: str) -> None:
    database = OpenMeetDatabase(empty_database_url, {TenantId(tenant): None})
    with pytest.raises(InvalidParam):
        await database.snapshot(TenantId(tenant))
    with pytest.raises(NotFound):
        await database.snapshot(TenantId("never-configured"))
    await database.close()


async def test_nothing_can_be_written(database: OpenMeetDatabase) -> None:
    async with database._connections.session(LAKE) as (connection, _):
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await connection.execute("CREATE TABLE public.oops (id int)")
    pool = await database._connections._opened()
    async with pool.acquire() as connection:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await connection.execute("CREATE TABLE public.oops (id int)")


async def test_a_reader_needs_no_secret_columns(
    meet: OpenMeet, site: Site, empty_database_url: str
) -> None:
    """The role of the how-to page reads all that is needed and no password."""
    schema = '"tenant_lake-1_x"'
    await site.do("DROP ROLE IF EXISTS bridge_reader")
    await site.do("CREATE ROLE bridge_reader LOGIN")
    await site.do(f"GRANT USAGE ON SCHEMA {schema} TO bridge_reader")
    tables = (
        "groups",
        "groupMembers",
        "groupRoles",
        "events",
        "eventAttendees",
        "eventRoles",
        "files",
        "chatRooms",
    )
    for table in tables:
        await site.do(f'GRANT SELECT ON "{table}" TO bridge_reader')
    database = OpenMeetDatabase(f"{empty_database_url}&role=bridge_reader", SITES, FILES)
    with pytest.raises(UnusableSchema, match="'users'"):
        await database.snapshot(LAKE)
    columns = (
        "id",
        "slug",
        "firstName",
        "lastName",
        "photoId",
        "statusId",
        "matrixUserId",
        "isShadowAccount",
        "createdAt",
        "updatedAt",
        "deletedAt",
    )
    names = ", ".join(f'"{column}"' for column in columns)
    await site.do(f'GRANT SELECT ({names}) ON "users" TO bridge_reader')
    await assert_as_expected(meet, await database.snapshot(LAKE), LAKE)
    await database.close()
    await site.do("DROP OWNED BY bridge_reader")
    await site.do("DROP ROLE bridge_reader")


async def test_a_database_that_is_away(unused_tcp_port: int) -> None:
    dsn = f"postgresql://nobody@127.0.0.1:{unused_tcp_port}/nothing"
    database = OpenMeetDatabase(dsn, SITES, patience=2)
    with pytest.raises(Unavailable, match="not available"):
        await database.snapshot(LAKE)
    await database.close()


async def test_a_reading_is_one_moment(database: OpenMeetDatabase, site: Site) -> None:
    async with database._connections.session(LAKE) as (connection, schema):
        before = await connection.fetchval(f"SELECT count(*) FROM {schema.table('users')}")
        await site.register("late-abc123", "Late", "One")
        after = await connection.fetchval(f"SELECT count(*) FROM {schema.table('users')}")
    assert before == after


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_happens_is_read_as_it_is(
    meet: OpenMeet, database: OpenMeetDatabase, seed: int
) -> None:
    chance = random.Random(seed)
    steps = []
    for _ in range(6):
        steps += [await meet.random_step(chance) for _ in range(25)]
        for tenant in (LAKE, PUBLIC):
            await assert_as_expected(meet, await database.snapshot(tenant), tenant)
    assert len(steps) == 150
