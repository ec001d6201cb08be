"""The directory: what OpenMeet says there should be. Every statement names its tenant."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from ..core.directory import Member, Override, Portal, Snapshot, User, Visibility
from ..core.ids import Mxid, PortalKind, PortalRef, TenantId, UserSlug
from .database import Connection, certain

_USER = """
    SELECT u.tenant, u.slug, u.openmeet_id, u.name, u.avatar_url, u.active, ghost.mxid
    FROM directory_user AS u LEFT JOIN ghost USING (tenant, slug)
"""
_PORTAL = """
    SELECT tenant, kind, slug, alias, name, topic, avatar_url, url, visibility, openmeet_id, status,
           starts_at, ends_at, "group", deleted, reborn
    FROM directory_portal
"""


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


# Users


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
        INSERT INTO directory_user (tenant, slug, openmeet_id, name, avatar_url, active)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (tenant, slug) DO UPDATE SET
            openmeet_id = excluded.openmeet_id, name = excluded.name,
            avatar_url = excluded.avatar_url, active = excluded.active, updated_at = now()
        """,
        user.tenant,
        user.slug,
        user.openmeet_id,
        user.name,
        user.avatar_url,
        user.active,
    )


async def delete_user(connection: Connection, tenant: TenantId, slug: UserSlug) -> bool:
    """Remove a user and all memberships; False where there was none."""
    for statement in (
        "DELETE FROM directory_member WHERE tenant = $1 AND user_slug = $2",
        "DELETE FROM directory_override WHERE tenant = $1 AND user_slug = $2",
        "DELETE FROM directory_block WHERE tenant = $1 AND $2 IN (blocker, blocked)",
    ):
        await connection.execute(statement, tenant, slug)
    done = await connection.execute(
        "DELETE FROM directory_user WHERE tenant = $1 AND slug = $2", tenant, slug
    )
    return bool(done == "DELETE 1")


async def rename_user(
    connection: Connection, tenant: TenantId, slug: UserSlug, to: UserSlug
) -> None:
    """Give a user another slug, in every table that has it. The ghost's Matrix id stays."""
    for statement in (
        "UPDATE directory_user SET slug = $3, updated_at = now() WHERE tenant = $1 AND slug = $2",
        "UPDATE directory_member SET user_slug = $3 WHERE tenant = $1 AND user_slug = $2",
        "UPDATE directory_override SET user_slug = $3 WHERE tenant = $1 AND user_slug = $2",
        "UPDATE directory_block SET blocker = $3 WHERE tenant = $1 AND blocker = $2",
        "UPDATE directory_block SET blocked = $3 WHERE tenant = $1 AND blocked = $2",
        "UPDATE ghost SET slug = $3 WHERE tenant = $1 AND slug = $2",
        # Of somebody who is gone and had the slug.
        "DELETE FROM job WHERE tenant = $1 AND kind = 'user' AND slug = $3 AND $2::text <> $3",
        "UPDATE outbox SET user_slug = $3 WHERE tenant = $1 AND user_slug = $2",
        "UPDATE stream_ticket SET user_slug = $3 WHERE tenant = $1 AND user_slug = $2",
        # Who does the job at this moment does it under the old name, and cannot give it back.
        "UPDATE job SET leased_until = least(leased_until, now() + interval '10 s') "
        "WHERE tenant = $1 AND kind = 'user' AND slug = $2 AND $3::text IS NOT NULL "
        "AND leased_until IS NOT NULL",
        "UPDATE job SET slug = $3 WHERE tenant = $1 AND kind = 'user' AND slug = $2",
    ):
        await connection.execute(statement, tenant, slug, to)


async def user(connection: Connection, tenant: TenantId, slug: UserSlug) -> User | None:
    """Return a user by slug."""
    row = await connection.fetchrow(f"{_USER} WHERE u.tenant = $1 AND u.slug = $2", tenant, slug)
    return User(**dict(row)) if row else None


