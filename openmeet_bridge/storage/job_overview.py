"""Jobs of all tenants for operators: lists, sums and rates. What runs jobs is in ``jobs``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ..core.ids import TenantId
from .database import Connection, certain

STATE = """
    CASE WHEN job.wanted IS NULL THEN NULL
         WHEN job.permanent THEN 'failed'
         WHEN job.wanted <= job.done THEN 'done'
         WHEN job.leased_until > now() THEN 'running'
         WHEN job.attempts > 0 THEN 'retrying'
         ELSE 'pending' END
"""
"""SQL: a job's state in one word; null where there is no job."""


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job.

    Attributes:
        state: ``done``, ``pending``, ``running``, ``retrying`` or ``failed``.
        bulk: It lets jobs of single changes go first.
        due_at: Not before then.
        took_ms: How long it took the last time it was done.
    """

    tenant: TenantId
    kind: str
    slug: str
    state: str
    attempts: int
    error: str | None
    bulk: bool
    wanted_at: datetime
    due_at: datetime
    settled_at: datetime | None
    took_ms: int | None


@dataclass(frozen=True, slots=True)
class Sum:
    """How many jobs of a kind are in a state."""

    kind: str
    state: str
    count: int


@dataclass(frozen=True, slots=True)
class Pending:
    """Jobs that are not done and have not failed for good.

    Attributes:
        by_kind: How many of each kind.
        retrying: How many of all failed, and are tried again by themselves.
        error: Why, of one of these.
    """

    by_kind: Mapping[str, int]
    retrying: int
    error: str | None

    @property
    def count(self) -> int:
        """How many they are in all."""
        return sum(self.by_kind.values())


@dataclass(frozen=True, slots=True)
class Measured:
    """What jobs took that made something and were asked for once.

    Attributes:
        count: How many they were.
        members: People of whom OpenMeet said something in what they made.
        seconds: What they took, added up.
    """

    count: int
    members: int
    seconds: float


async def listed(
    connection: Connection,
    tenant: TenantId | None,
    states: Sequence[str],
    limit: int,
    after: tuple[str, str, str] | None = None,
) -> list[JobRow]:
    """Return jobs by tenant, kind and slug.

    Args:
        connection: The database.
        tenant: Whose; None: of all tenants.
        states: Only those in one of these; none: all.
        limit: Most rows.
        after: Begin after the job with this tenant, kind and slug.
    """
    rows = await connection.fetch(
        f"""
        SELECT * FROM (
            SELECT tenant, kind, slug, {STATE} AS state, attempts, error, priority > 0 AS bulk,
                   wanted_at, due_at, settled_at, took_ms
            FROM job
            WHERE ($1::text IS NULL OR tenant = $1)
                  AND ($2::text IS NULL OR (tenant, kind, slug) > ($2, $3, $4))
        ) AS job
        WHERE $5::text[] = '{{}}' OR state = ANY ($5)
        ORDER BY tenant, kind, slug LIMIT $6
        """,  # noqa: S608
        tenant,
        *(after or (None, None, None)),
        list(states),
        limit,
    )
    return [JobRow(**dict(row)) for row in rows]


async def sums(connection: Connection, tenant: TenantId | None) -> list[Sum]:
    """Return how many jobs of each kind are in each state."""
    rows = await connection.fetch(
        f"""
        SELECT kind, {STATE} AS state, count(*) FROM job
        WHERE $1::text IS NULL OR tenant = $1 GROUP BY 1, 2 ORDER BY 1, 2
        """,  # noqa: S608
        tenant,
    )
    return [Sum(**dict(row)) for row in rows]


async def pending(
    connection: Connection, tenants: Sequence[TenantId], kinds: Sequence[str]
) -> Pending:
    """Return what tenants' jobs of these kinds are not done and have not failed for good."""
    rows = await connection.fetch(
        """
        SELECT kind, count(*), count(*) FILTER (WHERE attempts > 0) AS retrying,
               max(error) FILTER (WHERE attempts > 0) AS error
        FROM job
        WHERE tenant = ANY ($1::text[]) AND kind = ANY ($2::text[]) AND wanted > done
              AND NOT permanent
        GROUP BY kind
        """,
        list(tenants),
        list(kinds),
    )
    errors = [row["error"] for row in rows if row["error"]]
    return Pending(
        {row["kind"]: row["count"] for row in rows},
        sum(row["retrying"] for row in rows),
        errors[0] if errors else None,
    )


async def unsettled_subjects(connection: Connection, tenant: TenantId) -> set[tuple[str, str]]:
    """Return kind and slug of a tenant's jobs that are not done, failed ones included."""
    rows = await connection.fetch(
        "SELECT kind, slug FROM job WHERE tenant = $1 AND wanted > done", tenant
    )
    return {(row["kind"], row["slug"]) for row in rows}


async def retry(
    connection: Connection, tenant: TenantId | None, *, failed_only: bool = False
) -> int:
    """Let what failed be tried again at once; return how many jobs that are.

    Args:
        connection: The database.
        tenant: Whose; None: of all tenants.
        failed_only: Only what failed for good, not what waits for its next try.
    """
    done = await connection.execute(
        """
        UPDATE job SET due_at = now(), attempts = 0, permanent = false
        WHERE ($1::text IS NULL OR tenant = $1)
              AND (permanent OR (NOT $2 AND wanted > done AND attempts > 0))
        """,
        tenant,
        failed_only,
    )
    return int(done.partition(" ")[2])


async def measured(connection: Connection, kinds: Sequence[str]) -> Measured:
    """Return what the jobs of these kinds took that were asked for once and are done.

    Later runs of a job mostly find nothing to do: they say nothing of what making takes.
    """
    row = await connection.fetchrow(
        """
        SELECT count(*), coalesce(sum(took_ms), 0) / 1000.0 AS seconds,
               coalesce(sum((SELECT count(*) FROM directory_member AS m WHERE m.tenant = job.tenant
                             AND m.kind = job.kind AND m.slug = job.slug)), 0) AS members
        FROM job
        WHERE kind = ANY ($1::text[]) AND wanted = 1 AND done = 1 AND took_ms IS NOT NULL
        """,
        list(kinds),
    )
    found = certain(row, "a sum has a row")
    return Measured(found["count"], int(found["members"]), float(found["seconds"]))
