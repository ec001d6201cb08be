"""The directory and its jobs: kept together, done once, tried again, and never forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from openmeet_bridge.bridge import reconciler as reconciler_module
from openmeet_bridge.bridge.directory import Applied, Directory, Status
from openmeet_bridge.bridge.echo import NotSettled, Overtaken
from openmeet_bridge.bridge.reconciler import Reconciler, Work
from openmeet_bridge.core.changes import (
    Change,
    DeletePortal,
    DeleteUser,
    PutDirect,
    PutMember,
    PutPortal,
    PutUser,
)
from openmeet_bridge.core.directory import Member, Portal, User
from openmeet_bridge.core.errors import InvalidParam, NotFound
from openmeet_bridge.core.ids import PortalKind, PortalRef, TenantId, UserSlug
from openmeet_bridge.core.naming import direct_slug
from openmeet_bridge.core.rules import Rules
from openmeet_bridge.matrix.errors import (
    HomeserverUnavailable,
    RateLimited,
    Refused,
    TokenRefused,
)
from openmeet_bridge.storage import directory as stored
from openmeet_bridge.storage import jobs
from openmeet_bridge.storage.database import Database

from ..support.house import LAKE, NAMING, SEA
from ..support.waiting import eventually

Done = tuple[str, str]
HIKERS = PortalRef(LAKE, PortalKind.GROUP, "hikers")
ANN, BEN = UserSlug("ann"), UserSlug("ben")
RULES = Rules(spaces=False)
NO = Refused(403, "M_FORBIDDEN", "Not you.")


class Matrix:
    """Does jobs by noting them, unless told otherwise."""

    def __init__(self) -> None:
        self.done: list[Done] = []
        self.failures: list[Exception] = []
        self.always: Exception | None = None
        self.hold: asyncio.Event | None = None
        self.begun = 0
        self.at_once = 0
        self.most_at_once = 0

    def doing(self, kind: str) -> Work:
        return lambda _, slug: self.work(kind, slug)

    async def work(self, kind: str, slug: str) -> None:
        self.begun += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.hold is not None:
                await self.hold.wait()
            if self.failures:
                raise self.failures.pop(0)
            if self.always is not None:
                raise self.always
            self.done.append((kind, slug))
        finally:
            self.at_once -= 1


class World:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.matrix = Matrix()
        self.gone: list[str] = []
        self.out: list[tuple[str, str]] = []
        self.reconciler = Reconciler(
            database, {kind: self.matrix.doing(kind) for kind in ("user", *PortalKind)}
        )
        self.directory = Directory(
            database,
            NAMING,
            lambda _: RULES,
            self.reconciler.wake,
            user_gone=self.gone.append,
            member_gone=lambda mxid, room_id: self.out.append((mxid, room_id)),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.reconciler.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def user(
        self, slug: UserSlug, tenant: TenantId = LAKE, number: int = 1, name: str = ""
    ) -> Status:
        user = User(tenant, slug, number, name or slug.title(), None)
        await self.directory.apply(tenant, [PutUser(user)])
        return await self.directory.status(tenant, "user", slug)

    async def group(self, name: str = "Hikers") -> Status:
        await self.apply(PutPortal(Portal(HIKERS, NAMING.alias(HIKERS), name)))
        return await self.status()

    async def apply(self, *changes: Change) -> Applied:
        return await self.directory.apply(LAKE, changes)

    async def status(self, ref: PortalRef = HIKERS) -> Status:
        return await self.directory.status(ref.tenant, ref.kind.value, ref.slug)

    async def state(self, state: str) -> Status:
        async def reached() -> Status | None:
            now = await self.status()
            return now if now.state == state else None

        found = await eventually(reached, f"the job is {state}")
        assert found is not None
        return found

    async def pending(self) -> set[Done]:
        async with self.database.connection() as connection:
            rows = await connection.fetch("SELECT kind, slug FROM job WHERE wanted > done")
        return {(row["kind"], row["slug"]) for row in rows}


@pytest.fixture
async def world(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(reconciler_module, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(reconciler_module, "_IDLE", 0.02)
    database = Database(database_url)
    yield World(database)
    await database.close()


def until(matrix: Matrix, count: int) -> Callable[[], Awaitable[bool]]:
    async def reached() -> bool:
        return matrix.begun >= count

    return reached


# What is written


async def test_a_change_asks_for_its_job(world: World) -> None:
    assert (await world.group()).state == "pending"
    assert (await world.user(ANN)).state == "pending"
    assert await world.pending() == {("group", "hikers"), ("user", "ann")}


async def test_asking_often_is_asking_once(world: World) -> None:
    for name in ("A", "B", "C"):
        await world.group(name)
    async with world.running():
        await world.state("settled")
    assert world.matrix.done == [("group", "hikers")]
    async with world.database.connection() as connection:
        portal = await stored.portal(connection, HIKERS)
    assert portal is not None
    assert portal.name == "C"


async def test_a_users_change_concerns_their_portals(world: World) -> None:
    await world.user(ANN)
    await world.group()
    await world.apply(PutMember(HIKERS, Member(ANN, "owner")))
    async with world.running():
        await world.state("settled")
    await world.user(ANN, name="Ann")
    assert await world.pending() == set()
    await world.user(ANN, name="Annie")
    assert await world.pending() == {("user", "ann")}
    inactive = User(LAKE, ANN, 1, "Annie", None, active=False)
    await world.apply(PutUser(inactive))
    assert ("group", "hikers") in await world.pending()


async def test_who_is_deleted_goes_out_of_everything(world: World) -> None:
    await world.user(ANN)
    await world.group()
    await world.apply(PutMember(HIKERS, Member(ANN, "owner")))
    async with world.running():
        await world.state("settled")
    await world.apply(DeleteUser(ANN))
    assert world.gone == [NAMING.ghost(LAKE, ANN)]
    assert await world.pending() == {("group", "hikers"), ("user", "ann")}
    async with world.database.connection() as connection:
        assert await stored.members(connection, HIKERS) == {}
        assert await stored.user(connection, LAKE, ANN) is None
    assert (await world.apply(DeleteUser(ANN))).differences == []


async def test_a_direct_chat_is_one_whoever_is_named_first(world: World) -> None:
    await world.user(ANN)
    await world.user(BEN, number=2)
    await world.apply(PutDirect(ANN, BEN))
    await world.apply(PutDirect(BEN, ANN))
    slug = direct_slug(ANN, BEN)
    assert {one for one in await world.pending() if one[0] == "direct"} == {("direct", slug)}
    async with world.database.connection() as connection:
        ref = PortalRef(LAKE, PortalKind.DIRECT, slug)
        assert set(await stored.members(connection, ref)) == {"ann", "ben"}


async def test_what_is_missing_is_named(world: World) -> None:
    await world.user(ANN)
    with pytest.raises(NotFound, match="group"):
        await world.apply(PutMember(HIKERS, Member(ANN)))
    await world.group()
    with pytest.raises(NotFound, match="user"):
        await world.apply(PutMember(HIKERS, Member(BEN)))
    with pytest.raises(NotFound, match="user"):
        await world.apply(PutDirect(ANN, BEN))
    with pytest.raises(InvalidParam):
        await world.apply(PutDirect(ANN, ANN))
    with pytest.raises(NotFound):
        await world.directory.status(LAKE, "meetup", "walk")
    await world.apply(DeletePortal(HIKERS))
    with pytest.raises(NotFound, match="group"):
        await world.apply(PutMember(HIKERS, Member(ANN)))


async def test_users_and_statuses_are_of_their_tenant(world: World) -> None:
    await world.user(ANN, SEA)
    await world.group()
    with pytest.raises(NotFound):
        await world.apply(PutMember(HIKERS, Member(ANN)))
    with pytest.raises(NotFound):
        await world.directory.status(SEA, "group", "hikers")
    assert (await world.apply(DeleteUser(ANN))).differences == []
    async with world.database.connection() as connection:
        assert await stored.user(connection, SEA, ANN) is not None


async def test_a_number_moves_to_the_user_who_has_it_now(world: World) -> None:
    await world.user(ANN, number=7)
    await world.user(BEN, number=7)
    await world.user(ANN, SEA, number=7)
    async with world.database.connection() as connection:
        ann = await stored.user(connection, LAKE, ANN)
        found = await stored.user_by_openmeet_id(connection, LAKE, 7)
    assert ann is not None
    assert ann.openmeet_id is None
    assert found is not None
    assert found.slug == "ben"


async def test_what_is_made_again_is_marked_as_reborn(world: World) -> None:
    await world.group()
    await world.apply(DeletePortal(HIKERS))
    await world.group()
    async with world.database.connection() as connection:
        portal = await stored.portal(connection, HIKERS)
        assert portal is not None
        assert (portal.deleted, portal.reborn) == (False, True)
        await stored.buried(connection, HIKERS)
        assert not (await stored.portal(connection, HIKERS) or portal).reborn


# What is done about it


@pytest.mark.parametrize(
    "failure",
    [
        HomeserverUnavailable("away"),
        RateLimited("slow down", retry_after_ms=1),
        NotSettled("not seen yet"),
        TimeoutError(),
        RuntimeError("a bug"),
        NO,
    ],
)
async def test_a_failure_is_tried_again(
    world: World, failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: low)
    world.matrix.failures = [failure, failure]
    await world.group()
    async with world.running():
        status = await world.state("settled")
    assert (world.matrix.begun, status.attempts, status.error) == (3, 0, None)


async def test_a_job_that_the_directory_overtakes_has_not_failed(world: World) -> None:
    world.matrix.failures = [Overtaken("out by now")]
    await world.group()
    with capture_logs() as logs:
        async with world.running():
            await world.state("settled")
    assert world.matrix.begun == 2
    assert "job.failed" not in {line["event"] for line in logs}


async def test_what_is_refused_again_and_again_is_failed_for_good(world: World) -> None:
    world.matrix.always = NO
    await world.group()
    async with world.running():
        status = await world.state("failed")
        assert (status.attempts, world.matrix.begun) == (5, 5)
        assert status.error == "403 M_FORBIDDEN: Not you."
        world.matrix.always = None
        await world.group()
        await world.state("settled")
    assert world.matrix.begun == 6


@pytest.mark.parametrize(
    "failure", [TokenRefused(401, "M_UNKNOWN_TOKEN", "Who?"), HomeserverUnavailable("away")]
)
async def test_what_an_operator_can_mend_never_fails_for_good(
    world: World, failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler_module, "_LONGEST_PAUSE", 0.001)
    world.matrix.always = failure
    await world.group()
    async with world.running():
        await eventually(until(world.matrix, 8), "eight attempts")
        status = await world.status()
    assert status.state == "pending"
    assert status.error


async def test_one_that_fails_does_not_stop_the_others(world: World) -> None:
    world.matrix.failures = [RuntimeError("a bug")]
    await world.group()
    await world.user(ANN)

    async def all_done() -> bool:
        return await world.pending() == set()

    async with world.running():
        await eventually(all_done, "both jobs")
    assert sorted(world.matrix.done) == [("group", "hikers"), ("user", "ann")]


async def test_what_changes_while_its_job_runs_is_done_again(world: World) -> None:
    world.matrix.hold = asyncio.Event()
    await world.group("Old")
    async with world.running():
        await eventually(until(world.matrix, 1), "the job")
        await world.group("New")
        await world.group("Newer")
        assert world.matrix.begun == 1
        world.matrix.hold.set()
        await world.state("settled")
    assert world.matrix.done == [("group", "hikers")] * 2


async def test_a_refusal_of_what_has_changed_meanwhile_is_not_final(world: World) -> None:
    world.matrix.failures = [NO] * 4
    world.matrix.always = NO
    await world.group("Bad")
    async with world.database.connection() as connection:
        await connection.execute("UPDATE job SET attempts = 4")
        (job,) = await jobs.take(connection, 1, 60)
        await world.group("Good")
        await jobs.postpone(connection, job, 0, "no", permanent=True)
    assert (await world.status()).state == "pending"


async def test_few_jobs_run_at_once(world: World) -> None:
    world.matrix.hold = asyncio.Event()
    for number in range(10):
        await world.user(UserSlug(f"user-{number}"), number=number)
    async with world.running():
        await eventually(until(world.matrix, 4), "as many as may run")
        await asyncio.sleep(0.1)
        assert world.matrix.at_once == 4
        world.matrix.hold.set()
        await eventually(until(world.matrix, 10), "all")
    assert world.matrix.most_at_once == 4


async def test_what_ran_when_the_bridge_died_is_done_after_its_start(world: World) -> None:
    await world.group()
    async with world.database.connection() as connection:
        assert len(await jobs.take(connection, 1, 60)) == 1
        assert await jobs.take(connection, 1, 60) == []  # lent to the one that died
    after = World(world.database)
    async with after.running():
        await after.state("settled")
    assert after.matrix.done == [("group", "hikers")]


async def test_what_runs_when_a_bridge_ends_is_given_back(world: World) -> None:
    world.matrix.hold = asyncio.Event()
    await world.group()
    async with world.running():
        await eventually(until(world.matrix, 1), "the job")
    async with world.database.connection() as connection:
        assert [job.slug for job in await jobs.take(connection, 1, 60)] == ["hikers"]


async def test_a_job_of_an_unknown_kind_stops_nothing(world: World) -> None:
    async with world.database.connection() as connection:
        await jobs.want(connection, LAKE, "unknown_kind", "thing")
    await world.group()
    async with world.running():
        await world.state("settled")

        async def given_up() -> bool:
            async with world.database.connection() as connection:
                job = await jobs.status(connection, LAKE, "unknown_kind", "thing")
            return job is not None and job.permanent

        await eventually(given_up, "the job is given up")
