"""What the log says of rooms: which portal they are, who is in them, their present state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.ids import Mxid, PortalKind, PortalRef, Position, RoomId, TenantId
from .database import Connection


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody's membership in a room, as the newest member event has it."""

    room_id: RoomId
    mxid: Mxid
    membership: str
    name: str | None
    avatar_url: str | None
    since: Position
    sort_key: int
    barred: bool = False
    """Out by OpenMeet's word, whatever the homeserver knows yet."""


@dataclass(frozen=True, slots=True)
class State:
    """One event of a room's present state."""

    room_id: RoomId
    type: str
    state_key: str
    sender: Mxid
    sort_key: int
    content: bytes


async def portal(connection: Connection, tenant: TenantId, room_id: RoomId) -> PortalRef | None:
    """Return which portal of a tenant a room is."""
    row = await connection.fetchrow(
        "SELECT kind, slug FROM portal WHERE tenant = $1 AND room_id = $2", tenant, room_id
    )
    return PortalRef(tenant, PortalKind(row["kind"]), row["slug"]) if row else None


async def room_of(connection: Connection, ref: PortalRef) -> RoomId | None:
    """Return the room of a portal."""
    room_id = await connection.fetchval(
        "SELECT room_id FROM portal WHERE tenant = $1 AND kind = $2 AND slug = $3", *ref
    )
    return RoomId(room_id) if room_id else None


async def bind(connection: Connection, room_id: RoomId, ref: PortalRef) -> bool:
    """Make a room the room of a portal; False where either is taken, or the room was left."""
    done = await connection.execute(
        """
        INSERT INTO portal (room_id, tenant, kind, slug)
        SELECT $1, $2, $3, $4
        WHERE NOT EXISTS (SELECT FROM former_room WHERE room_id = $1)
        ON CONFLICT DO NOTHING
        """,
        room_id,
        *ref,
    )
    return bool(done == "INSERT 0 1")


async def bar(connection: Connection, ref: PortalRef, mxid: Mxid) -> RoomId | None:
    """Keep somebody out of a portal's room from now on, until the homeserver shows them out.

    Returns:
        The room, where the person was in it.
    """
    room_id: str | None = await connection.fetchval(
        """
        UPDATE room_member SET barred = true FROM portal
        WHERE portal.room_id = room_member.room_id AND portal.tenant = $1 AND portal.kind = $2
              AND portal.slug = $3 AND room_member.mxid = $4 AND membership = 'join'
              AND NOT barred
        RETURNING room_member.room_id
        """,
        *ref,
        mxid,
    )
    return RoomId(room_id) if room_id else None


async def unbind(
    connection: Connection, room_id: RoomId, reason: str, successor: RoomId | None = None
) -> None:
    """Part a room from its portal for good. Its entries keep their tenant.

    Args:
        connection: The database.
        room_id: The room.
        reason: ``closed``, ``upgraded`` or ``merged``.
        successor: The portal's new room.
    """
    await connection.execute(
        """
        WITH gone AS (DELETE FROM portal WHERE room_id = $1 RETURNING *)
        INSERT INTO former_room (room_id, tenant, kind, slug, reason, successor)
        SELECT room_id, tenant, kind, slug, $2, $3 FROM gone
        ON CONFLICT (room_id) DO NOTHING
        """,
        room_id,
        reason,
        successor,
    )


async def members(
    connection: Connection, pairs: Sequence[tuple[RoomId, Mxid]]
) -> dict[tuple[RoomId, Mxid], Member]:
    """Return the memberships of these people in these rooms."""
    rows = await connection.fetch(
        """
        SELECT room_member.* FROM room_member
        JOIN unnest($1::text[], $2::text[]) AS given (room_id, mxid) USING (room_id, mxid)
        """,
        [room_id for room_id, _ in pairs],
        [mxid for _, mxid in pairs],
    )
    return {(row["room_id"], row["mxid"]): Member(**dict(row)) for row in rows}