async def known_users(
    connection: Connection, tenant: TenantId, slugs: Sequence[UserSlug]
) -> set[UserSlug]:
    """Return which of these slugs are users'."""
    rows = await connection.fetch(
        "SELECT slug FROM directory_user WHERE tenant = $1 AND slug = ANY ($2::text[])",
        tenant,
        list(slugs),
    )
    return {row["slug"] for row in rows}


async def user_by_openmeet_id(
    connection: Connection, tenant: TenantId, openmeet_id: int
) -> User | None:
    """Return a user by OpenMeet's numeric id, which is unique within its tenant only."""
    row = await connection.fetchrow(
        f"{_USER} WHERE u.tenant = $1 AND u.openmeet_id = $2", tenant, openmeet_id
    )
    return User(**dict(row)) if row else None


async def users(connection: Connection, tenant: TenantId, limit: int) -> list[User]:
    """Return the active users of a tenant by name."""
    rows = await connection.fetch(
        f"{_USER} WHERE u.tenant = $1 AND u.active ORDER BY u.name, u.slug LIMIT $2", tenant, limit
    )
    return [User(**dict(row)) for row in rows]


# Portals


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


async def rename_portal(connection: Connection, ref: PortalRef, to: str, alias: str) -> None:
    """Give a portal another slug and alias, in every table. Its room stays, and its old alias."""
    # What stood under the new name is gone: its row was only kept to close its room.
    await forget_portal(connection, PortalRef(ref.tenant, ref.kind, to))
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


async def forget_portal(connection: Connection, ref: PortalRef) -> None:
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
        f"{_PORTAL} WHERE tenant = $1 AND kind = $2 AND slug = $3", *ref
    )
    return _portal(row) if row else None


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


async def portal_by_openmeet_id(
    connection: Connection, tenant: TenantId, kind: PortalKind, openmeet_id: int
) -> Portal | None:
    """Return a portal by OpenMeet's numeric id, which is unique within tenant and kind only."""
    row = await connection.fetchrow(
        f"{_PORTAL} WHERE tenant = $1 AND kind = $2 AND openmeet_id = $3 AND NOT deleted",
        tenant,
        kind,
        openmeet_id,
    )
    return _portal(row) if row else None


async def portal_by_alias(connection: Connection, alias: str) -> Portal | None:
    """Return the portal that should be and has this alias, now or formerly."""
    row = await connection.fetchrow(
        f"""
        {_PORTAL} WHERE NOT deleted AND (
            alias = $1 OR (tenant, kind, slug) IN (
                SELECT tenant, kind, slug FROM former_alias WHERE former_alias.alias = $1
            )
        ) ORDER BY alias = $1 DESC LIMIT 1
        """,  # noqa: S608
        alias,
    )
    return _portal(row) if row else None


async def heir(connection: Connection, ref: PortalRef, alias: str) -> PortalRef:
    """Return which portal it is that was ``ref``, with this alias: it may be renamed by now."""
    if await portal(connection, ref) is not None:
        return ref
    renamed = await portal_by_alias(connection, alias)
    return ref if renamed is None or renamed.ref.tenant != ref.tenant else renamed.ref


async def forget_former_aliases(connection: Connection, ref: PortalRef) -> None:
    """Let a portal have no former aliases any more."""
    await connection.execute(
        "DELETE FROM former_alias WHERE tenant = $1 AND kind = $2 AND slug = $3", *ref
    )


async def former_aliases(connection: Connection, ref: PortalRef) -> list[str]:
    """Return the aliases that a portal had before and that still lead to its room."""
    rows = await connection.fetch(
        """
        SELECT alias FROM former_alias WHERE tenant = $1 AND kind = $2 AND slug = $3
        ORDER BY alias
        """,
        *ref,
    )
    return [row["alias"] for row in rows]


async def release_alias(connection: Connection, alias: str) -> PortalRef | None:
    """Let nobody have an alias as a former one; return who had it."""
    row = await connection.fetchrow(
        "DELETE FROM former_alias WHERE alias = $1 RETURNING tenant, kind, slug", alias
    )
    return PortalRef(row["tenant"], PortalKind(row["kind"]), row["slug"]) if row else None


