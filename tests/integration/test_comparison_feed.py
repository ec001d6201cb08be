"""OpenMeet's database as a feed: whatever happens there, the directory follows."""

# ruff: noqa: S608  (the names are the test's own)

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from openmeet_bridge.bridge import comparison
from openmeet_bridge.bridge.comparison import COMPARE, Comparison, Schedule
from openmeet_bridge.bridge.comparison_notes import Compared
from openmeet_bridge.bridge.directory import Directory
from openmeet_bridge.core.changes import PutUser
from openmeet_bridge.core.directory import Member, Snapshot, User
from openmeet_bridge.core.errors import Conflict, InvalidParam, Unavailable
from openmeet_bridge.core.hints import Subject
from openmeet_bridge.core.ids import PortalKind, PortalRef, RoomId, TenantId, UserSlug
from openmeet_bridge.core.naming import Naming, direct_slug
from openmeet_bridge.core.rules import Place, Rules
from openmeet_bridge.openmeet.database import OpenMeetDatabase
from openmeet_bridge.storage import directory as stored
from openmeet_bridge.storage import ghosts, rooms
from openmeet_bridge.storage.database import Database

from ..support.databases import Databases
from ..support.house import NAMING
from ..support.openmeet_database import OpenMeet
from ..support.openmeet_site import Site
from ..support.waiting import eventually

LAKE, SEA = TenantId("lake"), TenantId("sea")
RULES = Rules(spaces=False)
ANN = UserSlug("ann-lee-x1y2z3")
HIKERS = PortalRef(LAKE, PortalKind.GROUP, "hikers--a_b-x1")
WALK = PortalRef(LAKE, PortalKind.MEETUP, "walk-in-the-hills-a1b2c3")


@dataclass
class World:
    meet: OpenMeet
    database: Database
    directory: Directory
    source: OpenMeetDatabase
    comparison: Comparison
    woken: list[bool]

    @property
    def site(self) -> Site:
        return self.meet.site(LAKE)

    async def snapshot(self, tenant: TenantId = LAKE) -> Snapshot:
        async with self.database.snapshot() as connection:
            return await stored.snapshot(connection, tenant)

    async def assert_equal(self, *tenants: TenantId, names: bool = True) -> None:
        for tenant in tenants or (LAKE, SEA):
            found = await self.snapshot(tenant)
            rooms = {
                (ref.kind.value, ref.slug): (portal.name, portal.visibility, levels(found, ref))
                for ref, portal in found.portals.items()
                if ref.kind is not PortalKind.DIRECT
            }
            expected = await self.meet.expected(tenant, RULES)
            assert rooms == {
                key: (one.name, one.visibility, one.levels) for key, one in expected.items()
            }
            if names:
                shown = {str(slug): user.name for slug, user in found.users.items()}
                assert shown == await self.meet.expected_names(tenant)

    async def wanted(self) -> set[str]:
        async with self.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT slug FROM job WHERE kind = $1 AND wanted > done", COMPARE
            )
        return {row["slug"] for row in rows}

    async def error(self) -> str | None:
        return (await self.directory.head(LAKE)).comparison_error


def levels(found: Snapshot, ref: PortalRef) -> dict[str, int]:
    standings = {
        str(slug): RULES.standing(ref.kind, member)
        for slug, member in found.members.get(ref, {}).items()
        if found.users[slug].active
    }
    return {slug: one.level for slug, one in standings.items() if one.place is Place.IN}


@pytest.fixture
async def world(database_url: str, databases: Databases) -> AsyncIterator[World]:
    theirs = databases.create_empty()
    meet = await OpenMeet.build(theirs, [LAKE, SEA])
    database = Database(database_url)
    source = OpenMeetDatabase(theirs, {LAKE: "https://lake.example.org", SEA: None}, patience=10)
    made = build(database, source)
    yield World(meet, database, made[0], source, made[1], made[2])
    await meet.close()
    await source.close()
    await database.close()
    databases.drop(theirs)


def build(
    database: Database, source: OpenMeetDatabase, max_removals: float = 0.2
) -> tuple[Directory, Comparison, list[bool]]:
    woken: list[bool] = []
    directory = Directory(
        database,
        NAMING,
        lambda _: RULES,
        lambda: None,
        user_gone=lambda _: None,
        member_gone=lambda _, __: None,
    )
    comparison = Comparison(
        database,
        directory,
        source,
        [LAKE, SEA],
        schedule=Schedule(0.05, 3600),
        max_removals=max_removals,
        wake=lambda: woken.append(True),
    )
    return directory, comparison, woken


def told(compared: Compared) -> set[tuple[str, str, str | None]]:
    return {(one.what, one.slug, one.member) for one in compared.differences}


