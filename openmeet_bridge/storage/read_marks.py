"""How far everybody has read every room, and how far others may know that they have.

What others know never goes further than what was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.ids import EventId, Mxid, RoomId
from .database import Connection


@dataclass(frozen=True, slots=True)
class ReadMark:
    """Somebody has read a room up to and including an event."""

    room_id: RoomId
    mxid: Mxid
    event_id: EventId
    timestamp: int


Placed = tuple[ReadMark, int]
"""A mark, and the sort key of its event."""

_COLUMNS = """
    (room_id, mxid, event_id, sort_key, timestamp, shown_event_id, shown_sort_key, shown_timestamp)
"""
_OPENLY = """
    ON CONFLICT (room_id, mxid) DO UPDATE SET
        event_id = CASE WHEN excluded.sort_key > read_mark.sort_key
                        THEN excluded.event_id ELSE read_mark.event_id END,
        timestamp = CASE WHEN excluded.sort_key > read_mark.sort_key
                         THEN excluded.timestamp ELSE read_mark.timestamp END,
        sort_key = greatest(excluded.sort_key, read_mark.sort_key),
        shown_event_id = excluded.event_id, shown_sort_key = excluded.sort_key,
        shown_timestamp = excluded.timestamp
    WHERE read_mark.shown_sort_key IS NULL OR excluded.sort_key > read_mark.shown_sort_key
    RETURNING room_id, mxid, shown_event_id AS event_id, shown_timestamp AS timestamp,
              shown_sort_key AS sort_key
"""
_PRIVATELY = """
    ON CONFLICT (room_id, mxid) DO UPDATE SET
        event_id = excluded.event_id, sort_key = excluded.sort_key,
        timestamp = excluded.timestamp
    WHERE excluded.sort_key > read_mark.sort_key
    RETURNING room_id, mxid, event_id, timestamp, sort_key
"""


async def raise_marks(
    connection: Connection, marks: Sequence[ReadMark], *, private: bool = False
) -> list[Placed]:
    """Move marks forward, never back; return those that moved, with their sort keys.

    A mark at an event that is not in the log of that room is left out.

    Args:
        connection: A transaction.
        marks: Who has read what.
        private: Others are not to know: only what is unread changes.
    """
    shown = "NULL, NULL, NULL" if private else "event_id, sort_key, timestamp"
    rows = await connection.fetch(
        f"""
        INSERT INTO read_mark {_COLUMNS}
        SELECT room_id, mxid, event_id, sort_key, timestamp, {shown} FROM (
            SELECT DISTINCT ON (log.room_id, given.mxid)
                   log.room_id, given.mxid, log.event_id, log.sort_key, given.timestamp
            FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
                 AS given (room_id, mxid, event_id, timestamp)
            JOIN log USING (room_id, event_id)
            ORDER BY log.room_id, given.mxid, log.sort_key DESC
        ) AS furthest
        {_PRIVATELY if private else _OPENLY}
        """,  # noqa: S608  (constants only)
        [mark.room_id for mark in marks],
        [mark.mxid for mark in marks],
        [mark.event_id for mark in marks],
        [mark.timestamp for mark in marks],
    )
    return [
        (ReadMark(row["room_id"], row["mxid"], row["event_id"], row["timestamp"]), row["sort_key"])
        for row in rows
    ]


async def raise_said(connection: Connection, said: Sequence[Placed]) -> list[tuple[RoomId, Mxid]]:
    """Let people have read up to what they said themselves; return whose marks moved.

    Args:
        connection: A transaction.
        said: Of each person and room the last message.
    """
    rows = await connection.fetch(
        f"""
        WITH given AS (
            SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
                AS given (room_id, mxid, event_id, sort_key, timestamp)
        ), cleared AS (
            DELETE FROM unread_flag USING given
            WHERE unread_flag.room_id = given.room_id AND unread_flag.mxid = given.mxid
        )
        INSERT INTO read_mark {_COLUMNS}
        SELECT room_id, mxid, event_id, sort_key, timestamp, event_id, sort_key, timestamp
        FROM given {_OPENLY}
        """,  # noqa: S608
        [mark.room_id for mark, _ in said],
        [mark.mxid for mark, _ in said],
        [mark.event_id for mark, _ in said],
        [sort_key for _, sort_key in said],
        [mark.timestamp for mark, _ in said],
    )
    return [(row["room_id"], row["mxid"]) for row in rows]


async def follow(
    connection: Connection, room_ids: Sequence[RoomId], moved: Sequence[EventId]
) -> None:
    """Let marks stand where their events stand now, after entries changed places.

    Nobody's own message is unread for them afterwards. What lies below the last messages that the
    room's summary keeps, changes no count.
    """
    for prefix in ("", "shown_"):
        await connection.execute(
            f"""
            UPDATE read_mark SET {prefix}sort_key = log.sort_key FROM log
            WHERE read_mark.room_id = ANY($1::text[]) AND log.event_id = ANY($2::text[])
                  AND read_mark.{prefix}event_id = log.event_id
                  AND read_mark.room_id = log.room_id
            """,  # noqa: S608
            room_ids,
            moved,
        )
    await connection.execute(
        """
        UPDATE read_mark SET event_id = shown_event_id, sort_key = shown_sort_key,
                             timestamp = shown_timestamp
        WHERE room_id = ANY($1::text[]) AND shown_sort_key > sort_key
        """,
        room_ids,
    )
    await connection.execute(
        f"""
        INSERT INTO read_mark {_COLUMNS}
        SELECT said.room_id, said.sender, said.event_id, said.sort_key, said.timestamp,
               said.event_id, said.sort_key, said.timestamp
        FROM room_summary AS summary
        CROSS JOIN LATERAL (
            SELECT DISTINCT ON (sender) * FROM log
            WHERE log.room_id = summary.room_id AND log.counted
                  AND log.sort_key >= summary.recent[1]
            ORDER BY sender, sort_key DESC
        ) AS said
        WHERE summary.room_id = ANY($1::text[]) {_OPENLY}
        """,  # noqa: S608
        room_ids,
    )


@dataclass(frozen=True, slots=True)
class ReaderRow:
    """Who has read up to an entry, or further, and when they last told so."""

    mxid: Mxid
    timestamp: int


async def readers(
    connection: Connection, room_id: RoomId, event_id: EventId, bot: Mxid, limit: int
) -> list[ReaderRow]:
    """Return who in a room is known to have read up to an entry, the newest first.

    Its sender and the bot are left out.
    """
    rows = await connection.fetch(
        """
        SELECT mark.mxid, mark.shown_timestamp AS timestamp
        FROM log
        JOIN read_mark AS mark ON mark.room_id = log.room_id AND mark.shown_sort_key >= log.sort_key
        JOIN room_member AS someone ON someone.room_id = mark.room_id AND someone.mxid = mark.mxid
        WHERE log.room_id = $1 AND log.event_id = $2 AND mark.mxid NOT IN (log.sender, $3)
              AND someone.membership = 'join' AND NOT someone.barred
        ORDER BY mark.shown_timestamp DESC, mark.mxid LIMIT $4
        """,
        room_id,
        event_id,
        bot,
        limit,
    )
    return [ReaderRow(**dict(row)) for row in rows]
