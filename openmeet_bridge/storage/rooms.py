"""What the log says of rooms: which portal they are, who is in them, their present state."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import asyncpg

from ..core.events import CREATE, POWER_LEVELS
from ..core.ids import Mxid, PortalKind, PortalRef, Position, RoomId, TenantId
from ..core.naming import direct_pair
from . import jobs, visibility
from .database import Connection, certain
from .texts import UNPACKED, packed


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody's membership in a room, as the newest member event has it."""

    room_id: RoomId
    mxid: Mxid
    membership: str
    name: str | None
    avatar_url: str | None
    since: Position
    since_key: int
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
    """Make a room the room of a portal; False where either is taken, or the room was left.

    The two people of a direct chat have it in their lists then: their jobs are wanted.
    """
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
    bound = bool(done == "INSERT 0 1")
    if bound:
        await visibility.note(connection, [room_id])
        await _directs_changed(connection, ref)
    return bound


async def _directs_changed(connection: Connection, ref: PortalRef) -> None:
    if ref.kind is PortalKind.DIRECT:
        for slug in direct_pair(ref.slug):
            await jobs.want(connection, ref.tenant, "user", slug)


async def bar(
    connection: Connection, pairs: Sequence[tuple[RoomId, Mxid]]
) -> list[tuple[Mxid, RoomId]]:
    """Keep people out of rooms from now on, until the homeserver shows them out.

    Args:
        connection: The database.
        pairs: Who and where, in order: as :func:`save_members` locks the same rows.

    Returns:
        Those who were in.
    """
    if not pairs:
        return []
    rows = await connection.fetch(
        """
        WITH locked AS (
            SELECT room_id, mxid FROM room_member
            JOIN unnest($1::text[], $2::text[]) WITH ORDINALITY AS given (room_id, mxid, number)
                 USING (room_id, mxid)
            WHERE membership = 'join' AND NOT barred
            ORDER BY number FOR UPDATE OF room_member
        )
        UPDATE room_member SET barred = true FROM locked
        WHERE room_member.room_id = locked.room_id AND room_member.mxid = locked.mxid
        RETURNING room_member.mxid, room_member.room_id
        """,
        [room_id for room_id, _ in pairs],
        [mxid for _, mxid in pairs],
    )
    return [(Mxid(row["mxid"]), RoomId(row["room_id"])) for row in rows]


async def barred(connection: Connection, mxids: Sequence[Mxid]) -> list[tuple[Mxid, RoomId]]:
    """Return the rooms from which these people are kept out, but not shown out yet."""
    rows = await connection.fetch(
        "SELECT mxid, room_id FROM room_member WHERE barred AND mxid = ANY($1::text[])", mxids
    )
    return [(Mxid(row["mxid"]), RoomId(row["room_id"])) for row in rows]


async def unbind(
    connection: Connection, room_id: RoomId, reason: str, successor: RoomId | None = None
) -> None:
    """Part a room from its portal for good. Its entries keep their tenant.

    The two people of a direct chat have it in their lists no longer: their jobs are wanted.

    Args:
        connection: The database.
        room_id: The room.
        reason: ``closed``, ``upgraded`` or ``merged``.
        successor: The portal's new room.
    """
    row = await connection.fetchrow(
        """
        WITH gone AS (DELETE FROM portal WHERE room_id = $1 RETURNING *), noted AS (
            INSERT INTO former_room (room_id, tenant, kind, slug, reason, successor)
            SELECT room_id, tenant, kind, slug, $2, $3 FROM gone
            ON CONFLICT (room_id) DO NOTHING
        )
        SELECT tenant, kind, slug FROM gone
        """,
        room_id,
        reason,
        successor,
    )
    if row is not None:
        ref = PortalRef(TenantId(row["tenant"]), PortalKind(row["kind"]), row["slug"])
        await _directs_changed(connection, ref)


async def owner(connection: Connection, room_id: RoomId) -> PortalRef | None:
    """Return which portal a room is, whatever its tenant."""
    row = await connection.fetchrow(
        "SELECT tenant, kind, slug FROM portal WHERE room_id = $1", room_id
    )
    return PortalRef(row["tenant"], PortalKind(row["kind"]), row["slug"]) if row else None


async def is_taken(connection: Connection, room_id: RoomId) -> bool:
    """Whether a room is, or was, the room of a portal, or is a space."""
    return bool(
        await connection.fetchval(
            """
            SELECT true WHERE EXISTS (SELECT FROM portal WHERE room_id = $1)
                           OR EXISTS (SELECT FROM former_room WHERE room_id = $1)
                           OR EXISTS (SELECT FROM space WHERE room_id = $1)
            """,
            room_id,
        )
    )


