"""The blocks of a tenant: which user wants nothing of which other."""

from __future__ import annotations

from ...core.ids import TenantId, UserSlug
from ..database import Connection


async def put_block(
    connection: Connection, tenant: TenantId, blocker: UserSlug, blocked: UserSlug
) -> bool:
    """Write that a user blocks another; False where that was so already."""
    done = await connection.execute(
        """
        INSERT INTO directory_block (tenant, blocker, blocked) VALUES ($1, $2, $3)
        ON CONFLICT DO NOTHING
        """,
        tenant,
        blocker,
        blocked,
    )
    return bool(done == "INSERT 0 1")


async def delete_block(
    connection: Connection, tenant: TenantId, blocker: UserSlug, blocked: UserSlug
) -> bool:
    """Take a block back; False where there was none."""
    done = await connection.execute(
        "DELETE FROM directory_block WHERE tenant = $1 AND blocker = $2 AND blocked = $3",
        tenant,
        blocker,
        blocked,
    )
    return bool(done == "DELETE 1")


async def blocked_by(connection: Connection, tenant: TenantId, blocker: UserSlug) -> list[UserSlug]:
    """Return whom a user blocks."""
    rows = await connection.fetch(
        "SELECT blocked FROM directory_block WHERE tenant = $1 AND blocker = $2 ORDER BY blocked",
        tenant,
        blocker,
    )
    return [row["blocked"] for row in rows]


async def blockers_of(
    connection: Connection, tenant: TenantId, blocked: UserSlug
) -> list[UserSlug]:
    """Return who blocks a user."""
    rows = await connection.fetch(
        "SELECT blocker FROM directory_block WHERE tenant = $1 AND blocked = $2", tenant, blocked
    )
    return [row["blocker"] for row in rows]


async def is_blocked(
    connection: Connection, tenant: TenantId, one: UserSlug, other: UserSlug
) -> bool:
    """Whether either of two users blocks the other."""
    return bool(
        await connection.fetchval(
            """
            SELECT true FROM directory_block
            WHERE tenant = $1 AND (blocker, blocked) IN (($2, $3), ($3, $2)) LIMIT 1
            """,
            tenant,
            one,
            other,
        )
    )
