"""The directory: what OpenMeet says there should be. Every statement names its tenant."""

from __future__ import annotations

from ..core.directory import Portal, User
from ..core.ids import Mxid, PortalRef, TenantId, UserSlug
from .database import Connection


async def put_user(connection: Connection, user: User) -> None:
    """Write a user. An OpenMeet id that another user of the tenant held moves to this one."""
    await connection.execute(
        """
        UPDATE directory_user SET openmeet_id = NULL
        WHERE tenant = $1 AND openmeet_id = $2 AND slug <> $3
        """,
        user.tenant,
        user.openmeet_id,
        user.slug,
    )
    await connection.execute(
        """
        INSERT INTO directory_user (tenant, slug, openmeet_id, name, avatar_url)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (tenant, slug) DO UPDATE SET
            openmeet_id = excluded.openmeet_id, name = excluded.name,
            avatar_url = excluded.avatar_url, updated_at = now()
        """,
        user.tenant,
        user.slug,
        user.openmeet_id,
        user.name,
        user.avatar_url,
    )


async def delete_user(connection: Connection, tenant: TenantId, slug: UserSlug) -> bool:
    """Remove a user and all memberships; False where there was none."""
    await connection.execute(
        "DELETE FROM directory_member WHERE tenant = $1 AND user_slug = $2", tenant, slug
    )
    done = await connection.execute(
        "DELETE FROM directory_user WHERE tenant = $1 AND slug = $2", tenant, slug
    )
    return bool(done == "DELETE 1")


async def user(connection: Connection, tenant: TenantId, slug: UserSlug) -> User | None:
    """Return a user by slug."""
    row = await connection.fetchrow(
        """
        SELECT tenant, slug, openmeet_id, name, avatar_url FROM directory_user
        WHERE tenant = $1 AND slug = $2
        """,
        tenant,
        slug,
    )
    return User(**dict(row)) if row else None


async def user_by_openmeet_id(
    connection: Connection, tenant: TenantId, openmeet_id: int
) -> User | None:
    """Return a user by OpenMeet's numeric id, which is unique within its tenant only."""
    row = await connection.fetchrow(
        """
        SELECT tenant, slug, openmeet_id, name, avatar_url FROM directory_user
        WHERE tenant = $1 AND openmeet_id = $2
        """,
        tenant,
        openmeet_id,
    )
    return User(**dict(row)) if row else None


async def user_exists(connection: Connection, mxid: Mxid) -> bool:
    """Whether a ghost stands for somebody (by the ghost's Matrix id)."""
    return bool(await connection.fetchval("SELECT true FROM ghost WHERE mxid = $1", mxid))


async def put_portal(connection: Connection, portal: Portal) -> None:
    """Write a portal."""
    await connection.execute(
        """
        INSERT INTO directory_portal
            (tenant, kind, slug, alias, name, topic, avatar_url, url, public, deleted)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT (tenant, kind, slug) DO UPDATE SET
            name = excluded.name, topic = excluded.topic, avatar_url = excluded.avatar_url,
            url = excluded.url, public = excluded.public, deleted = excluded.deleted,
            reborn = directory_portal.reborn OR directory_portal.deleted, updated_at = now()
        """,
        *portal.ref,
        portal.alias,
        portal.name,
        portal.topic,
        portal.avatar_url,
        portal.url,
        portal.public,
        portal.deleted,
    )


async def delete_portal(connection: Connection, ref: PortalRef) -> bool:
    """Mark a portal as one that should not be; its members are removed. False: no such portal."""
    await connection.execute(
        "DELETE FROM directory_member WHERE tenant = $1 AND kind = $2 AND slug = $3", *ref
    )
    done = await connection.execute(
        """
        UPDATE directory_portal SET deleted = true, updated_at = now()
        WHERE tenant = $1 AND kind = $2 AND slug = $3
        """,
        *ref,
    )
    return bool(done == "UPDATE 1")


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
        """
        SELECT alias, name, topic, avatar_url, url, public, deleted, reborn
        FROM directory_portal
        WHERE tenant = $1 AND kind = $2 AND slug = $3
        """,
        *ref,
    )
    return Portal(ref, **dict(row)) if row else None


async def alias_exists(connection: Connection, alias: str) -> bool:
    """Whether a portal that should be has this alias."""
    return bool(
        await connection.fetchval(
            "SELECT true FROM directory_portal WHERE alias = $1 AND NOT deleted", alias
        )
    )


async def put_member(
    connection: Connection, ref: PortalRef, user_slug: UserSlug, role: str
) -> None:
    """Write that a user belongs to a portal, with a role."""
    await connection.execute(
        """
        INSERT INTO directory_member (tenant, kind, slug, user_slug, role)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (tenant, kind, slug, user_slug) DO UPDATE SET role = excluded.role
        """,
        *ref,
        user_slug,
        role,
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


async def members(connection: Connection, ref: PortalRef) -> dict[UserSlug, str]:
    """Return who belongs to a portal, with their roles. Only users that exist count."""
    rows = await connection.fetch(
        """
        SELECT user_slug, role FROM directory_member m
        JOIN directory_user u ON u.tenant = m.tenant AND u.slug = m.user_slug
        WHERE m.tenant = $1 AND m.kind = $2 AND m.slug = $3
        """,
        *ref,
    )
    return {row["user_slug"]: row["role"] for row in rows}


async def portals_of(
    connection: Connection, tenant: TenantId, user_slug: UserSlug
) -> list[tuple[str, str]]:
    """Return the portals of a tenant to which a user belongs: ``(kind, slug)``."""
    rows = await connection.fetch(
        "SELECT kind, slug FROM directory_member WHERE tenant = $1 AND user_slug = $2",
        tenant,
        user_slug,
    )
    return [(row["kind"], row["slug"]) for row in rows]


async def users(connection: Connection, tenant: TenantId, limit: int) -> list[User]:
    """Return the users of a tenant by name."""
    rows = await connection.fetch(
        """
        SELECT tenant, slug, openmeet_id, name, avatar_url FROM directory_user
        WHERE tenant = $1 ORDER BY name, slug LIMIT $2
        """,
        tenant,
        limit,
    )
    return [User(**dict(row)) for row in rows]
