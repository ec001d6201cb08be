"""The head of a tenant's directory: its revision, and how far it follows OpenMeet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from ...core.ids import TenantId
from ..database import Connection, certain


@dataclass(frozen=True, slots=True)
class Head:
    """How a tenant's directory stands.

    Attributes:
        revision: Counts the changes.
        suspended: Deprovisioned: no feed may fill it.
        compared_at: When it was last compared with OpenMeet's database as a whole.
        compared_up_to: The newest ``updatedAt`` that was seen there.
        comparison_error: Why the last comparison failed.
    """

    revision: int = 0
    suspended: bool = False
    compared_at: datetime | None = None
    compared_up_to: datetime | None = None
    comparison_error: str | None = None


async def lock(connection: Connection, tenant: TenantId) -> Head:
    """Lock a tenant's directory until the end of the transaction; return how it stands."""
    await connection.execute(
        "INSERT INTO directory_head (tenant) VALUES ($1) ON CONFLICT DO NOTHING", tenant
    )
    row = await connection.fetchrow(
        "SELECT * FROM directory_head WHERE tenant = $1 FOR UPDATE", tenant
    )
    return _head(certain(row, "the head was just written"))


async def head(connection: Connection, tenant: TenantId) -> Head:
    """Return how a tenant's directory stands."""
    row = await connection.fetchrow("SELECT * FROM directory_head WHERE tenant = $1", tenant)
    return _head(row) if row else Head()


async def advance(connection: Connection, tenant: TenantId) -> int:
    """Begin a new revision of a tenant's directory, which must be locked; return it."""
    revision: int = await connection.fetchval(
        "UPDATE directory_head SET revision = revision + 1 WHERE tenant = $1 RETURNING revision",
        tenant,
    )
    return revision


async def suspend(connection: Connection, tenant: TenantId, suspended: bool) -> None:
    """Note whether feeds may fill a tenant's directory."""
    await connection.execute(
        """
        INSERT INTO directory_head (tenant, suspended) VALUES ($1, $2)
        ON CONFLICT (tenant) DO UPDATE SET suspended = excluded.suspended
        """,
        tenant,
        suspended,
    )


async def compared(
    connection: Connection, tenant: TenantId, up_to: datetime | None, error: str | None
) -> None:
    """Note how a comparison with OpenMeet's database ended; an error keeps the marks."""
    await connection.execute(
        """
        INSERT INTO directory_head (tenant, compared_at, compared_up_to, comparison_error)
        VALUES ($1, CASE WHEN $3::text IS NULL THEN now() END, $2, $3)
        ON CONFLICT (tenant) DO UPDATE SET
            compared_at = coalesce(excluded.compared_at, directory_head.compared_at),
            compared_up_to = greatest(excluded.compared_up_to, directory_head.compared_up_to),
            comparison_error = excluded.comparison_error
        """,
        tenant,
        up_to,
        error,
    )


async def seen(connection: Connection, tenant: TenantId, up_to: datetime) -> None:
    """Note up to which moment changes in OpenMeet's database have been followed."""
    await connection.execute(
        """
        UPDATE directory_head SET compared_up_to = greatest(compared_up_to, $2) WHERE tenant = $1
        """,
        tenant,
        up_to,
    )


def _head(row: asyncpg.Record) -> Head:
    values = dict(row)
    del values["tenant"]
    return Head(**values)