async def test_the_first_comparison_fills_the_directory(world: World) -> None:
    planned = await world.comparison.compare(LAKE, dry_run=True)
    assert await world.snapshot() == Snapshot()
    compared = await world.comparison.compare(LAKE)
    assert told(planned) == told(compared)
    assert compared.refused is None
    assert [one.table for one in compared.problems] == ["users"] * 3 + ["chatRooms"]
    await world.comparison.compare(SEA)
    await world.assert_equal()
    head = await world.directory.head(LAKE)
    assert head.compared_at is not None
    assert head.compared_up_to is not None
    assert head.revision == compared.revision
    again = await world.comparison.compare(LAKE)
    assert (again.differences, again.revision) == ([], compared.revision)
    pair = direct_slug(ANN, UserSlug("ben--_q-a_b"))
    assert PortalRef(LAKE, PortalKind.DIRECT, pair) in (await world.snapshot()).portals


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_happens_is_followed(world: World, seed: int) -> None:
    chance = random.Random(seed)
    for number in range(5):
        steps = [await world.meet.random_step(chance) for _ in range(25)]
        for tenant in (LAKE, SEA):
            for _ in range(2):  # a slug may need a room to be closed first
                await world.comparison.compare(tenant, allow_removals=True)
        try:
            await world.assert_equal()
        except AssertionError as error:
            raise AssertionError(f"round {number}: {steps}") from error


async def test_what_changed_is_seen_without_looking_at_everything(world: World) -> None:
    """All but deleted rows: those are seen by the next comparison of everything."""
    await world.comparison.compare(LAKE, allow_removals=True)
    chance = random.Random(5)
    while_away = ("leave_group", "drop_attendee", "delete_group", "delete_event")
    for _ in range(6):
        done: list[str] = []
        while len(done) < 12:
            step = await world.meet.random_step(chance)
            if step.startswith("lake") and not any(name in step for name in while_away):
                done.append(step)
            elif step.startswith("lake"):
                await world.comparison.compare(LAKE, allow_removals=True)
        await world.comparison.catch_up(LAKE)
        try:
            await world.assert_equal(LAKE)
        except AssertionError as error:
            raise AssertionError(str(done)) from error
    before = (await world.directory.head(LAKE)).compared_up_to
    assert (await world.comparison.catch_up(LAKE)).differences == []
    assert (await world.directory.head(LAKE)).compared_up_to == before


