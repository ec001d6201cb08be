"""Reading the log: the lines of timelines, the same for a page, a replay and a live stream.

What stands in the log is either a line, or it changes one: then the line is what is read.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import asyncpg
import msgspec

from ..core.ids import EventId, Mxid, Position, RoomId, TenantId
from ..core.visibility import EVERYTHING, HIGHEST, LOWEST, Readable
from .database import Connection


class Line(msgspec.Struct, frozen=True, gc=False):
    """A line of a room's timeline, and the place in the log at which it was found.

    Attributes:
        place: Of the entry that was found: the line itself, or what changed it.
        changed: Whether it was found by what changed it.
        revision: Of the last entry that changed it, or its own.
        related: Whether there are edits or reactions.
        content: Of the line as it came; ``{}`` once it was redacted.
        effect: 1 when somebody came in by it, -1 when somebody went out.
        room_open: Whether everybody who is in may read all that the log has of the room.
    """

    place: Position
    changed: bool
    tenant: TenantId
    room_id: RoomId
    event_id: EventId
    sort_key: int
    revision: int
    type: str
    state_key: str | None
    sender: Mxid
    timestamp: int
    content: bytes
    client_txn_id: str | None
    effect: int
    redacted_by: EventId | None
    related: bool
    sender_name: str | None
    sender_avatar: str | None
    sender_slug: str | None
    subject_name: str | None
    subject_avatar: str | None
    subject_slug: str | None
    room_kind: str | None
    room_name: str | None
    room_open: bool


# Who somebody is: OpenMeet's own profile for ghosts, what the room says for everybody else.
_COLUMNS = """
           log.tenant, log.room_id, log.event_id, log.sort_key,
           greatest(log.revision, log.position) AS revision, log.type,
           log.state_key, log.sender, log.timestamp, log.content, log.client_txn_id, log.effect,
           log.redacted_by, log.related,
           coalesce(sender_user.name, sender_member.name) AS sender_name,
           sender_user.avatar_url AS sender_avatar, sender_ghost.slug AS sender_slug,
           coalesce(target_user.name, target_member.name) AS subject_name,
           target_user.avatar_url AS subject_avatar,
           target_ghost.slug AS subject_slug,
           portal.kind AS room_kind, coalesce(directory_portal.name, portal.slug) AS room_name,
           coalesce(portal.open, true) AS room_open
"""
_SELECT = f"SELECT log.position AS place, false AS changed, {_COLUMNS}"
_JOINS = """
    LEFT JOIN ghost AS sender_ghost ON sender_ghost.mxid = log.sender
    LEFT JOIN directory_user AS sender_user
           ON sender_user.tenant = sender_ghost.tenant AND sender_user.slug = sender_ghost.slug
    LEFT JOIN room_member AS sender_member
           ON sender_member.room_id = log.room_id AND sender_member.mxid = log.sender
    LEFT JOIN ghost AS target_ghost
           ON log.type = 'm.room.member' AND target_ghost.mxid = log.state_key
    LEFT JOIN room_member AS target_member
           ON log.type = 'm.room.member' AND target_member.room_id = log.room_id
              AND target_member.mxid = log.state_key
    LEFT JOIN directory_user AS target_user
           ON target_user.tenant = target_ghost.tenant AND target_user.slug = target_ghost.slug
    LEFT JOIN portal ON portal.room_id = log.room_id
    LEFT JOIN directory_portal
           ON directory_portal.tenant = portal.tenant AND directory_portal.kind = portal.kind
              AND directory_portal.slug = portal.slug
