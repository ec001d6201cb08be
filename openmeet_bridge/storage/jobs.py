"""Jobs: which portals and ghosts must be looked at again.

A job says *that* something should be made equal to the directory, not *what* to do: asking twice
is one job, and a job that was asked for again while it ran runs once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.ids import TenantId
from .database import Connection, certain


@dataclass(frozen=True, slots=True)
class Job:
    """A job that was taken, with the request that it will answer."""

    tenant: TenantId
    kind: str
    slug: str
    wanted: int
    attempts: int


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How a job stands."""

    wanted: int
    done: int
    attempts: int
    error: str | None
    permanent: bool


async def want(
    connection: Connection,
    tenant: TenantId,
    kind: str,
    slug: str,
    *,
    bulk: bool = False,
    delay: float = 0,
) -> None:
    """Ask for a job, whatever became of it before.

    Args:
        connection: The database.
        tenant: Whose.
        kind: What is to be made equal to the directory.
        slug: Which.
        bulk: Let all that was asked for singly go first.
        delay: Seconds to wait, so that what comes in a burst is done once.
    """
    await connection.execute(
        """
        INSERT INTO job (tenant, kind, slug, priority, due_at)
        VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))
        ON CONFLICT (tenant, kind, slug) DO UPDATE SET
            wanted = job.wanted + 1, attempts = 0, permanent = false, wanted_at = now(),
            due_at = CASE WHEN job.wanted > job.done AND NOT job.permanent AND job.attempts = 0
                          THEN least(job.due_at, excluded.due_at) ELSE excluded.due_at END,
            priority = CASE WHEN job.wanted > job.done AND NOT job.permanent
                            THEN least(job.priority, excluded.priority)
                            ELSE excluded.priority END
        """,
        tenant,
        kind,
        slug,
        int(bulk),
        delay,
    )


async def revive(connection: Connection, tenant: TenantId, kind: str, slug: str) -> None:
    """Ask for a job that was never asked for, that failed for good, or that waits to be retried."""
    await connection.execute(
        """
        INSERT INTO job (tenant, kind, slug) VALUES ($1, $2, $3)
        ON CONFLICT (tenant, kind, slug) DO UPDATE SET
            due_at = now(), attempts = 0, permanent = false
        WHERE job.permanent OR (job.wanted > job.done AND job.attempts > 0)
        """,
        tenant,
        kind,
        slug,
    )


async def take(connection: Connection, limit: int, lease: float) -> list[Job]:
    """Take jobs that are due; nobody else gets them for ``lease`` seconds."""
    rows = await connection.fetch(
        """
        UPDATE job SET leased_until = now() + make_interval(secs => $2)
        FROM (
            SELECT tenant, kind, slug FROM job
            WHERE wanted > done AND NOT permanent AND due_at <= now()
                  AND (leased_until IS NULL OR leased_until < now())
            ORDER BY priority, due_at LIMIT $1 FOR UPDATE SKIP LOCKED
        ) AS due
        WHERE job.tenant = due.tenant AND job.kind = due.kind AND job.slug = due.slug
        RETURNING job.tenant, job.kind, job.slug, job.wanted, job.attempts
        """,
        limit,
        lease,
    )
    return [Job(**dict(row)) for row in rows]


async def finish(connection: Connection, job: Job, took_ms: int = 0) -> None:
    """Note that a job is done, for the request with which it was taken, and how long it took."""
    await connection.execute(
        """
        UPDATE job SET done = greatest(done, $4), attempts = 0, error = NULL, permanent = false,
                       leased_until = NULL, settled_at = now(), took_ms = $5
        WHERE tenant = $1 AND kind = $2 AND slug = $3
        """,
        job.tenant,
        job.kind,
        job.slug,
        job.wanted,
        took_ms,
    )


async def postpone(
    connection: Connection, job: Job, delay: float, error: str | None, *, permanent: bool = False
) -> None:
    """Try a job again after ``delay`` seconds; without an error that is no failed attempt."""
    await connection.execute(
        """
        UPDATE job SET due_at = now() + make_interval(secs => $4),
                       attempts = attempts + CASE WHEN $5::text IS NULL THEN 0 ELSE 1 END,
                       error = $5, permanent = $6 AND wanted = $7, leased_until = NULL
        WHERE tenant = $1 AND kind = $2 AND slug = $3
        """,
        job.tenant,
        job.kind,
        job.slug,
        delay,
        error,
        permanent,
        job.wanted,
    )


async def release(connection: Connection, given_up: Sequence[Job]) -> None:
    """Give back jobs that were taken and not done to the end."""
    await connection.execute(
        """
        UPDATE job SET leased_until = NULL
        FROM unnest($1::text[], $2::text[], $3::text[]) AS given (tenant, kind, slug)
        WHERE job.tenant = given.tenant AND job.kind = given.kind AND job.slug = given.slug
        """,
        [job.tenant for job in given_up],
        [job.kind for job in given_up],
        [job.slug for job in given_up],
    )


async def release_all(connection: Connection) -> None:
    """Give back every job that was taken. For the start of the only process that takes jobs."""
    await connection.execute("UPDATE job SET leased_until = NULL WHERE leased_until IS NOT NULL")


async def forget_done(connection: Connection, kinds: Sequence[str], older_than: float) -> None:
    """Remove jobs of these kinds that were done more than ``older_than`` seconds ago."""
    await connection.execute(
        """
        DELETE FROM job WHERE kind = ANY($1::text[]) AND done >= wanted
               AND settled_at < now() - make_interval(secs => $2)
        """,
        kinds,
        older_than,
    )


async def status(
    connection: Connection, tenant: TenantId, kind: str, slug: str
) -> JobStatus | None:
    """Return how a job stands; None where it was never asked for."""
    row = await connection.fetchrow(
        """
        SELECT wanted, done, attempts, error, permanent FROM job
        WHERE tenant = $1 AND kind = $2 AND slug = $3
        """,
        tenant,
        kind,
        slug,
    )
    return JobStatus(**dict(row)) if row else None


async def counts(connection: Connection) -> dict[str, int]:
    """Return how many jobs are pending and how many failed for good, over all tenants."""
    found = await connection.fetchrow(
        """
        SELECT count(*) FILTER (WHERE wanted > done AND NOT permanent) AS pending,
               count(*) FILTER (WHERE permanent) AS failed
        FROM job
        """
    )
    row = certain(found, "a count has a row")
    return {"pending": row["pending"], "failed": row["failed"]}
