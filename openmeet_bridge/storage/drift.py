"""Which portals and spaces a change on the Matrix side concerns."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from ..core.ids import Mxid, PortalKind, PortalRef, RoomId, TenantId
from .database import Connection


class Subject(NamedTuple):
    """What a job is for."""

    tenant: TenantId
    kind: str
    slug: str


async def concerned(
    connection: Connection,
    rooms: Collection[RoomId],
    moved: Collection[tuple[RoomId, Mxid]],
    came: Collection[tuple[RoomId, Mxid]],
) -> list[Subject]:
    """Return the portals and spaces that must be looked at.

    A room of which the directory has never said a word is left alone: after the loss of a
    database all rooms are such, until OpenMeet has said everything again.

    Args:
        connection: The database.
        rooms: Rooms whose state somebody changed.
        moved: Rooms, and whom somebody else moved in or out there; ghosts count.
        came: Rooms, and who came in there by themselves: ghosts that nothing in the directory
            puts there count.
    """
    rows = await connection.fetch(
        """
        WITH portal AS (
            SELECT * FROM portal AS bound WHERE EXISTS (
                SELECT FROM directory_portal AS known
                WHERE known.tenant = bound.tenant AND known.kind = bound.kind
                      AND known.slug = bound.slug
            )
        )
        SELECT tenant, kind, slug FROM portal WHERE room_id = ANY($1::text[])
        UNION
        SELECT portal.tenant, portal.kind, portal.slug
        FROM unnest($2::text[], $3::text[]) AS given (room_id, mxid)
        JOIN portal USING (room_id) JOIN ghost USING (mxid)
        UNION
        SELECT portal.tenant, portal.kind, portal.slug
        FROM unnest($4::text[], $5::text[]) AS given (room_id, mxid)
        JOIN portal USING (room_id) JOIN ghost USING (mxid)
        WHERE NOT EXISTS (
            SELECT FROM directory_member AS m
            WHERE m.tenant = portal.tenant AND m.kind = portal.kind AND m.slug = portal.slug
                  AND m.user_slug = ghost.slug AND portal.tenant = ghost.tenant
        ) AND NOT EXISTS (
            SELECT FROM directory_override AS o
            WHERE o.tenant = portal.tenant AND o.kind = portal.kind AND o.slug = portal.slug
                  AND o.user_slug = ghost.slug AND portal.tenant = ghost.tenant AND o.inside
        )
        UNION
        SELECT tenant, 'space', "group" FROM space
        WHERE room_id = ANY($1::text[]) OR room_id = ANY($2::text[])
        """,
        list(rooms),
        *_columns(moved),
        *_columns(came),
    )
    return [Subject(row["tenant"], row["kind"], row["slug"]) for row in rows]


async def tombstones(connection: Connection) -> list[tuple[PortalRef, bytes]]:
    """Return the portals whose room has a tombstone, which is read by the caller."""
    rows = await connection.fetch(
        """
        SELECT tenant, kind, slug, content FROM room_state JOIN portal USING (room_id)
        WHERE type = 'm.room.tombstone' AND state_key = ''
        """
    )
    return [
        (PortalRef(row["tenant"], PortalKind(row["kind"]), row["slug"]), row["content"])
        for row in rows
    ]


def _columns(pairs: Collection[tuple[RoomId, Mxid]]) -> tuple[list[RoomId], list[Mxid]]:
    ordered = list(pairs)
    return [room_id for room_id, _ in ordered], [mxid for _, mxid in ordered]
