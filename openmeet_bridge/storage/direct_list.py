"""Somebody's direct chats, for the list of OpenMeet's web app."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from ..core.directory import User
from ..core.ids import EventId, Mxid, PortalKind, PortalRef, RoomId, TenantId, UserSlug
from .database import Connection


@dataclass(frozen=True, slots=True)
class ListedDirect:
    """A direct chat in whose room somebody is.

    Attributes:
        since_key: Sort key at which they came in.
        other: The other one, as the directory has them; None where they are gone from it.
    """

    ref: PortalRef
    room_id: RoomId
    since_key: int
    other: User | None


async def directs_of(
    connection: Connection,
    tenant: TenantId,
    slug: UserSlug,
    mxid: Mxid,
    limit: int,
    only: PortalRef | None = None,
) -> list[ListedDirect]:
    """Return the direct chats in whose rooms somebody is now, the most recently active first.

    Args:
        connection: The database.
        tenant: Whose.
        slug: Who.
        mxid: Who they are on Matrix.
        limit: Most chats.
        only: The one that is asked for.
    """
    rows = await connection.fetch(
        """
        SELECT portal.slug AS portal_slug, mine.room_id, mine.since_key,
               person.slug, person.openmeet_id, person.name, person.avatar_url, person.active,
               ghost.mxid
        FROM room_member AS mine
        JOIN portal USING (room_id)
        LEFT JOIN room_summary AS summary USING (room_id)
        LEFT JOIN directory_member AS pair
               ON pair.tenant = portal.tenant AND pair.kind = 'direct'
                  AND pair.slug = portal.slug AND pair.user_slug <> $2
        LEFT JOIN directory_user AS person
               ON person.tenant = pair.tenant AND person.slug = pair.user_slug
        LEFT JOIN ghost ON ghost.tenant = pair.tenant AND ghost.slug = pair.user_slug
        WHERE portal.tenant = $1 AND portal.kind = 'direct' AND mine.mxid = $3
              AND mine.membership = 'join' AND NOT mine.barred
              AND ($5::text IS NULL OR portal.slug = $5)
        ORDER BY summary.last_position DESC NULLS LAST, mine.room_id LIMIT $4
        """,
        tenant,
        slug,
        mxid,
        limit,
        None if only is None else only.slug,
    )
    return [_listed(tenant, row) for row in rows]


async def first_above(
    connection: Connection, tenant: TenantId, places: Sequence[tuple[RoomId, int]], limit: int
) -> list[tuple[RoomId, EventId]]:
    """Return the first messages of rooms above a sort key of each, at most ``limit`` of a room."""
    rows = await connection.fetch(
        """
        SELECT given.room_id, above.event_id
        FROM unnest($2::text[], $3::bigint[]) AS given (room_id, key)
        CROSS JOIN LATERAL (
            SELECT event_id FROM log
            WHERE log.room_id = given.room_id AND log.tenant = $1 AND log.counted
                  AND log.sort_key > given.key
            ORDER BY sort_key LIMIT $4
        ) AS above
        """,
        tenant,
        [room_id for room_id, _ in places],
        [key for _, key in places],
        limit,
    )
    return [(row["room_id"], row["event_id"]) for row in rows]


def _listed(tenant: TenantId, row: asyncpg.Record) -> ListedDirect:
    ref = PortalRef(tenant, PortalKind.DIRECT, row["portal_slug"])
    return ListedDirect(ref, row["room_id"], row["since_key"], _other(tenant, row))


def _other(tenant: TenantId, row: asyncpg.Record) -> User | None:
    if row["slug"] is None:
        return None
    return User(
        tenant,
        row["slug"],
        row["openmeet_id"],
        row["name"],
        row["avatar_url"],
        row["active"],
        row["mxid"],
    )
