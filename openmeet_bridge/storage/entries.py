"""Reading the log: rows become entries, the same for a page, a replay and a live stream."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import msgspec

from ..core.cursor import order_text
from ..core.entry import Entry, LogEntry, MembershipEffect, Person, fallback_name
from ..core.events import MEMBER, MEMBER_CONTENT, MemberContent, text_or_none
from ..core.ids import EventId, Mxid, Position, RoomId, TenantId
from .database import Connection

# Who somebody is: OpenMeet's own profile for ghosts, what the room says for everybody else.
_SELECT = """
    SELECT log.position, log.tenant, log.room_id, log.event_id, log.sort_key, log.type,
           log.state_key, log.sender, log.timestamp, log.content, log.client_txn_id, log.effect,
           log.redacted_by IS NOT NULL AS redacted,
           coalesce(sender_user.name, sender_member.name) AS sender_name,
           sender_user.avatar_url AS sender_avatar, sender_ghost.slug AS sender_slug,
           coalesce(target_user.name, target_member.name) AS target_name,
           target_user.avatar_url AS target_avatar,
           target_ghost.slug AS target_slug,
           portal.kind, coalesce(directory_portal.name, portal.slug) AS room_name
"""
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


Missed = tuple[LogEntry, bool]
"""An entry, and whether it may be read as part of its room (or only be known as one's own)."""


async def after(
    connection: Connection, position: Position, limit: int
) -> tuple[list[LogEntry], Position]:
    """Return the entries of all tenants that follow a position, in log order. For the hub.

    Returns:
        The entries, and up to which position they are everything there is. One statement reads
        both, and so at one moment.
    """
    rows = await connection.fetch(
        f"""
        SELECT head.position AS head, found.* FROM log_head AS head
        LEFT JOIN LATERAL (
            {_SELECT} FROM log {_JOINS}
            WHERE log.position > $1 AND log.tenant IS NOT NULL
            ORDER BY log.position LIMIT $2
        ) AS found ON true
        ORDER BY found.position
        """,  # noqa: S608  (constants only)
        position,
        limit,
    )
    entries = [_log_entry(row) for row in rows if row["position"] is not None]
    full = len(entries) == limit
    return entries, entries[-1].position if full else Position(rows[0]["head"])


async def for_replay(
    connection: Connection,
    tenant: TenantId,
    mxid: Mxid,
    after_position: Position,
    up_to: Position,
    limit: int,
) -> list[Missed]:
    """Return what somebody missed, in log order: of the rooms they are in now, since they are in.

    Their own comings and goings are part of it, also those of rooms that they are out of now;
    only the former they may read.
    """
    rows = await connection.fetch(
        f"""
        {_SELECT}, log.readable FROM (
            SELECT log.*, true AS readable FROM room_member AS mine
            JOIN portal USING (room_id)
            JOIN log ON log.room_id = mine.room_id AND log.position >= mine.since
            WHERE mine.mxid = $2 AND mine.membership = 'join' AND NOT mine.barred
                  AND portal.tenant = $1
                  AND log.position > $3 AND log.position <= $4
            UNION ALL
            SELECT log.*, false FROM log
            WHERE log.state_key = $2 AND log.effect <> 0 AND log.tenant = $1
                  AND log.position > $3 AND log.position <= $4
                  AND NOT EXISTS (
                      SELECT FROM room_member AS mine JOIN portal USING (room_id)
                      WHERE mine.room_id = log.room_id AND mine.mxid = $2
                            AND mine.membership = 'join' AND NOT mine.barred
                            AND log.position >= mine.since
                  )
        ) AS log {_JOINS}
        ORDER BY log.position LIMIT $5
        """,  # noqa: S608
        tenant,
        mxid,
        after_position,
        up_to,
        limit,
    )
    return [(_log_entry(row), row["readable"]) for row in rows]


async def page_before(
    connection: Connection, tenant: TenantId, room_id: RoomId, sort_key: int, limit: int
) -> list[Entry]:
    """Return the entries of a room just below a sort key, oldest first."""
    rows = await connection.fetch(
        f"""
        {_SELECT} FROM (
            SELECT * FROM log WHERE tenant = $1 AND room_id = $2 AND sort_key < $3
            ORDER BY sort_key DESC LIMIT $4
        ) AS log {_JOINS} ORDER BY log.sort_key
        """,  # noqa: S608
        tenant,
        room_id,
        sort_key,
        limit,
    )
    return [_log_entry(row).entry for row in rows]


async def page_after(
    connection: Connection, tenant: TenantId, room_id: RoomId, sort_key: int, limit: int
) -> list[Entry]:
    """Return the entries of a room just above a sort key, oldest first."""
    rows = await connection.fetch(
        f"""
        {_SELECT} FROM (
            SELECT * FROM log WHERE tenant = $1 AND room_id = $2 AND sort_key > $3
            ORDER BY sort_key LIMIT $4
        ) AS log {_JOINS} ORDER BY log.sort_key
        """,  # noqa: S608
        tenant,
        room_id,
        sort_key,
        limit,
    )
    return [_log_entry(row).entry for row in rows]


async def sort_key_of(
    connection: Connection, tenant: TenantId, room_id: RoomId, event_id: EventId
) -> int | None:
    """Return where an event stands in a room's timeline; None where it is not in it."""
    key: int | None = await connection.fetchval(
        "SELECT sort_key FROM log WHERE tenant = $1 AND room_id = $2 AND event_id = $3",
        tenant,
        room_id,
        event_id,
    )
    return key


async def last_messages(
    connection: Connection, tenant: TenantId, room_ids: Sequence[RoomId]
) -> dict[RoomId, Entry]:
    """Return the newest message of each room."""
    rows = await connection.fetch(
        f"""
        {_SELECT} FROM unnest($2::text[]) AS given (room_id)
        CROSS JOIN LATERAL (
            SELECT * FROM log WHERE log.room_id = given.room_id AND log.counted
            ORDER BY sort_key DESC LIMIT 1
        ) AS log {_JOINS}
        WHERE log.tenant = $1
        """,  # noqa: S608
        tenant,
        room_ids,
    )
    return {row["room_id"]: _log_entry(row).entry for row in rows}


def _log_entry(row: asyncpg.Record) -> LogEntry:
    sender = Mxid(row["sender"])
    name = row["sender_name"] or fallback_name(sender)
    subject = _subject(row) if row["type"] == MEMBER and row["state_key"] else None
    entry = Entry(
        event_id=EventId(row["event_id"]),
        room_id=RoomId(row["room_id"]),
        order=order_text(row["sort_key"]),
        type=row["type"],
        sender=Person(sender, name, row["sender_avatar"], row["sender_slug"]),
        timestamp=row["timestamp"],
        content=msgspec.Raw(row["content"]),
        redacted=row["redacted"],
        state_key=row["state_key"],
        client_txn_id=row["client_txn_id"],
        subject=subject,
    )
    effect = _effect(row, subject) if row["effect"] and subject else None
    return LogEntry(Position(row["position"]), TenantId(row["tenant"]), entry, effect)


def _subject(row: asyncpg.Record) -> Person:
    mxid = Mxid(row["state_key"])
    name = row["target_name"] or _member_content(row).name or fallback_name(mxid)
    return Person(mxid, name, row["target_avatar"], row["target_slug"])


def _effect(row: asyncpg.Record, subject: Person) -> MembershipEffect:
    content, joined = _member_content(row), row["effect"] > 0
    # A coming that turned out to be overtaken by a going says so itself: its content is no help.
    overturned = joined != (content.membership == "join")
    return MembershipEffect(
        user=subject,
        joined=joined,
        membership="leave" if overturned else content.membership,
        by_self=row["sender"] == subject.mxid and not overturned,
        reason=None if overturned else text_or_none(content.reason),
        room_kind=row["kind"] or "",
        room_name=row["room_name"] or "",
    )


def _member_content(row: asyncpg.Record) -> MemberContent:
    try:
        return MEMBER_CONTENT.decode(row["content"])
    except msgspec.ValidationError:  # redacted since; what it did is known all the same
        return MemberContent(membership="join" if row["effect"] > 0 else "leave")
