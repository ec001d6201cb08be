"""Overviews for operators: what there is, a page at a time. Nothing here is on a busy path.

A page begins after a key and is ordered by it (keyset paging), so that a list of any length costs
the same per page, and rows that come and go meanwhile shift nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import asyncpg

from ..core.directory import Member, Override
from ..core.ids import Mxid, PortalKind, PortalRef, RoomId, TenantId, UserSlug
from .database import Connection, certain
from .job_overview import STATE

_JOINED = "membership = 'join' AND NOT barred"
_PORTAL = f"""
    SELECT d.kind, d.slug, d.name, d.visibility, d.status, d.starts_at, d.ends_at, d.deleted,
           portal.room_id,
           (SELECT count(*) FROM room_member JOIN ghost USING (mxid)
            WHERE room_member.room_id = portal.room_id AND {_JOINED}) AS joined,
           portal.problem, {STATE} AS state, coalesce(job.attempts, 0) AS attempts, job.error
    FROM directory_portal AS d
    LEFT JOIN portal USING (tenant, kind, slug)
    LEFT JOIN job USING (tenant, kind, slug)
"""  # noqa: S608
_USER = f"""
    SELECT u.slug, u.openmeet_id, u.name, u.active, ghost.mxid,
           coalesce(ghost.registered, false) AS registered, ghost.erased_at,
           (SELECT count(*) FROM directory_member AS m
            WHERE m.tenant = u.tenant AND m.user_slug = u.slug) AS memberships,
           (SELECT count(*) FROM room_member JOIN portal USING (room_id)
            WHERE room_member.mxid = ghost.mxid AND {_JOINED}
                  AND portal.tenant = u.tenant) AS rooms,
           {STATE} AS state, job.error
    FROM directory_user AS u
    LEFT JOIN ghost USING (tenant, slug)
    LEFT JOIN job ON job.tenant = u.tenant AND job.kind = 'user' AND job.slug = u.slug
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class TenantCounts:
    """What there is of a tenant.

    Attributes:
        users: In the directory.
        ghosts: Users whom the homeserver knows.
        groups: In the directory; so are ``meetups`` and ``directs``.
        rooms: Portals that have a room.
        members: Rows of the directory that say what somebody is somewhere.
        pending: Jobs that are not done yet.
        failed: Jobs that failed for good.
    """

    users: int
    ghosts: int
    groups: int
    meetups: int
    directs: int
    rooms: int
    members: int
    pending: int
    failed: int


@dataclass(frozen=True, slots=True)
class PortalRow:
    """A portal, its room and its job.

    Attributes:
        joined: Ghosts that are in the room at present.
        problem: What could not be done and does not stop the rest.
        state: Of its job: ``settled``, ``pending``, ``running``, ``retrying``, ``failed``.
        error: Why its job did not succeed the last time.
    """

    kind: PortalKind
    slug: str
    name: str
    visibility: str
    status: str | None
    starts_at: datetime | None
    ends_at: datetime | None
    deleted: bool
    room_id: RoomId | None
    joined: int
    problem: str | None
    state: str | None
    attempts: int
    error: str | None


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user, the ghost and its job.

    Attributes:
        registered: The homeserver knows the ghost.
        memberships: Portals in which the user is anything on OpenMeet.
        rooms: Rooms of the tenant in which the ghost is at present.
        state: Of its job, as with :class:`PortalRow`.
    """

    slug: UserSlug
    openmeet_id: int | None
    name: str
    active: bool
    mxid: Mxid | None
    registered: bool
    erased_at: datetime | None
    memberships: int
    rooms: int
    state: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Inside:
    """Somebody who is, or was, in a room; ``slug`` where it is a user of the tenant."""

    mxid: Mxid
    slug: UserSlug | None
    membership: str
    barred: bool


class Page(NamedTuple):
    """Which rows: at most ``limit`` after the key ``after``, with ``search`` in name or slug."""

    limit: int
    after: tuple[str, ...] | None = None
    search: str | None = None

    @property
    def pattern(self) -> str | None:
        """The search as a pattern of SQL's ILIKE."""
        if self.search is None:
            return None
        text = self.search.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
        return f"%{text}%"


