"""What is unread: counted for each person and room in the moment in which it is asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import asyncpg

from ..core.ids import Mxid, Position, RoomId, TenantId
from .database import Connection
from .room_summaries import RECENT


@dataclass(frozen=True, slots=True)
class Unread:
    """A room as somebody has it who is in it: how lively it is, and what they have not read.

    Attributes:
        member_count: Who is in it, the bot left out.
        last: Sort key and position of the newest message.
        read_key: Sort key up to which they have read, or at which they came in.
        unread_count: Messages above it, at most 100.
        mention_count: How many of them mean to reach the person, at most 100.
        marked_unread: The person has marked the room by hand.
    """

    room_id: RoomId
    member_count: int
    last: tuple[int, Position] | None
    read_key: int
    unread_count: int
    mention_count: int
    marked_unread: bool


_READ = "greatest(mark.sort_key, mine.since_key)"
# The messages that are kept rise, so that those above a mark are found by halving. Nobody's own
# are above theirs: who has said something has read up to it.
_COUNT = f"coalesce(cardinality(summary.recent) - width_bucket({_READ}, summary.recent), 0)"


async def of(
    connection: Connection, mxid: Mxid, since: Mapping[RoomId, int]
) -> dict[RoomId, Unread]:
    """Return what somebody has not read of rooms.

    Args:
        connection: The database.
        mxid: Who.
        since: The rooms in which they are, each with the sort key at which they came in.
    """
    # One statement for all rooms, and all of it by their ids: no plan is better for one room and
    # bad for five hundred.
    rows = await connection.fetch(
        f"""
        SELECT mine.room_id, coalesce(summary.members, 0) - coalesce(barred.n, 0) AS member_count,
               summary.recent[cardinality(summary.recent)] AS last_key, summary.last_position,
               {_READ} AS read_key, {_COUNT} AS unread_count,
               CASE WHEN {_COUNT} > 0 THEN (
                   SELECT count(*) FROM (
                       SELECT FROM mention
                       WHERE mention.room_id = mine.room_id AND mention.mxid IN ($3, '')
                             AND mention.sort_key > {_READ}
                       LIMIT {RECENT}
                   ) AS newest
               ) ELSE 0 END AS mention_count,
               flag.room_id IS NOT NULL AS marked_unread
        FROM unnest($1::text[], $2::bigint[]) AS mine (room_id, since_key)
        LEFT JOIN room_summary AS summary ON summary.room_id = mine.room_id
        LEFT JOIN read_mark AS mark ON mark.room_id = mine.room_id AND mark.mxid = $3
        LEFT JOIN unread_flag AS flag ON flag.room_id = mine.room_id AND flag.mxid = $3
        LEFT JOIN (
            SELECT room_id, count(*) AS n FROM room_member
            WHERE barred AND membership = 'join' GROUP BY room_id
        ) AS barred ON barred.room_id = mine.room_id
        """,  # noqa: S608  (constants only)
        list(since),
        list(since.values()),
        mxid,
    )
    return {row["room_id"]: _unread(row) for row in rows}


def _unread(row: asyncpg.Record) -> Unread:
    position = row["last_position"]
    return Unread(
        room_id=row["room_id"],
        member_count=row["member_count"],
        last=None if position is None else (row["last_key"], position),
        read_key=row["read_key"],
        unread_count=row["unread_count"],
        mention_count=row["mention_count"],
        marked_unread=row["marked_unread"],
    )


async def rooms_since(
    connection: Connection, tenant: TenantId, mxid: Mxid, room_ids: Collection[RoomId] | None = None
) -> dict[RoomId, int]:
    """Return in which rooms of a tenant somebody is, and at which sort keys they came in.

    Args:
        connection: The database.
        tenant: Whose rooms.
        mxid: Who.
        room_ids: The rooms that are asked for; all where there is none.
    """
    rows = await connection.fetch(
        f"""
        SELECT mine.room_id, mine.since_key FROM room_member AS mine
        JOIN portal ON portal.room_id = mine.room_id
        WHERE portal.tenant = $1 AND mine.mxid = $2 AND mine.membership = 'join'
              AND NOT mine.barred {"" if room_ids is None else "AND mine.room_id = ANY($3::text[])"}
        """,  # noqa: S608
        *(tenant, mxid),
        *(() if room_ids is None else (list(room_ids),)),
    )
    return {row["room_id"]: row["since_key"] for row in rows}


async def flag(connection: Connection, room_id: RoomId, mxid: Mxid) -> None:
    """Note that somebody has marked a room as unread."""
    await connection.execute(
        "INSERT INTO unread_flag (room_id, mxid) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        room_id,
        mxid,
    )


async def unflag(connection: Connection, room_id: RoomId, mxid: Mxid) -> bool:
    """Take such a mark away; return whether there was one."""
    done = await connection.execute(
        "DELETE FROM unread_flag WHERE room_id = $1 AND mxid = $2", room_id, mxid
    )
    return bool(done == "DELETE 1")
