"""The snapshot of a tenant: its whole directory at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg

from ...core.directory import Member, Snapshot, User
from ...core.ids import PortalKind, PortalRef, TenantId, UserSlug
from ..database import Connection
from .members import member_in
from .portals import SELECT_PORTAL, portal_in
from .users import SELECT_USER


async def snapshot(connection: Connection, tenant: TenantId) -> Snapshot:
    """Return a tenant's whole directory. Call it inside one transaction or snapshot."""
    user_rows = await connection.fetch(f"{SELECT_USER} WHERE u.tenant = $1", tenant)
    portal_rows = await connection.fetch(
        f"{SELECT_PORTAL} WHERE tenant = $1 AND NOT deleted", tenant
    )
    member_rows = await connection.fetch(
        "SELECT kind, slug, user_slug, role, status FROM directory_member WHERE tenant = $1", tenant
    )
    block_rows = await connection.fetch(
        "SELECT blocker, blocked FROM directory_block WHERE tenant = $1", tenant
    )
    # Tens of thousands of rows: whoever streams must not wait for that.
    return await asyncio.to_thread(_whole, tenant, user_rows, portal_rows, member_rows, block_rows)


def _whole(
    tenant: TenantId,
    user_rows: Sequence[asyncpg.Record],
    portal_rows: Sequence[asyncpg.Record],
    member_rows: Sequence[asyncpg.Record],
    block_rows: Sequence[asyncpg.Record],
) -> Snapshot:
    members: dict[PortalRef, dict[UserSlug, Member]] = {}
    for row in member_rows:
        ref = PortalRef(tenant, PortalKind(row["kind"]), row["slug"])
        members.setdefault(ref, {})[row["user_slug"]] = member_in(row)
    portals = [portal_in(row) for row in portal_rows]
    return Snapshot(
        users={row["slug"]: User(**dict(row)) for row in user_rows},
        portals={one.ref: one for one in portals},
        members=members,
        blocks=frozenset((row["blocker"], row["blocked"]) for row in block_rows),
    )