async def meetups_of_group(connection: Connection, tenant: TenantId, group: str) -> list[Portal]:
    """Return the meetups that belong to a group and should be."""
    rows = await connection.fetch(
        f"""
        {_PORTAL} WHERE tenant = $1 AND kind = 'meetup' AND "group" = $2 AND NOT deleted
        ORDER BY slug
        """,
        tenant,
        group,
    )
    return [_portal(row) for row in rows]


async def visible(connection: Connection, tenant: TenantId, visibility: Visibility) -> list[Portal]:
    """Return the groups and meetups of a tenant that should be and have a visibility."""
    rows = await connection.fetch(
        f"""
        {_PORTAL} WHERE tenant = $1 AND kind <> 'direct' AND visibility = $2 AND NOT deleted
        ORDER BY kind, slug
        """,
        tenant,
        visibility.value,
    )
    return [_portal(row) for row in rows]


# Members


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
    return {row["user_slug"]: _member(row) for row in rows}


async def all_members(connection: Connection, ref: PortalRef) -> dict[UserSlug, Member]:
    """Return what users are in a portal, as it was written: inactive ones included."""
    rows = await connection.fetch(
        """
        SELECT user_slug, role, status FROM directory_member
        WHERE tenant = $1 AND kind = $2 AND slug = $3
        """,
        *ref,
    )
    return {row["user_slug"]: _member(row) for row in rows}


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
    return _member(row) if row else None


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


# Overrides and blocks


async def put_override(connection: Connection, ref: PortalRef, override: Override) -> None:
    """Write an operator's word."""
    await connection.execute(
        """
        INSERT INTO directory_override (tenant, kind, slug, user_slug, inside, reason)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (tenant, kind, slug, user_slug) DO UPDATE SET
            inside = excluded.inside, reason = excluded.reason, at = now()
        """,
        *ref,
        override.user,
        override.inside,
        override.reason,
    )


async def delete_override(connection: Connection, ref: PortalRef, user_slug: UserSlug) -> bool:
    """Take an operator's word back; False where there was none."""
    done = await connection.execute(
        """
        DELETE FROM directory_override
        WHERE tenant = $1 AND kind = $2 AND slug = $3 AND user_slug = $4
        """,
        *ref,
        user_slug,
    )
    return bool(done == "DELETE 1")


async def overrides(connection: Connection, ref: PortalRef) -> dict[UserSlug, Override]:
    """Return what operators have said of a portal. Only users that exist and are active count."""
    rows = await connection.fetch(
        """
        SELECT o.user_slug AS user, o.inside, o.reason FROM directory_override o
        JOIN directory_user u ON u.tenant = o.tenant AND u.slug = o.user_slug
        WHERE o.tenant = $1 AND o.kind = $2 AND o.slug = $3 AND u.active
        """,
        *ref,
    )
    return {row["user"]: Override(**dict(row)) for row in rows}


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


# The whole


async def snapshot(connection: Connection, tenant: TenantId) -> Snapshot:
    """Return a tenant's whole directory. Call it inside one transaction or snapshot."""
    user_rows = await connection.fetch(f"{_USER} WHERE u.tenant = $1", tenant)
    portal_rows = await connection.fetch(f"{_PORTAL} WHERE tenant = $1 AND NOT deleted", tenant)
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
        members.setdefault(ref, {})[row["user_slug"]] = _member(row)
    portals = [_portal(row) for row in portal_rows]
    return Snapshot(
        users={row["slug"]: User(**dict(row)) for row in user_rows},
        portals={one.ref: one for one in portals},
        members=members,
        blocks=frozenset((row["blocker"], row["blocked"]) for row in block_rows),
    )


def _head(row: asyncpg.Record) -> Head:
    values = dict(row)
    del values["tenant"]
    return Head(**values)


def _portal(row: asyncpg.Record) -> Portal:
    values: dict[str, Any] = dict(row)
    tenant, kind, slug = (values.pop(name) for name in ("tenant", "kind", "slug"))
    values["visibility"] = Visibility(values["visibility"])
    return Portal(ref=PortalRef(tenant, PortalKind(kind), slug), **values)


def _member(row: asyncpg.Record) -> Member:
    return Member(row["user_slug"], row["role"], row["status"])
