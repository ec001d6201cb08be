"""The rooms in which somebody is, by name."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.ids import Mxid, RoomId, TenantId
from .database import Connection


@dataclass(frozen=True, slots=True)
class OwnRoom:
    """A room in which somebody is. A direct chat has the name of the other one."""

    room_id: RoomId
    name: str


async def own_rooms(connection: Connection, tenant: TenantId, mxid: Mxid) -> list[OwnRoom]:
    """Return the rooms of a tenant in which somebody is at this moment."""
    rows = await connection.fetch(
        """
        SELECT mine.room_id, coalesce(other.name, wanted.name, portal.slug) AS name
        FROM room_member AS mine
        JOIN portal USING (room_id)
        LEFT JOIN directory_portal AS wanted
               ON wanted.tenant = portal.tenant AND wanted.kind = portal.kind
                  AND wanted.slug = portal.slug
        LEFT JOIN LATERAL (
            SELECT person.name
            FROM directory_member AS pair
            JOIN directory_user AS person
                 ON person.tenant = pair.tenant AND person.slug = pair.user_slug
            JOIN ghost ON ghost.tenant = pair.tenant AND ghost.slug = pair.user_slug
            WHERE portal.kind = 'direct' AND pair.tenant = portal.tenant
                  AND pair.kind = 'direct' AND pair.slug = portal.slug
                  AND ghost.mxid <> mine.mxid
            LIMIT 1
        ) AS other ON true
        WHERE portal.tenant = $1 AND mine.mxid = $2 AND mine.membership = 'join'
              AND NOT mine.barred
        """,
        tenant,
        mxid,
    )
    return [OwnRoom(**row) for row in rows]
