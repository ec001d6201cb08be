"""How far Matrix follows the directory, of one thing."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.ids import Mxid, RoomId, TenantId
from .database import Connection

STATE = """
    CASE WHEN job.permanent THEN 'failed' WHEN job.done >= job.wanted THEN 'settled'
         ELSE 'pending' END
"""
"""SQL: how a job stands, in one word."""


@dataclass(frozen=True, slots=True)
class Following:
    """How far Matrix follows.

    Attributes:
        state: ``settled``, ``pending`` or ``failed``.
        attempts: How often it was tried since something changed.
        error: What went wrong at the last attempt.
        room_id: Of a portal.
        alias: Of a portal.
        problem: What could not be done and does not stop the rest.
        mxid: Of a user.
    """

    state: str
    attempts: int
    error: str | None
    room_id: RoomId | None
    alias: str | None
    problem: str | None
    mxid: Mxid | None


async def of(connection: Connection, tenant: TenantId, kind: str, slug: str) -> Following | None:
    """Return how far Matrix follows for a user or a portal; None where it was never written."""
    row = await connection.fetchrow(
        f"""
        SELECT {STATE} AS state, job.attempts, job.error, portal.room_id, directory_portal.alias,
               portal.problem, ghost.mxid
        FROM job
        LEFT JOIN portal USING (tenant, kind, slug)
        LEFT JOIN directory_portal USING (tenant, kind, slug)
        LEFT JOIN ghost ON job.kind = 'user' AND ghost.tenant = job.tenant
                           AND ghost.slug = job.slug
        WHERE job.tenant = $1 AND job.kind = $2 AND job.slug = $3
        """,  # noqa: S608
        tenant,
        kind,
        slug,
    )
    return Following(**dict(row)) if row else None
