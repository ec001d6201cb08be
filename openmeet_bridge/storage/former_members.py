"""What member events of the log were preceded by."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.ids import EventId
from .database import Connection
from .lines import Line


async def contents(connection: Connection, found: Sequence[Line]) -> dict[EventId, bytes]:
    """Return, by the event, what the same person's member event before it held.

    Args:
        connection: The database.
        found: Member events.
    """
    rows = await connection.fetch(
        """
        SELECT given.event_id, former.content
        FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
             AS given (event_id, room_id, mxid, sort_key)
        CROSS JOIN LATERAL (
            SELECT content FROM log
            WHERE log.room_id = given.room_id AND log.type = 'm.room.member'
                  AND log.state_key = given.mxid AND log.sort_key < given.sort_key
            ORDER BY log.sort_key DESC LIMIT 1
        ) AS former
        """,
        [line.event_id for line in found],
        [line.room_id for line in found],
        [line.state_key for line in found],
        [line.sort_key for line in found],
    )
    return {row["event_id"]: row["content"] for row in rows}
