"""The members of a portal: what OpenMeet says of each, and who is anything in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from ...core.directory import Member
from ...core.ids import Mxid, PortalKind, PortalRef, TenantId, UserSlug
from ..database import Connection


async def put_members(connection: Connection, ref: PortalRef, members: Sequence[Member]) -> None:
    """Write what users are in a portal, each of them once."""
    if not members:
        return
    await connection.execute(
        """
        INSERT INTO directory_member (tenant, kind, slug, user_slug, role, status)
        SELECT $1, $2, $3, * FROM unnest($4::text[], $5::text[], $6::text[])
        ON CONFLICT (tenant, kind, slug, user_slug) DO UPDATE SET
            role = excluded.role, status = excluded.status, settled = false
        """,
        *ref,
        [member.user for member in members],
        [member.role for member in members],
        [member.status for member in members],
    )


async def delete_member(connection: Connection, ref: PortalRef, user_slug: UserSlug) -> bool:
    """Remove a user from a portal; False where the user was not in it."""
    done = await connection.execute(
        """
        DELETE FROM directory_member
        WHERE tenant = $1 AND kind = $2 AND slug = $3 AND user_slug = $4
        """,
        *ref,
        user_slug,
    )
    return bool(done == "DELETE 1")


async def members(connection: Connection, ref: PortalRef) -> dict[UserSlug, Member]:
    """Return what users are in a portal. Only users that exist and are active count."""
    rows = await connection.fetch(
        """
        SELECT user_slug, role, status FROM directory_member m
        JOIN directory_user u ON u.tenant = m.tenant AND u.slug = m.user_slug
        WHERE m.tenant = $1 AND m.kind = $2 AND m.slug = $3 AND u.active
        """,
        *ref,
    )
    return {row["user_slug"]: member_in(row) for row in rows}


async def all_members(connection: Connection, ref: PortalRef) -> dict[UserSlug, Member]:
    """Return what users are in a portal, as it was written: inactive ones included."""
    rows = await connection.fetch(
        """
        SELECT user_slug, role, status FROM directory_member
        WHERE tenant = $1 AND kind = $2 AND slug = $3
        """,
        *ref,
    )
    return {row["user_slug"]: member_in(row) for row in rows}


async def member(connection: Connection, ref: PortalRef, user_slug: UserSlug) -> Member | None:
    """Return what a user is in a portal, as it was written."""
    row = await connection.fetchrow(
        """
        SELECT user_slug, role, status FROM directory_member
        WHERE tenant = $1 AND kind = $2 AND slug = $3 AND user_slug = $4
        """,
        *ref,
        user_slug,
    )
    return member_in(row) if row else None


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is anything in a portal."""

    slug: UserSlug
    mxid: Mxid
    active: bool


async def people(connection: Connection, ref: PortalRef) -> list[Person]:
    """Return the users who are anything in a portal, by OpenMeet or an operator."""
    rows = await connection.fetch(
        """
        SELECT u.slug, ghost.mxid, u.active FROM directory_user AS u
        JOIN ghost USING (tenant, slug)
        WHERE u.tenant = $1 AND u.slug IN (
            SELECT user_slug FROM directory_member WHERE tenant = $1 AND kind = $2 AND slug = $3
            UNION
            SELECT user_slug FROM directory_override WHERE tenant = $1 AND kind = $2 AND slug = $3
        )
        """,
        *ref,
    )
    return [Person(**dict(row)) for row in rows]


async def unsettled_members(connection: Connection, ref: PortalRef) -> set[UserSlug]:
    """Return the members whose present row the room has not followed yet."""
    rows = await connection.fetch(
        """
        SELECT user_slug FROM directory_member
        WHERE tenant = $1 AND kind = $2 AND slug = $3 AND NOT settled
        """,
        *ref,
    )
    return {row["user_slug"] for row in rows}


async def mark_settled(connection: Connection, ref: PortalRef, members: Sequence[Member]) -> None:
    """Note that the room has followed these rows, where they are still the same."""
    await connection.execute(
        """
        UPDATE directory_member AS m SET settled = true
        FROM unnest($4::text[], $5::text[], $6::text[]) AS given (user_slug, role, status)
        WHERE m.tenant = $1 AND m.kind = $2 AND m.slug = $3 AND m.user_slug = given.user_slug
              AND m.role = given.role AND m.status = given.status AND NOT m.settled
        """,
        *ref,
        [member.user for member in members],
        [member.role for member in members],
        [member.status for member in members],
    )


async def portals_of(
    connection: Connection, tenant: TenantId, user_slug: UserSlug
) -> list[PortalRef]:
    """Return the portals of a tenant in which a user is anything, by OpenMeet or an operator."""
    rows = await connection.fetch(
        """
        SELECT kind, slug FROM directory_member WHERE tenant = $1 AND user_slug = $2
        UNION
        SELECT kind, slug FROM directory_override WHERE tenant = $1 AND user_slug = $2
        """,
        tenant,
        user_slug,
    )
    return [PortalRef(tenant, PortalKind(row["kind"]), row["slug"]) for row in rows]


def member_in(row: asyncpg.Record) -> Member:
    """Return the member that a row of ``user_slug``, ``role`` and ``status`` is."""
    return Member(row["user_slug"], row["role"], row["status"])
