"""A part of the directory: some users, groups and meetups, to be compared with OpenMeet's rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..core.directory import Member, Portal, Snapshot, User
from ..core.ids import PortalKind, PortalRef, TenantId, UserSlug
from . import directory
from .database import Connection, certain


@dataclass(slots=True)
class Names:
    """Numbers and slugs of things of one kind."""

    numbers: set[int] = field(default_factory=set)
    slugs: set[str] = field(default_factory=set)


async def part(
    connection: Connection,
    tenant: TenantId,
    people: Names,
    portals: Mapping[PortalKind, Names],
) -> Snapshot:
    """Return those of a tenant's users and portals that have one of the numbers or slugs.

    Members are those of the portals; blocks are left out. Call it inside one transaction.

    Args:
        connection: The database.
        tenant: Whose.
        people: Which users.
        portals: Which groups and meetups.
    """
    users = await _users(connection, tenant, people)
    found: dict[PortalRef, Portal] = {}
    for kind, names in portals.items():
        for ref in await _refs(connection, tenant, kind, names):
            found[ref] = certain(await directory.portal(connection, ref), "it was just listed")
    members: dict[PortalRef, dict[UserSlug, Member]] = {
        ref: await directory.all_members(connection, ref) for ref in found
    }
    return Snapshot(users, found, members)


async def _users(connection: Connection, tenant: TenantId, people: Names) -> dict[UserSlug, User]:
    rows = await connection.fetch(
        """
        SELECT u.tenant, u.slug, u.openmeet_id, u.name, u.avatar_url, u.active, ghost.mxid
        FROM directory_user AS u LEFT JOIN ghost USING (tenant, slug)
        WHERE u.tenant = $1 AND u.slug = ANY($2::text[])
        UNION
        SELECT u.tenant, u.slug, u.openmeet_id, u.name, u.avatar_url, u.active, ghost.mxid
        FROM directory_user AS u LEFT JOIN ghost USING (tenant, slug)
        WHERE u.tenant = $1 AND u.openmeet_id = ANY($3::bigint[])
        """,
        tenant,
        list(people.slugs),
        list(people.numbers),
    )
    return {row["slug"]: User(**dict(row)) for row in rows}


async def _refs(
    connection: Connection, tenant: TenantId, kind: PortalKind, names: Names
) -> list[PortalRef]:
    rows = await connection.fetch(
        """
        SELECT slug FROM directory_portal
        WHERE tenant = $1 AND kind = $2 AND slug = ANY($3::text[]) AND NOT deleted
        UNION
        SELECT slug FROM directory_portal
        WHERE tenant = $1 AND kind = $2 AND openmeet_id = ANY($4::bigint[]) AND NOT deleted
        """,
        tenant,
        kind,
        list(names.slugs),
        list(names.numbers),
    )
    return [PortalRef(tenant, kind, row["slug"]) for row in rows]


async def counts(connection: Connection, tenant: TenantId) -> tuple[int, int]:
    """Return how many users, and how many groups and meetups, a tenant's directory has."""
    row = await connection.fetchrow(
        """
        SELECT (SELECT count(*) FROM directory_user WHERE tenant = $1) AS users,
               (SELECT count(*) FROM directory_portal
                WHERE tenant = $1 AND kind IN ('group', 'meetup') AND NOT deleted) AS portals
        """,
        tenant,
    )
    found = certain(row, "a count has a row")
    return found["users"], found["portals"]