async def retire(
    connection: Connection, room_id: RoomId, ref: PortalRef, reason: str, successor: RoomId
) -> None:
    """Note that a room which no portal has leads to a portal's room, and never is one itself."""
    await connection.execute(
        """
        INSERT INTO former_room (room_id, tenant, kind, slug, reason, successor)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (room_id) DO UPDATE SET
            tenant = excluded.tenant, kind = excluded.kind, slug = excluded.slug,
            reason = excluded.reason, successor = excluded.successor, at = now()
        """,
        room_id,
        *ref,
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


async def our_people(
    connection: Connection, room_ids: Sequence[RoomId]
) -> dict[RoomId, list[Mxid]]:
    """Return which of OpenMeet's users are in these rooms now."""
    rows = await connection.fetch(
        """
        SELECT room_id, mxid FROM room_member JOIN ghost USING (mxid)
        WHERE room_id = ANY($1::text[]) AND membership = 'join' AND NOT barred
        """,
        room_ids,
    )
    found: dict[RoomId, list[Mxid]] = {}
    for row in rows:
        found.setdefault(row["room_id"], []).append(row["mxid"])
    return found


async def standings(
    connection: Connection, people: Sequence[tuple[TenantId, Mxid]]
) -> list[tuple[Position, list[RoomId]]]:
    """Return for each person the end of the log, and the rooms of the tenant in which they are.

    It is one statement, so that both are of the same moment.
    """
    rows = await connection.fetch(
        """
        SELECT head.position, ARRAY(
            SELECT room_id FROM room_member JOIN portal USING (room_id)
            WHERE mxid = given.mxid AND membership = 'join' AND tenant = given.tenant AND NOT barred
        ) AS rooms
        FROM log_head AS head,
             unnest($1::text[], $2::text[]) WITH ORDINALITY AS given (tenant, mxid, number)
        ORDER BY number
        """,
        [tenant for tenant, _ in people],
        [mxid for _, mxid in people],
    )
    return [(Position(row["position"]), row["rooms"]) for row in rows]


async def save_members(connection: Connection, rows: Sequence[Member]) -> None:
    """Write memberships, the newest of each person and room.

    Who was barred and has come in anew since, perhaps in the same batch, is so no longer.
    """
    # Whoever locks several of these rows does it in this order.
    rows = sorted(rows, key=lambda row: (row.room_id, row.mxid))
    await connection.execute(
        """
        INSERT INTO room_member (room_id, mxid, membership, name, avatar_url, since, since_key,
                                 sort_key)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],
                             $6::bigint[], $7::bigint[], $8::bigint[])
        ON CONFLICT (room_id, mxid) DO UPDATE SET
            membership = excluded.membership, name = excluded.name,
            avatar_url = excluded.avatar_url, since = excluded.since,
            since_key = excluded.since_key, sort_key = excluded.sort_key,
            barred = room_member.barred AND excluded.membership = 'join'
                     AND excluded.since = room_member.since
        """,
        [row.room_id for row in rows],
        [row.mxid for row in rows],
        [row.membership for row in rows],
        [row.name for row in rows],
        [row.avatar_url for row in rows],
        [row.since for row in rows],
        [row.since_key for row in rows],
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


async def power(connection: Connection, room_id: RoomId) -> tuple[bytes | None, Mxid, bytes]:
    """Return what says who has which power in a room.

    Returns:
        The content of its power levels, who made the room, and the content of its first event.
    """
    row = await connection.fetchrow(
        """
        SELECT levels.content AS levels, made.sender, made.content FROM (SELECT $1::text) AS given
        LEFT JOIN room_state AS levels ON levels.room_id = $1 AND levels.state_key = ''
                                      AND levels.type = 'm.room.power_levels'
        LEFT JOIN room_state AS made ON made.room_id = $1 AND made.state_key = ''
                                    AND made.type = 'm.room.create'
        """,
        room_id,
    )
    found = certain(row, "one row is given")
    return found["levels"], Mxid(found["sender"] or ""), found["content"] or b"{}"


async def power_levels(connection: Connection, room_ids: Collection[RoomId]) -> dict[RoomId, bytes]:
    """Return the contents of ``m.room.power_levels`` of rooms, as far as they are known."""
    return {one: content for one, _, content in await _state_of(connection, POWER_LEVELS, room_ids)}


async def creations(
    connection: Connection, room_ids: Collection[RoomId]
) -> dict[RoomId, tuple[Mxid, bytes]]:
    """Return who made rooms, and the contents of ``m.room.create``, as far as they are known."""
    found = await _state_of(connection, CREATE, room_ids)
    return {one: (sender, content) for one, sender, content in found}


async def _state_of(
    connection: Connection, event_type: str, room_ids: Collection[RoomId]
) -> list[asyncpg.Record]:
    return await connection.fetch(
        f"""
        SELECT room_id, sender, content FROM room_state
        WHERE room_id = ANY({UNPACKED.format(1)}) AND type = $2 AND state_key = ''
        """,  # noqa: S608  (constants only)
        packed(sorted(room_ids)),
        event_type,
    )


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
