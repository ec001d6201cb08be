"""Spaces: which room is the space of a tenant or a group, and what the log shows of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.ids import Mxid, PortalKind, PortalRef, RoomId, TenantId
from .database import Connection


@dataclass(frozen=True, slots=True)
class Space:
    """The space of a group; of the whole tenant, where ``group`` is empty."""

    tenant: TenantId
    group: str
    room_id: RoomId
    listed: bool = False


async def get(connection: Connection, tenant: TenantId, group: str) -> Space | None:
    """Return a space that was made."""
    row = await connection.fetchrow(
        'SELECT * FROM space WHERE tenant = $1 AND "group" = $2', tenant, group
    )
    return Space(**dict(row)) if row else None


async def of_room(connection: Connection, room_id: RoomId) -> Space | None:
    """Return the space that a room is."""
    row = await connection.fetchrow("SELECT * FROM space WHERE room_id = $1", room_id)
    return Space(**dict(row)) if row else None


async def of_groups(connection: Connection, tenant: TenantId) -> list[Space]:
    """Return the spaces of a tenant's groups."""
    rows = await connection.fetch(
        """SELECT * FROM space WHERE tenant = $1 AND "group" <> '' """, tenant
    )
    return [Space(**dict(row)) for row in rows]


async def put(connection: Connection, space: Space) -> None:
    """Write which room is a space, and whether it is listed."""
    await connection.execute(
        """
        INSERT INTO space (tenant, "group", room_id, listed) VALUES ($1, $2, $3, $4)
        ON CONFLICT (tenant, "group") DO UPDATE SET
            room_id = excluded.room_id, listed = excluded.listed
        """,
        space.tenant,
        space.group,
        space.room_id,
        space.listed,
    )


async def delete(connection: Connection, room_id: RoomId) -> None:
    """Let a room be no space any more."""
    await connection.execute("DELETE FROM space WHERE room_id = $1", room_id)


async def rooms(
    connection: Connection, tenant: TenantId, refs: Sequence[PortalRef]
) -> dict[PortalRef, RoomId]:
    """Return the rooms of some portals of a tenant; who has none is left out."""
    rows = await connection.fetch(
        """
        SELECT kind, slug, room_id FROM portal
        JOIN unnest($2::text[], $3::text[]) AS given (kind, slug) USING (kind, slug)
        WHERE tenant = $1
        """,
        tenant,
        [ref.kind.value for ref in refs],
        [ref.slug for ref in refs],
    )
    return {PortalRef(tenant, PortalKind(row["kind"]), row["slug"]): row["room_id"] for row in rows}


async def state(connection: Connection, room_id: RoomId) -> Sequence[tuple[str, str, bytes]]:
    """Return the kept state of a room: type, state key, content."""
    rows = await connection.fetch(
        "SELECT type, state_key, content FROM room_state WHERE room_id = $1", room_id
    )
    return [(row["type"], row["state_key"], row["content"]) for row in rows]


async def ghosts_in(connection: Connection, room_id: RoomId) -> dict[Mxid, str]:
    """Return the membership of every ghost that appears in a room."""
    rows = await connection.fetch(
        """
        SELECT mxid, membership FROM room_member
        WHERE room_id = $1 AND EXISTS (SELECT FROM ghost WHERE ghost.mxid = room_member.mxid)
        """,
        room_id,
    )
    return {row["mxid"]: row["membership"] for row in rows}


async def people_in(connection: Connection, room_id: RoomId, bot: Mxid) -> list[Mxid]:
    """Return all but the bot who are in a room, or could come in."""
    rows = await connection.fetch(
        """
        SELECT mxid FROM room_member
        WHERE room_id = $1 AND mxid <> $2 AND membership IN ('join', 'invite', 'knock')
        ORDER BY mxid
        """,
        room_id,
        bot,
    )
    return [row["mxid"] for row in rows]


async def parents(
    connection: Connection, space_room: RoomId, bot: Mxid
) -> Sequence[tuple[RoomId, bytes]]:
    """Return what rooms say of belonging to a space, where the bot is still in them."""
    rows = await connection.fetch(
        """
        SELECT state.room_id, state.content FROM room_state AS state
        JOIN room_member AS member ON member.room_id = state.room_id AND member.mxid = $2
             AND member.membership = 'join'
        WHERE state.type = 'm.space.parent' AND state.state_key = $1
        """,
        space_room,
        bot,
    )
    return [(row["room_id"], row["content"]) for row in rows]


async def ghosts_of(connection: Connection, tenant: TenantId) -> dict[str, Mxid]:
    """Return the ghosts of a tenant's active users, by slug."""
    rows = await connection.fetch(
        """
        SELECT slug, ghost.mxid FROM directory_user JOIN ghost USING (tenant, slug)
        WHERE tenant = $1 AND directory_user.active AND ghost.erased_at IS NULL
        """,
        tenant,
    )
    return {row["slug"]: row["mxid"] for row in rows}
