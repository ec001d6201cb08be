"""Mentions: which messages mean to reach whom."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.ids import EventId, Mxid, RoomId
from .database import Connection

EVERYBODY = Mxid("")
"""Stands for all who are in a room."""


async def insert(connection: Connection, meant: Sequence[tuple[EventId, Mxid]]) -> None:
    """Note whom messages of the log mean to reach: those who are in the room, or everybody.

    A message that was redacted meanwhile reaches nobody.
    """
    await connection.execute(
        """
        INSERT INTO mention (event_id, mxid, room_id, sort_key)
        SELECT log.event_id, given.mxid, log.room_id, log.sort_key
        FROM unnest($1::text[], $2::text[]) AS given (event_id, mxid)
        JOIN log ON log.event_id = given.event_id AND log.counted
        LEFT JOIN room_member AS someone
               ON someone.room_id = log.room_id AND someone.mxid = given.mxid
                  AND someone.membership = 'join'
        WHERE given.mxid = '' OR someone.mxid IS NOT NULL
        ON CONFLICT DO NOTHING
        """,
        [event_id for event_id, _ in meant],
        [mxid for _, mxid in meant],
    )


async def drop(connection: Connection, event_ids: Sequence[EventId]) -> None:
    """Let messages that were redacted reach nobody any more."""
    await connection.execute(
        """
        DELETE FROM mention USING log
        WHERE mention.event_id = ANY($1::text[]) AND log.event_id = mention.event_id
              AND NOT log.counted
        """,
        event_ids,
    )


async def tidy(connection: Connection, room_ids: Sequence[RoomId]) -> None:
    """Do the same for all messages of these rooms."""
    await connection.execute(
        """
        DELETE FROM mention USING log
        WHERE mention.room_id = ANY($1::text[]) AND log.event_id = mention.event_id
              AND NOT log.counted
        """,
        room_ids,
    )


async def follow(connection: Connection, event_ids: Sequence[EventId]) -> None:
    """Let mentions stand where their messages stand now."""
    await connection.execute(
        """
        UPDATE mention SET sort_key = log.sort_key FROM log
        WHERE mention.event_id = ANY($1::text[]) AND log.event_id = mention.event_id
        """,
        event_ids,
    )