async def tenants(connection: Connection) -> list[TenantId]:
    """Return the tenants of which anything is in the directory, or was."""
    rows = await connection.fetch("SELECT tenant FROM directory_head ORDER BY tenant")
    return [TenantId(row["tenant"]) for row in rows]


async def counts(connection: Connection, tenant: TenantId) -> TenantCounts:
    """Return what there is of a tenant."""
    row = await connection.fetchrow(
        """
        SELECT
            (SELECT count(*) FROM directory_user WHERE tenant = $1) AS users,
            (SELECT count(*) FROM ghost WHERE tenant = $1 AND registered) AS ghosts,
            count(*) FILTER (WHERE kind = 'group') AS groups,
            count(*) FILTER (WHERE kind = 'meetup') AS meetups,
            count(*) FILTER (WHERE kind = 'direct') AS directs,
            (SELECT count(*) FROM portal JOIN directory_portal USING (tenant, kind, slug)
             WHERE tenant = $1) AS rooms,
            (SELECT count(*) FROM directory_member WHERE tenant = $1) AS members,
            (SELECT count(*) FROM job
             WHERE tenant = $1 AND wanted > done AND NOT permanent) AS pending,
            (SELECT count(*) FROM job WHERE tenant = $1 AND permanent) AS failed
        FROM directory_portal WHERE tenant = $1 AND NOT deleted
        """,
        tenant,
    )
    return TenantCounts(**dict(certain(row, "a count has a row")))


async def portals(
    connection: Connection,
    tenant: TenantId,
    page: Page,
    *,
    kind: str | None = None,
    problem: bool = False,
) -> list[PortalRow]:
    """Return portals by kind and slug; one that is deleted as long as something is left to do.

    Args:
        connection: The database.
        tenant: Whose.
        page: Which; ``after`` is a kind and a slug.
        kind: Only of this kind.
        problem: Only those with which something is wrong.
    """
    rows = await connection.fetch(
        f"""
        {_PORTAL}
        WHERE d.tenant = $1 AND (d.kind, d.slug) > ($2, $3)
              AND ($4::text IS NULL OR d.kind = $4)
              AND (NOT $5 OR portal.problem IS NOT NULL OR job.permanent
                   OR (job.wanted > job.done AND job.attempts > 0))
              AND ($6::text IS NULL OR d.name ILIKE $6 OR d.slug ILIKE $6)
              AND (NOT d.deleted OR portal.room_id IS NOT NULL OR job.wanted > job.done)
        ORDER BY d.kind, d.slug LIMIT $7
        """,
        tenant,
        *(page.after or ("", "")),
        kind,
        problem,
        page.pattern,
        page.limit,
    )
    return [_portal(row) for row in rows]


async def portal(connection: Connection, ref: PortalRef) -> PortalRow | None:
    """Return one portal, deleted ones included."""
    row = await connection.fetchrow(
        f"""
        {_PORTAL}
        WHERE d.tenant = $1 AND d.kind = $2 AND d.slug = $3
        """,
        *ref,
    )
    return _portal(row) if row else None


async def said_of(
    connection: Connection, refs: Sequence[PortalRef]
) -> dict[PortalRef, dict[UserSlug, tuple[Member | None, Override | None]]]:
    """Return what OpenMeet and operators say of active users in each of a tenant's portals."""
    rows = await connection.fetch(
        """
        SELECT kind, slug, user_slug, m.role, m.status, o.inside, o.reason
        FROM (SELECT * FROM directory_member
              JOIN unnest($1::text[], $2::text[], $3::text[]) AS g (tenant, kind, slug)
                   USING (tenant, kind, slug)) AS m
        FULL JOIN (SELECT * FROM directory_override
              JOIN unnest($1::text[], $2::text[], $3::text[]) AS g (tenant, kind, slug)
                   USING (tenant, kind, slug)) AS o
             USING (tenant, kind, slug, user_slug)
        WHERE EXISTS (SELECT FROM directory_user AS u
                      WHERE u.tenant = coalesce(m.tenant, o.tenant) AND u.slug = user_slug
                            AND u.active)
        """,
        [ref.tenant for ref in refs],
        [ref.kind.value for ref in refs],
        [ref.slug for ref in refs],
    )
    tenant = refs[0].tenant if refs else TenantId("")
    said: dict[PortalRef, dict[UserSlug, tuple[Member | None, Override | None]]] = {
        ref: {} for ref in refs
    }
    for row in rows:
        user = UserSlug(row["user_slug"])
        member = None if row["role"] is None else Member(user, row["role"], row["status"])
        override = None if row["inside"] is None else Override(user, row["inside"], row["reason"])
        ref = PortalRef(tenant, PortalKind(row["kind"]), row["slug"])
        said[ref][user] = member, override
    return said