async def test_where_much_changed_everything_is_compared(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.comparison.compare(LAKE)
    monkeypatch.setattr(comparison, "_MANY", 3)
    await world.site.leave_group(1, 2)  # only seen by looking at everything
    await world.comparison.catch_up(LAKE)
    await world.assert_equal(LAKE)
    assert (await world.comparison.catch_up(SEA)).differences == [], "the sea was never compared"


async def test_a_deleted_row_waits_for_everything_or_a_hint(world: World) -> None:
    for table in ("users", "groups", "groupMembers", "events", "eventAttendees"):
        for column in ("createdAt", "updatedAt"):
            await world.site.do(
                f'UPDATE "{table}" SET "{column}" = now() - interval \'1 hour\' WHERE "id" < 99'
            )
    last = await world.site.register("last-abc123", "Last")
    await world.comparison.compare(LAKE)
    assert last == 13
    await world.site.leave_group(1, 2)
    await world.site.delete_event(3)
    assert told(await world.comparison.catch_up(LAKE)) == set()
    hinted = await world.comparison.compare_one(LAKE, Subject("group", 1))
    assert told(hinted) == {("removed", HIKERS.slug, "ben--_q-a_b")}
    hinted = await world.comparison.compare_one(LAKE, Subject("meetup", 3))
    assert told(hinted) == {("removed", "off-a1b2c3", None)}
    await world.assert_equal(LAKE)


async def test_hints_become_jobs(world: World) -> None:
    await world.comparison.compare(LAKE)
    hint = world.comparison.hint
    for _ in range(5):
        assert await hint(LAKE, "event.attendee.added", {"eventId": 1, "tenantId": LAKE}) == [
            "meetup/1"
        ]
    await hint(LAKE, "group.slug.changed", {"groupId": 1, "oldSlug": "a", "newSlug": "b"})
    assert await world.wanted() == {"meetup/1", "group/1", "group/@a", "group/@b"}
    assert world.woken == [True] * 6
    assert await hint(LAKE, "nobody.knows", {"eventId": 1}) == []
    with pytest.raises(InvalidParam):
        await hint(LAKE, "user.updated", {"id": 1, "tenantId": SEA})
    await world.comparison.compare_subject(LAKE, "nonsense")
    async with world.database.connection() as connection:
        await stored.suspend(connection, LAKE, True)
    assert await hint(LAKE, "user.updated", {"id": 1}) == []


async def test_a_hint_may_be_about_a_new_name_or_a_new_person(world: World) -> None:
    await world.comparison.compare(LAKE)
    before = (await world.snapshot()).members[HIKERS]
    await world.site.change("groups", 1, "slug", "walkers")
    await world.comparison.compare_subject(LAKE, f"group/@{HIKERS.slug}")
    found = await world.snapshot()
    walkers = HIKERS._replace(slug="walkers")
    assert HIKERS not in found.portals
    assert found.members[walkers] == before
    assert found.portals[WALK].group == "walkers"
    async with world.database.connection() as connection:
        assert await stored.former_aliases(connection, walkers) == [NAMING.alias(HIKERS)]
    await world.site.claim_shadow(5)
    compared = await world.comparison.compare_one(LAKE, Subject("user", 5))
    assert ("added", "walkers", "shadow-abc123") in told(compared)
    await world.assert_equal(LAKE)


async def test_slugs_that_change_places(world: World) -> None:
    await world.comparison.compare(LAKE)
    async with world.database.connection() as connection:
        ghost = await ghosts.of_user(connection, LAKE, ANN)
    ben = UserSlug("ben--_q-a_b")
    await world.site.do('DELETE FROM "users" WHERE "id" = 11')  # has Ann's slug, too
    await world.site.rename_user(1, "between")
    await world.site.rename_user(2, ANN)
    await world.site.rename_user(1, ben)
    compared = await world.comparison.compare_one(LAKE, Subject("user", 1))
    assert not compared.problems
    await world.assert_equal(LAKE)
    async with world.database.connection() as connection:
        after = await ghosts.of_user(connection, LAKE, ben)
    assert ghost is not None
    assert after is not None
    assert after.mxid == ghost.mxid, "the person is the same"


async def test_a_database_that_was_emptied_removes_nobody(world: World) -> None:
    first = await world.comparison.compare(LAKE)
    for table in ("eventAttendees", "groupMembers", "chatRooms", "events", "groups", "users"):
        await world.site.do(f'DELETE FROM "{table}"')
    before = await world.snapshot()
    compared = await world.comparison.compare(LAKE)
    assert compared.refused is not None
    assert compared.refused.users == compared.refused.of_users == len(before.users)
    assert compared.refused.portals == compared.refused.of_portals == len(before.portals) - 1
    assert compared.revision == first.revision
    assert f"{len(before.users)} of {len(before.users)} users" in (await world.error() or "")
    for subject in (Subject("user", 1), Subject("group", 1)):
        assert (await world.comparison.compare_one(LAKE, subject)).refused is not None
    assert await world.snapshot() == before
    planned = await world.comparison.compare(LAKE, dry_run=True)
    assert planned.refused is not None
    assert planned.differences
    await world.comparison.compare(LAKE, allow_removals=True)
    assert (await world.snapshot()).users == {}
    assert await world.error() is None


async def test_members_that_were_emptied_are_kept(world: World) -> None:
    await world.comparison.compare(LAKE)
    for number in range(10):
        await world.site.register(f"more-{number}", "More")
        await world.site.join_group(1, 11 + number + 2)
    await world.comparison.compare(LAKE)
    await world.site.do('DELETE FROM "groupMembers"')
    compared = await world.comparison.compare(LAKE)
    assert compared.refused is not None
    assert compared.refused.users == 0


async def test_a_suspended_tenant_is_left_alone(world: World) -> None:
    async with world.database.connection() as connection:
        await stored.suspend(connection, LAKE, True)
    with pytest.raises(Conflict, match="deprovisioned"):
        await world.comparison.compare(LAKE)
    await world.comparison.compare_subject(LAKE, "user/1")
    assert await world.snapshot() == Snapshot()


async def test_what_is_refused_takes_only_its_own_along(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = "x" * 250
    await world.site.do('UPDATE "users" SET "slug" = $1 WHERE "id" = 1', long)
    compared = await world.comparison.compare(LAKE)
    refused = [problem for problem in compared.problems if problem.table == "user"]
    assert [(one.id, "too long" in one.reason) for one in refused] == [(long, True)]
    found = await world.snapshot()
    assert long not in found.users
    assert set(found.members[HIKERS]) >= {"ben--_q-a_b", "-k3m_9-"}
    assert (await world.comparison.compare(LAKE)).differences == []


async def test_who_writes_meanwhile_is_not_overwritten_by_what_was_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.comparison.compare(LAKE)
    await world.site.update_profile(1, "Anna", "Lee")
    read = world.source.snapshot
    late = User(LAKE, ANN, 1, "Annie Lee", None)

    async def reads_and_is_overtaken(tenant: TenantId) -> object:
        reading = await read(tenant)
        if (await world.snapshot()).users[ANN].name == "Ann Lee":
            await world.site.update_profile(1, "Annie", "Lee")
            present = stored.head
            monkeypatch.setattr(stored, "head", overtaken(present))
        return reading

    def overtaken(head: object) -> object:
        async def then(connection: object, tenant: TenantId) -> object:
            monkeypatch.setattr(stored, "head", head)
            found = await head(connection, tenant)  # type: ignore[operator]
            await world.directory.apply(LAKE, [PutUser(late)])
            return found

        return then

    monkeypatch.setattr(world.source, "snapshot", reads_and_is_overtaken)
    await world.comparison.compare(LAKE)
    assert (await world.snapshot()).users[ANN].name == "Annie Lee"
    await world.assert_equal(LAKE)


async def test_fields_that_nothing_is_known_of_stay(world: World) -> None:
    await world.comparison.compare(LAKE)
    user = (await world.snapshot()).users[ANN]
    pictured = User(LAKE, ANN, 1, user.name, "https://cdn.example.org/ann.png")
    await world.directory.apply(LAKE, [PutUser(pictured)])
    assert (await world.comparison.compare(LAKE)).differences == []
    assert (await world.snapshot()).users[ANN].avatar_url == "https://cdn.example.org/ann.png"


async def test_another_group_with_a_former_slug_waits_for_the_old_room(world: World) -> None:
    """Nobody comes into the room of a group that is gone because another now has its name."""
    await world.comparison.compare(LAKE)
    async with world.database.transaction() as connection:
        await rooms.bind(connection, RoomId("!old"), HIKERS)
    await world.site.delete_group(1)
    await world.site.change("groups", 3, "slug", HIKERS.slug)
    compared = await world.comparison.compare(LAKE)
    assert ("removed", HIKERS.slug, None) in told(compared)
    assert "being closed" in compared.problems[-1].reason
    assert await world.wanted() == {f"group/@{HIKERS.slug}"}
    assert PortalRef(LAKE, PortalKind.GROUP, "draft-x1y2z3") in (await world.snapshot()).portals
    async with world.database.transaction() as connection:
        await connection.execute("DELETE FROM portal")
    await world.comparison.compare_subject(LAKE, f"group/@{HIKERS.slug}")
    await world.assert_equal(LAKE)


async def test_a_database_that_is_away_harms_nobody(world: World) -> None:
    await world.comparison.compare(LAKE)
    before = await world.snapshot()
    away = OpenMeetDatabase("postgresql://nobody@127.0.0.1:1/nothing", {LAKE: None}, patience=1)
    directory, comparison, _ = build(world.database, away)
    for work in (comparison.compare(LAKE), comparison.catch_up(LAKE)):
        with pytest.raises(Unavailable):
            await work
    with pytest.raises(Unavailable):
        await comparison.compare_subject(LAKE, "user/1")
    assert "not available" in (await directory.head(LAKE)).comparison_error  # type: ignore[operator]
    assert await world.snapshot() == before
    await world.comparison.compare(LAKE)
    assert await world.error() is None


async def test_one_tenant_without_its_schema_does_not_stop_the_other(world: World) -> None:
    await world.site.do('DROP SCHEMA "tenant_lake" CASCADE')
    task = asyncio.create_task(world.comparison.run())
    try:

        async def filled() -> bool:
            return bool((await world.snapshot(SEA)).users)

        await eventually(filled, "the sea is read")

        async def noted() -> bool:
            return "tenant_lake" in (await world.error() or "")

        await eventually(noted, "the lake's trouble is noted")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert await world.snapshot(LAKE) == Snapshot()


async def test_the_loop_fills_and_follows(world: World) -> None:
    task = asyncio.create_task(world.comparison.run())
    try:

        async def filled() -> bool:
            return bool((await world.snapshot()).users) and bool((await world.snapshot(SEA)).users)

        await eventually(filled, "both are read")
        await world.site.update_profile(1, "Anna", "Lee")

        async def followed() -> bool:
            return (await world.snapshot()).users[ANN].name == "Anna Lee"

        await eventually(followed, "the change is followed")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_an_adopted_matrix_id_stays(world: World) -> None:
    old = Naming("test").ghost(LAKE, UserSlug("somebody-else"))
    await world.site.register("mx-abc123", "M", "X", mxid=old)
    await world.comparison.compare(LAKE)
    assert (await world.snapshot()).users[UserSlug("mx-abc123")].mxid == old
    assert (await world.comparison.compare(LAKE)).differences == []


async def test_members_of_a_meetup_come_with_it(world: World) -> None:
    """A meetup that is looked at alone brings the people whom the directory does not know."""
    compared = await world.comparison.compare_one(LAKE, Subject("meetup", 1))
    assert ("added", WALK.slug, None) in told(compared)
    found = await world.snapshot()
    assert Member(ANN, "host") in found.members[WALK].values()
    assert HIKERS in found.portals, "and the groups of these people"
