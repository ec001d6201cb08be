"""The portals of a tenant: the groups, meetups and direct conversations."""

from __future__ import annotations

from typing import Any

import asyncpg

from ...core.directory import Portal, Visibility
from ...core.ids import PortalKind, PortalRef, TenantId
from ..database import Connection

SELECT_PORTAL = """
    SELECT tenant, kind, slug, alias, name, topic, avatar_url, url, visibility, openmeet_id, status,
           starts_at, ends_at, "group", deleted, reborn
    FROM directory_portal
"""


async def put_portal(connection: Connection, portal: Portal) -> None:
    """Write a portal. An OpenMeet id that another portal of the kind held moves to this one."""
    await connection.execute(
        """
        UPDATE directory_portal SET openmeet_id = NULL
        WHERE tenant = $1 AND kind = $2 AND slug <> $3 AND openmeet_id = $4
        """,
        *portal.ref,
        portal.openmeet_id,
    )
    await connection.execute(
        """
        INSERT INTO directory_portal
            (tenant, kind, slug, alias, name, topic, avatar_url, url, visibility, openmeet_id,
             status, starts_at, ends_at, "group", deleted)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
        ON CONFLICT (tenant, kind, slug) DO UPDATE SET
            alias = excluded.alias, name = excluded.name, topic = excluded.topic,
            avatar_url = excluded.avatar_url, url = excluded.url,
            visibility = excluded.visibility, openmeet_id = excluded.openmeet_id,
            status = excluded.status, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
            "group" = excluded."group", deleted = excluded.deleted,
            reborn = directory_portal.reborn OR directory_portal.deleted, updated_at = now()
        """,
        *portal.ref,
        portal.alias,
        portal.name,
        portal.topic,
        portal.avatar_url,
        portal.url,
        portal.visibility,
        portal.openmeet_id,
        portal.status,
        portal.starts_at,
        portal.ends_at,
        portal.group,
        portal.deleted,
    )


async def delete_portal(connection: Connection, ref: PortalRef) -> bool:
    """Mark a portal as one that should not be; its members are removed. False: no such portal."""
    for table in ("directory_member", "directory_override"):
        await connection.execute(
            f"DELETE FROM {table} WHERE tenant = $1 AND kind = $2 AND slug = $3",  # noqa: S608
            *ref,
        )
    done = await connection.execute(
        """
        UPDATE directory_portal SET deleted = true, openmeet_id = NULL, updated_at = now()
        WHERE tenant = $1 AND kind = $2 AND slug = $3 AND NOT deleted
        """,
        *ref,
    )
    return bool(done == "UPDATE 1")


async def renew_portal(connection: Connection, ref: PortalRef) -> None:
    """Note that the room which a portal has must be closed, and another be made."""
    await connection.execute(
        """
        UPDATE directory_portal SET reborn = true, updated_at = now()
        WHERE tenant = $1 AND kind = $2 AND slug = $3
        """,
        *ref,
    )