async def inside(connection: Connection, tenant: TenantId, room_id: RoomId) -> list[Inside]:
    """Return everybody with a membership in a room, people of Matrix included."""
    rows = await connection.fetch(
        """
        SELECT m.mxid, ghost.slug, m.membership, m.barred
        FROM room_member AS m LEFT JOIN ghost ON ghost.mxid = m.mxid AND ghost.tenant = $2
        WHERE m.room_id = $1 ORDER BY m.mxid
        """,
        room_id,
        tenant,
    )
    return [Inside(**dict(row)) for row in rows]


async def users(
    connection: Connection, tenant: TenantId, page: Page, *, problem: bool = False
) -> list[UserRow]:
    """Return users by slug.

    Args:
        connection: The database.
        tenant: Whose.
        page: Which; ``after`` is a slug.
        problem: Only those with which something is wrong.
    """
    rows = await connection.fetch(
        f"""
        {_USER}
        WHERE u.tenant = $1 AND u.slug > $2
              AND ($3::text IS NULL OR u.name ILIKE $3 OR u.slug ILIKE $3)
              AND (NOT $4 OR job.permanent OR (job.wanted > job.done AND job.attempts > 0))
        ORDER BY u.slug LIMIT $5
        """,
        tenant,
        page.after[0] if page.after else "",
        page.pattern,
        problem,
        page.limit,
    )
    return [UserRow(**dict(row)) for row in rows]


async def user(connection: Connection, tenant: TenantId, slug: UserSlug) -> UserRow | None:
    """Return one user."""
    row = await connection.fetchrow(f"{_USER} WHERE u.tenant = $1 AND u.slug = $2", tenant, slug)
    return UserRow(**dict(row)) if row else None


async def registered(connection: Connection, tenant: TenantId) -> frozenset[UserSlug]:
    """Return the users of a tenant whose ghosts the homeserver knows."""
    rows = await connection.fetch("SELECT slug FROM ghost WHERE tenant = $1 AND registered", tenant)
    return frozenset(UserSlug(row["slug"]) for row in rows)


async def joined(connection: Connection, tenant: TenantId) -> dict[PortalRef, int]:
    """Return the portals of a tenant that have a room, with how many ghosts are in it."""
    rows = await connection.fetch(
        f"""
        SELECT kind, slug, (SELECT count(*) FROM room_member JOIN ghost USING (mxid)
                            WHERE room_member.room_id = portal.room_id AND {_JOINED}) AS joined
        FROM portal JOIN directory_portal USING (tenant, kind, slug) WHERE tenant = $1
        """,  # noqa: S608
        tenant,
    )
    return {PortalRef(tenant, PortalKind(row["kind"]), row["slug"]): row["joined"] for row in rows}


async def overrides(
    connection: Connection, tenant: TenantId
) -> dict[PortalRef, dict[UserSlug, Override]]:
    """Return all that operators have said of a tenant's portals."""
    rows = await connection.fetch(
        "SELECT kind, slug, user_slug, inside, reason FROM directory_override WHERE tenant = $1",
        tenant,
    )
    found: dict[PortalRef, dict[UserSlug, Override]] = {}
    for row in rows:
        ref = PortalRef(tenant, PortalKind(row["kind"]), row["slug"])
        user = UserSlug(row["user_slug"])
        found.setdefault(ref, {})[user] = Override(user, row["inside"], row["reason"])
    return found


def _portal(row: asyncpg.Record) -> PortalRow:
    values = dict(row)
    return PortalRow(**(values | {"kind": PortalKind(values["kind"])}))
