"""Jobs as rows: taken by one, leased for a while, asked for again while they run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from openmeet_bridge.core.ids import TenantId
from openmeet_bridge.storage import jobs
from openmeet_bridge.storage.database import Database
from openmeet_bridge.storage.jobs import Job, JobStatus

LAKE, SEA = TenantId("lake"), TenantId("sea")


class Table:
    def __init__(self, database: Database) -> None:
        self.database = database

    async def want(self, slug: str = "hikers", tenant: TenantId = LAKE) -> None:
        async with self.database.transaction() as connection:
            await jobs.want(connection, tenant, "group", slug)

    async def take(self, limit: int = 10, lease: float = 600.0) -> list[Job]:
        async with self.database.connection() as connection:
            return await jobs.take(connection, limit, lease)

    async def finish(self, job: Job) -> None:
        async with self.database.connection() as connection:
            await jobs.finish(connection, job)

    async def postpone(
        self, job: Job, delay: float, error: str | None = "no", *, permanent: bool = False
    ) -> None:
        async with self.database.connection() as connection:
            await jobs.postpone(connection, job, delay, error, permanent=permanent)

    async def status(self, tenant: TenantId = LAKE) -> JobStatus | None:
        async with self.database.connection() as connection:
            return await jobs.status(connection, tenant, "group", "hikers")

    async def counts(self) -> dict[str, int]:
        async with self.database.connection() as connection:
            return await jobs.counts(connection)


@pytest.fixture
async def table(database_url: str) -> AsyncIterator[Table]:
    database = Database(database_url)
    yield Table(database)
    await database.close()


async def test_a_job_is_taken_by_one(table: Table) -> None:
    for number in range(6):
        await table.want(f"group-{number}")
    taken = await asyncio.gather(*(table.take(2) for _ in range(5)))
    slugs = [job.slug for some in taken for job in some]
    assert sorted(slugs) == [f"group-{number}" for number in range(6)]
    assert await table.take() == []


async def test_a_job_that_is_done_is_done(table: Table) -> None:
    await table.want()
    (job,) = await table.take()
    assert job == Job(LAKE, "group", "hikers", 1, 0)
    await table.finish(job)
    assert await table.status() == JobStatus(1, 1, 0, None, False)
    assert (await table.take(), await table.counts()) == ([], {"pending": 0, "failed": 0})


async def test_tenants_have_their_own(table: Table) -> None:
    await table.want()
    await table.want(tenant=SEA)
    assert {job.tenant for job in await table.take()} == {LAKE, SEA}
    assert await table.status(TenantId("nowhere")) is None


async def test_asked_for_again_while_it_runs_it_runs_again_and_not_at_once(table: Table) -> None:
    await table.want()
    (job,) = await table.take()
    await table.want()
    assert await table.take() == []
    await table.finish(job)
    (again,) = await table.take()
    assert again.wanted == 2
    await table.finish(again)
    assert await table.take() == []


async def test_a_late_end_does_not_undo_a_later_one(table: Table) -> None:
    await table.want()
    (old,) = await table.take(lease=-1)
    await table.want()
    (new,) = await table.take()
    await table.finish(new)
    await table.finish(old)
    assert await table.take() == []


async def test_a_lease_ends(table: Table) -> None:
    await table.want()
    assert len(await table.take(lease=-1.0)) == 1
    assert len(await table.take()) == 1
    assert await table.take() == []


async def test_leases_are_given_back(table: Table) -> None:
    await table.want()
    await table.take()
    async with table.database.connection() as connection:
        await jobs.release_all(connection)
    assert len(await table.take()) == 1


async def test_a_failure_waits_and_is_counted(table: Table) -> None:
    await table.want()
    (job,) = await table.take()
    await table.postpone(job, 600)
    assert await table.take() == []
    assert await table.status() == JobStatus(1, 0, 1, "no", False)
    await table.want()  # at once, whatever became of it before
    (job,) = await table.take()
    assert job.attempts == 0


async def test_what_is_put_off_without_an_error_has_not_failed(table: Table) -> None:
    await table.want()
    (job,) = await table.take()
    await table.postpone(job, -1, None)
    (job,) = await table.take()
    assert job.attempts == 0


async def test_what_failed_for_good_waits_for_a_change(table: Table) -> None:
    await table.want()
    (job,) = await table.take()
    await table.postpone(job, -1, permanent=True)
    assert (await table.take(), await table.counts()) == ([], {"pending": 0, "failed": 1})
    await table.want()
    assert len(await table.take()) == 1
    assert await table.counts() == {"pending": 1, "failed": 0}


async def test_the_longest_due_come_first(table: Table) -> None:
    for slug in ("c", "a", "b"):
        await table.want(slug)
    assert [(await table.take(1))[0].slug for _ in range(3)] == ["c", "a", "b"]
