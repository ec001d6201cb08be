"""Strangers: events of rooms that belong to nobody on OpenMeet, and in which the bot is not."""

from __future__ import annotations

from ..core.ids import Mxid
from .database import Connection


async def drop(connection: Connection, bot: Mxid, older_than: float, limit: int) -> int:
    """Remove such events, and what was made of them, once they are old enough.

    Args:
        connection: A transaction.
        bot: The rooms it is in, or was ever in, are no strangers.
        older_than: Seconds since the event came in.
        limit: Most events that are removed.

    Returns:
        How many events were removed.
    """
    rows = await connection.fetch(
        """
        DELETE FROM log WHERE position IN (
            SELECT position FROM log
            WHERE tenant IS NULL AND received_at < now() - make_interval(secs => $2)
                  AND NOT EXISTS (
                      SELECT FROM room_member AS bot
                      WHERE bot.room_id = log.room_id AND bot.mxid = $1
                  )
            ORDER BY position LIMIT $3
        ) RETURNING room_id, event_id
        """,
        bot,
        older_than,
        limit,
    )
    rooms = list({row["room_id"] for row in rows})
    await connection.execute(
        "DELETE FROM relation WHERE event_id = ANY($1::text[])", [row["event_id"] for row in rows]
    )
    for table in (
        "room_state",
        "room_member",
        "read_mark",
        "pending_redaction",
        "mention",
        "room_summary",
        "unread_flag",
    ):
        await connection.execute(
            f"""
            DELETE FROM {table} WHERE room_id = ANY($1::text[])
                AND NOT EXISTS (SELECT FROM log WHERE log.room_id = {table}.room_id)
            """,  # noqa: S608
            rooms,
        )
    return len(rows)