async def rename_portal(connection: Connection, ref: PortalRef, to: str, alias: str) -> None:
    """Give a portal another slug and alias, in every table. Its room stays, and its old alias."""
    # What stood under the new name is gone: its row was only kept to close its room.
    await _forget_portal(connection, PortalRef(ref.tenant, ref.kind, to))
    await connection.execute(
        """
        INSERT INTO former_alias (alias, tenant, kind, slug)
        SELECT alias, tenant, kind, $4::text FROM directory_portal
        WHERE tenant = $1 AND kind = $2 AND slug = $3
        ON CONFLICT (alias) DO UPDATE SET kind = excluded.kind, slug = excluded.slug
        """,
        *ref,
        to,
    )
    await connection.execute(
        """
        UPDATE directory_portal SET slug = $4, alias = $5, updated_at = now()
        WHERE tenant = $1 AND kind = $2 AND slug = $3
        """,
        *ref,
        to,
        alias,
    )
    # Who does the job at this moment does it under the old name, and cannot give it back.
    await connection.execute(
        """
        UPDATE job SET leased_until = least(leased_until, now() + interval '10 s')
        WHERE tenant = $1 AND kind = $2 AND slug = $3 AND leased_until IS NOT NULL
        """,
        *ref,
    )
    tables = ("directory_member", "directory_override", "former_alias", "portal", "job")
    for table in tables:
        await connection.execute(
            f"UPDATE {table} SET slug = $4 WHERE tenant = $1 AND kind = $2 AND slug = $3",  # noqa: S608
            *ref,
            to,
        )
    # It has its own new alias now, even if it once was a former one.
    await connection.execute("DELETE FROM former_alias WHERE alias = $1", alias)
    if ref.kind is PortalKind.GROUP:
        # The space of a deleted group of this name, if it is not closed yet, makes way.
        await connection.execute(
            """DELETE FROM space WHERE tenant = $1 AND "group" = $2""", ref.tenant, to
        )
        for table in ("directory_portal", "space"):
            await connection.execute(
                f'UPDATE {table} SET "group" = $3 WHERE tenant = $1 AND "group" = $2',  # noqa: S608
                ref.tenant,
                ref.slug,
                to,
            )


async def _forget_portal(connection: Connection, ref: PortalRef) -> None:
    """Remove all trace of a portal that should not be and has no room any more."""
    for table in ("directory_portal", "job", "former_alias"):
        await connection.execute(
            f"DELETE FROM {table} WHERE tenant = $1 AND kind = $2 AND slug = $3",  # noqa: S608
            *ref,
        )


async def buried(connection: Connection, ref: PortalRef) -> None:
    """Note that the room of a portal's former life is closed."""
    await connection.execute(
        """
        UPDATE directory_portal SET reborn = false
        WHERE tenant = $1 AND kind = $2 AND slug = $3 AND reborn
        """,
        *ref,
    )


async def portal(connection: Connection, ref: PortalRef) -> Portal | None:
    """Return a portal, deleted ones included."""
    row = await connection.fetchrow(
        f"{SELECT_PORTAL} WHERE tenant = $1 AND kind = $2 AND slug = $3", *ref
    )
    return portal_in(row) if row else None


async def is_occupied(connection: Connection, ref: PortalRef) -> bool:
    """Whether a room or a space still stands for what had a portal's name."""
    return bool(
        await connection.fetchval(
            """
            SELECT true FROM portal WHERE tenant = $1 AND kind = $2 AND slug = $3
            UNION ALL
            SELECT true FROM space WHERE $2 = 'group' AND tenant = $1 AND "group" = $3
            LIMIT 1
            """,
            *ref,
        )
    )


async def meetups_of_group(connection: Connection, tenant: TenantId, group: str) -> list[Portal]:
    """Return the meetups that belong to a group and should be."""
    rows = await connection.fetch(
        f"""
        {SELECT_PORTAL} WHERE tenant = $1 AND kind = 'meetup' AND "group" = $2 AND NOT deleted
        ORDER BY slug
        """,
        tenant,
        group,
    )
    return [portal_in(row) for row in rows]


async def visible(connection: Connection, tenant: TenantId, visibility: Visibility) -> list[Portal]:
    """Return the groups and meetups of a tenant that should be and have a visibility."""
    rows = await connection.fetch(
        f"""
        {SELECT_PORTAL} WHERE tenant = $1 AND kind <> 'direct' AND visibility = $2 AND NOT deleted
        ORDER BY kind, slug
        """,
        tenant,
        visibility.value,
    )
    return [portal_in(row) for row in rows]


def portal_in(row: asyncpg.Record) -> Portal:
    """Return the portal that a row of :data:`SELECT_PORTAL` is."""
    values: dict[str, Any] = dict(row)
    tenant, kind, slug = (values.pop(name) for name in ("tenant", "kind", "slug"))
    values["visibility"] = Visibility(values["visibility"])
    return Portal(ref=PortalRef(tenant, PortalKind(kind), slug), **values)
