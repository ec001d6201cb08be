"""Addressees: the people of a room whom a message means to reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.ids import Mxid, RoomId, TenantId, UserSlug
from .database import Connection


@dataclass(frozen=True, slots=True)
class Addressee:
    """Somebody in a room. ``slug`` and ``name`` are None where OpenMeet and the room have none."""

    mxid: Mxid
    slug: UserSlug | None
    name: str | None


async def in_room(
    connection: Connection,
    tenant: TenantId,
    room_id: RoomId,
    mxids: Sequence[str],
    slugs: Sequence[str],
) -> list[Addressee]:
    """Return who of these people, by Matrix id or by slug, are in a room at this moment."""
    rows = await connection.fetch(
        """
        SELECT someone.mxid, ghost.slug, coalesce(directory_user.name, someone.name) AS name
        FROM portal
        JOIN room_member AS someone USING (room_id)
        LEFT JOIN ghost ON ghost.mxid = someone.mxid AND ghost.tenant = portal.tenant
        LEFT JOIN directory_user
               ON directory_user.tenant = ghost.tenant AND directory_user.slug = ghost.slug
        WHERE portal.tenant = $1 AND portal.room_id = $2
              AND someone.membership = 'join' AND NOT someone.barred
              AND (someone.mxid = ANY($3::text[]) OR ghost.slug = ANY($4::text[]))
        """,
        tenant,
        room_id,
        mxids,
        slugs,
    )
    return [Addressee(**dict(row)) for row in rows]