async def room_members(connection: Connection, room_id: RoomId) -> list[Member]:
    """Return everybody who has a membership in a room, those who left included."""
    rows = await connection.fetch("SELECT * FROM room_member WHERE room_id = $1", room_id)
    return [Member(**dict(row)) for row in rows]


async def is_joined(connection: Connection, tenant: TenantId, room_id: RoomId, mxid: Mxid) -> bool:
    """Whether somebody is in a room of a tenant at this moment."""
    return bool(
        await connection.fetchval(
            """
            SELECT true FROM portal JOIN room_member USING (room_id)
            WHERE tenant = $1 AND room_id = $2 AND mxid = $3 AND membership = 'join'
                  AND NOT barred
            """,
            tenant,
            room_id,
            mxid,
        )
    )


async def joined_rooms(
    connection: Connection, tenant: TenantId, mxid: Mxid
) -> dict[RoomId, Position]:
    """Return the rooms of a tenant in which somebody is, and since which position."""
    rows = await connection.fetch(
        """
        SELECT room_id, since FROM room_member JOIN portal USING (room_id)
        WHERE mxid = $2 AND membership = 'join' AND tenant = $1 AND NOT barred
        """,
        tenant,
        mxid,
    )
    return {row["room_id"]: Position(row["since"]) for row in rows}


async def save_members(connection: Connection, rows: Sequence[Member]) -> None:
    """Write memberships, the newest of each person and room."""
    await connection.execute(
        """
        INSERT INTO room_member (room_id, mxid, membership, name, avatar_url, since, sort_key)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],
                             $6::bigint[], $7::bigint[])
        ON CONFLICT (room_id, mxid) DO UPDATE SET
            membership = excluded.membership, name = excluded.name,
            avatar_url = excluded.avatar_url, since = excluded.since,
            sort_key = excluded.sort_key,
            barred = room_member.barred AND excluded.membership = 'join'
        """,
        [row.room_id for row in rows],
        [row.mxid for row in rows],
        [row.membership for row in rows],
        [row.name for row in rows],
        [row.avatar_url for row in rows],
        [row.since for row in rows],
        [row.sort_key for row in rows],
    )


async def save_state(connection: Connection, rows: Sequence[State]) -> None:
    """Write state, where it is newer than what is kept."""
    await connection.execute(
        """
        INSERT INTO room_state (room_id, type, state_key, sender, sort_key, content)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[],
                             $6::bytea[])
        ON CONFLICT (room_id, type, state_key) DO UPDATE SET
            sender = excluded.sender, sort_key = excluded.sort_key, content = excluded.content
        WHERE excluded.sort_key >= room_state.sort_key
        """,
        [row.room_id for row in rows],
        [row.type for row in rows],
        [row.state_key for row in rows],
        [row.sender for row in rows],
        [row.sort_key for row in rows],
        [row.content for row in rows],
    )


async def state(
    connection: Connection, room_id: RoomId, event_type: str, state_key: str = ""
) -> bytes | None:
    """Return the content of a room's present state of a type."""
    content: bytes | None = await connection.fetchval(
        "SELECT content FROM room_state WHERE room_id = $1 AND type = $2 AND state_key = $3",
        room_id,
        event_type,
        state_key,
    )
    return content


async def rebuild_state(
    connection: Connection, room_id: RoomId, keys: Sequence[tuple[str, str]]
) -> None:
    """Make kept state anew from the log, after entries changed places: ``(type, state_key)``."""
    await connection.execute(
        """
        UPDATE room_state SET sender = newest.sender, sort_key = newest.sort_key,
                              content = newest.content
        FROM (
            SELECT DISTINCT ON (type, state_key) type, state_key, sender, sort_key, content
            FROM log JOIN unnest($2::text[], $3::text[]) AS given (type, state_key)
                 USING (type, state_key)
            WHERE room_id = $1
            ORDER BY type, state_key, sort_key DESC
        ) AS newest
        WHERE room_state.room_id = $1 AND room_state.type = newest.type
              AND room_state.state_key = newest.state_key
        """,
        room_id,
        [event_type for event_type, _ in keys],
        [key for _, key in keys],
    )
