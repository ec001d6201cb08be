"""How far everybody has read every room."""

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


async def raise_marks(
    connection: Connection, marks: Sequence[ReadMark]
) -> list[tuple[ReadMark, int]]:
    """Move marks forward, never back; return those that moved, with their sort keys.

    A mark at an event that is not in the log of that room is left out.
    """
    rows = await connection.fetch(
        """
        INSERT INTO read_mark (room_id, mxid, event_id, sort_key, timestamp)
        SELECT DISTINCT ON (log.room_id, given.mxid)
               log.room_id, given.mxid, log.event_id, log.sort_key, given.timestamp
        FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
             AS given (room_id, mxid, event_id, timestamp)
        JOIN log USING (room_id, event_id)
        ORDER BY log.room_id, given.mxid, log.sort_key DESC
        ON CONFLICT (room_id, mxid) DO UPDATE SET
            event_id = excluded.event_id, sort_key = excluded.sort_key,
            timestamp = excluded.timestamp
        WHERE excluded.sort_key > read_mark.sort_key
        RETURNING room_id, mxid, event_id, timestamp, sort_key
        """,
        [mark.room_id for mark in marks],
        [mark.mxid for mark in marks],
        [mark.event_id for mark in marks],
        [mark.timestamp for mark in marks],
    )
    return [
        (ReadMark(row["room_id"], row["mxid"], row["event_id"], row["timestamp"]), row["sort_key"])
        for row in rows
    ]
