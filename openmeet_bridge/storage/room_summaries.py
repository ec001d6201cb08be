"""What a list of rooms shows of each, whoever looks: how many are in it, and its last messages.

Kept where entries are logged, in the same transaction, and made anew from the log by all but the
usual message, which comes last: what came late, was moved or redacted is counted right without
being told apart. Only who holds the lock of the log writes here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..core.ids import Mxid, Position, RoomId
from .database import Connection

RECENT = 100
"""So many of a room's last messages are kept. Counting stops here: more is shown as "99+"."""


async def append(connection: Connection, messages: Sequence[tuple[RoomId, int, Position]]) -> None:
    """Note messages that came after all others of their rooms: ``(room, sort key, position)``.

    The same as to read all anew, but nearly every message is one of these, and they cost less so.
    """
    await connection.execute(
        """
        INSERT INTO room_summary (room_id, recent, last_position)
        SELECT room_id, (array_agg(sort_key ORDER BY sort_key))[greatest(1, count(*) - $4 + 1):],
               max(position)
        FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS given (room_id, sort_key, position)
        GROUP BY room_id
        ON CONFLICT (room_id) DO UPDATE SET
            recent = (room_summary.recent || excluded.recent)[greatest(1,
                cardinality(room_summary.recent) + cardinality(excluded.recent) - $4 + 1):],
            last_position = excluded.last_position
        """,
        [room_id for room_id, _, _ in messages],
        [sort_key for _, sort_key, _ in messages],
        [position for _, _, position in messages],
        RECENT,
    )


async def renew_messages(connection: Connection, room_ids: Collection[RoomId]) -> None:
    """Read anew which are the last messages of these rooms."""
    await connection.execute(
        """
        INSERT INTO room_summary (room_id, recent, last_position)
        SELECT given.room_id, newest.keys, newest.positions[1]
        FROM unnest($1::text[]) AS given (room_id)
        CROSS JOIN LATERAL (
            SELECT coalesce(array_agg(sort_key ORDER BY sort_key), '{}') AS keys,
                   array_agg(position ORDER BY sort_key DESC) AS positions
            FROM (
                SELECT sort_key, position FROM log WHERE log.room_id = given.room_id AND counted
                ORDER BY sort_key DESC LIMIT $2
            ) AS counted
        ) AS newest
        ON CONFLICT (room_id) DO UPDATE SET
            recent = excluded.recent, last_position = excluded.last_position
        """,
        list(room_ids),
        RECENT,
    )


async def renew_members(connection: Connection, room_ids: Collection[RoomId], bot: Mxid) -> None:
    """Count anew who is in these rooms, the bot left out."""
    await connection.execute(
        """
        INSERT INTO room_summary (room_id, members)
        SELECT given.room_id, (
            SELECT count(*) FROM room_member AS someone
            WHERE someone.room_id = given.room_id AND someone.membership = 'join'
                  AND someone.mxid <> $2
        ) FROM unnest($1::text[]) AS given (room_id)
        ON CONFLICT (room_id) DO UPDATE SET members = excluded.members
        """,
        list(room_ids),
        bot,
    )