"""


Missed = tuple[Line, bool]
"""A line, and whether it may be read as part of its room (or only be known as one's own)."""


async def after(
    connection: Connection, position: Position, limit: int
) -> tuple[list[Line], Position]:
    """Return the lines of all tenants that came or changed after a position, in log order.

    Returns:
        The lines, and up to which position they are everything there is. One statement reads
        both, and so at one moment.
    """
    rows = await connection.fetch(
        f"""
        SELECT head.position AS head, found.* FROM log_head AS head
        LEFT JOIN LATERAL (
            SELECT given.place, given.changed, {_COLUMNS} FROM (
                SELECT position AS place, room_id, coalesce(about, event_id) AS shown,
                       about IS NOT NULL AS changed
                FROM log WHERE position > $1 AND tenant IS NOT NULL ORDER BY position LIMIT $2
            ) AS given
            LEFT JOIN log ON log.event_id = given.shown AND log.room_id = given.room_id AND log.line
            {_JOINS}
        ) AS found ON true
        ORDER BY found.place
        """,  # noqa: S608  (constants only)
        position,
        limit,
    )
    found = [row for row in rows if row["place"] is not None]
    full = len(found) == limit
    return _lines(found), Position(found[-1]["place"] if full else rows[0]["head"])


async def for_replay(
    connection: Connection,
    tenant: TenantId,
    mxid: Mxid,
    after_position: Position,
    up_to: Position,
    limit: int,
    rooms: Collection[RoomId] | None = None,
) -> list[Missed]:
    """Return what somebody missed, in log order: of the rooms they are in now, since they are in.

    Their own comings and goings are part of it, also those of rooms that they are out of now, or
    that are none of ``rooms``; only the others they may read.
    """
    rows = await connection.fetch(
        f"""
        SELECT given.place, given.changed, given.readable, {_COLUMNS} FROM (
            SELECT log.position AS place, log.room_id, coalesce(log.about, log.event_id) AS shown,
                   log.about IS NOT NULL AS changed, true AS readable
            FROM room_member AS mine
            JOIN portal USING (room_id)
            JOIN log ON log.room_id = mine.room_id AND log.position >= mine.since
            WHERE mine.mxid = $2 AND mine.membership = 'join' AND NOT mine.barred
                  AND portal.tenant = $1 AND (log.line OR log.about IS NOT NULL)
                  AND log.position > $3 AND log.position <= $4
                  AND ($6::text[] IS NULL OR mine.room_id = ANY ($6))
            UNION ALL
            SELECT log.position, log.room_id, log.event_id, false, false FROM log
            WHERE log.state_key = $2 AND log.effect <> 0 AND log.tenant = $1
                  AND log.position > $3 AND log.position <= $4
                  AND NOT EXISTS (
                      SELECT FROM room_member AS mine JOIN portal USING (room_id)
                      WHERE mine.room_id = log.room_id AND mine.mxid = $2
                            AND mine.membership = 'join' AND NOT mine.barred
                            AND log.position >= mine.since
                            AND ($6::text[] IS NULL OR mine.room_id = ANY ($6))
                  )
        ) AS given
        JOIN log ON log.event_id = given.shown AND log.room_id = given.room_id AND log.line
        {_JOINS}
        ORDER BY given.place LIMIT $5
        """,  # noqa: S608
        tenant,
        mxid,
        after_position,
        up_to,
        limit,
        None if rooms is None else list(rooms),
    )
    return [(_line(row), row["readable"]) for row in rows]


async def page_before(
    connection: Connection,
    tenant: TenantId,
    room_id: RoomId,
    sort_key: int,
    limit: int,
    within: Readable = EVERYTHING,
) -> list[Line]:
    """Return the lines of a room just below a sort key that may be read, oldest first."""
    lows, highs = _spans(within, LOWEST, sort_key - 1)
    rows = await connection.fetch(
        f"""
        {_SELECT} FROM (
            SELECT part.* FROM unnest($3::bigint[], $4::bigint[]) AS span (low, high)
            CROSS JOIN LATERAL (
                SELECT * FROM log WHERE tenant = $1 AND room_id = $2 AND line
                    AND sort_key BETWEEN low AND high
                ORDER BY sort_key DESC LIMIT $5
            ) AS part ORDER BY part.sort_key DESC LIMIT $5
        ) AS log {_JOINS} ORDER BY log.sort_key
        """,  # noqa: S608
        tenant,
        room_id,
        lows,
        highs,
        limit,
    )
    return _lines(rows)


async def page_after(
    connection: Connection,
    tenant: TenantId,
    room_id: RoomId,
    sort_key: int,
    limit: int,
    within: Readable = EVERYTHING,
) -> list[Line]:
    """Return the lines of a room just above a sort key that may be read, oldest first."""
    lows, highs = _spans(within, sort_key + 1, HIGHEST)
    rows = await connection.fetch(
        f"""
        {_SELECT} FROM (
            SELECT part.* FROM unnest($3::bigint[], $4::bigint[]) AS span (low, high)
            CROSS JOIN LATERAL (
                SELECT * FROM log WHERE tenant = $1 AND room_id = $2 AND line
                    AND sort_key BETWEEN low AND high
                ORDER BY sort_key LIMIT $5
            ) AS part ORDER BY part.sort_key LIMIT $5
        ) AS log {_JOINS} ORDER BY log.sort_key
        """,  # noqa: S608
        tenant,
        room_id,
        lows,
        highs,
        limit,
    )
    return _lines(rows)


async def has_any(
    connection: Connection,
    tenant: TenantId,
    room_id: RoomId,
    low: int,
    high: int,
    within: Readable = EVERYTHING,
) -> bool:
    """Whether a room has a line between two sort keys, both included, that may be read."""
    lows, highs = _spans(within, low, high)
    return bool(
        await connection.fetchval(
            """
            SELECT true FROM unnest($3::bigint[], $4::bigint[]) AS span (low, high)
            CROSS JOIN LATERAL (
                SELECT FROM log WHERE tenant = $1 AND room_id = $2 AND line
                    AND sort_key BETWEEN low AND high LIMIT 1
            ) AS one LIMIT 1
            """,
            tenant,
            room_id,
            lows,
            highs,
        )
    )


def _spans(within: Readable, low: int, high: int) -> tuple[list[int], list[int]]:
    """Return the first and the last keys of what may be read between two keys."""
    parts = [(max(low, first), min(high, last)) for first, last in within.spans]
    parts = [(first, last) for first, last in parts if first <= last]
    return [first for first, _ in parts], [last for _, last in parts]


async def by_id(
    connection: Connection, wanted: Sequence[tuple[RoomId, EventId]]
) -> dict[tuple[RoomId, EventId], Line]:
    """Return these lines; those that are not in the log, or not of that room, are left out."""
    rows = await connection.fetch(
        f"""
        {_SELECT} FROM unnest($1::text[], $2::text[]) AS given (room_id, event_id)
        JOIN log ON log.event_id = given.event_id AND log.room_id = given.room_id AND log.line
        {_JOINS} WHERE log.tenant IS NOT NULL
        """,
        [room_id for room_id, _ in wanted],
        [event_id for _, event_id in wanted],
    )
    return {(line.room_id, line.event_id): line for line in _lines(rows)}


async def key_of(
    connection: Connection,
    tenant: TenantId,
    room_id: RoomId,
    event_id: EventId,
    *,
    line: bool = False,
) -> int | None:
    """Return where an event stands in a room's timeline; None where it is not in it.

    ``line``: it must be a line of it.
    """
    key: int | None = await connection.fetchval(
        """
        SELECT sort_key FROM log
        WHERE tenant = $1 AND room_id = $2 AND event_id = $3 AND (line OR NOT $4::boolean)
        """,
        tenant,
        room_id,
        event_id,
        line,
    )
    return key


async def key_at(
    connection: Connection, tenant: TenantId, room_id: RoomId, timestamp: int
) -> int | None:
    """Return where the first line of a room stands that says it is of this time or later.

    ``timestamp`` is in milliseconds. None where all lines are older.
    """
    key: int | None = await connection.fetchval(
        """
        SELECT sort_key FROM log
        WHERE tenant = $1 AND room_id = $2 AND line AND timestamp >= $3
        ORDER BY timestamp, sort_key LIMIT 1
        """,
        tenant,
        room_id,
        timestamp,
    )
    return key


def _lines(rows: Sequence[asyncpg.Record]) -> list[Line]:
    return [_line(row) for row in rows if row["event_id"] is not None]


def _line(row: asyncpg.Record) -> Line:
    return Line(*[row[name] for name in _FIELDS])


_FIELDS = Line.__struct_fields__
