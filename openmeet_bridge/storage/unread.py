"""What is unread: counted for each person and room in the moment in which it is asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from ..core.ids import Mxid, Position, RoomId, TenantId
from .database import Connection
from .room_summaries import RECENT
from .texts import UNPACKED, packed


class Unread(msgspec.Struct, frozen=True, gc=False):
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


# Each table is read for itself, from one end of the rooms to the other, and what belongs together
# is put together afterwards: to join them, row by row, takes the database twice as long.
_IDS = UNPACKED.format(1)
_FACTS = f"""
    SELECT room_id, 'room', members, recent[cardinality(recent)], last_position
    FROM room_summary WHERE room_id = ANY({_IDS})
    UNION ALL
    SELECT room_id, 'read', NULL, sort_key, NULL
    FROM read_mark WHERE room_id = ANY({_IDS}) AND mxid = $2
    UNION ALL
    SELECT room_id, 'flag', NULL, NULL, NULL
    FROM unread_flag WHERE room_id = ANY({_IDS}) AND mxid = $2
    UNION ALL
    SELECT room_id, 'barred', (membership = 'join')::int, NULL, NULL
    FROM room_member WHERE room_id = ANY({_IDS}) AND barred
"""  # noqa: S608  (constants only)


async def of(
    connection: Connection, mxid: Mxid, since: Mapping[RoomId, int]
) -> dict[RoomId, Unread]:
    """Return what somebody has not read of rooms.

    Args:
        connection: The database.
        mxid: Who.
        since: The rooms in which they are, each with the sort key at which they came in.
    """
    members = dict.fromkeys(since, 0)
    read_keys, flagged = dict(since), set()
    last: dict[RoomId, tuple[int, Position]] = {}
    for room_id, fact, count, key, position in await connection.fetch(
        _FACTS, packed(sorted(since)), mxid
    ):
        if fact == "room":
            members[room_id] += count
            if key is not None and position is not None:
                last[room_id] = key, position
        elif fact == "read":
            read_keys[room_id] = max(key, since[room_id])
        elif fact == "flag":
            flagged.add(room_id)
        else:
            members[room_id] -= count
    # All of these were found by their packed ids, so that none is left out when they are packed
    # again beside their keys.
    behind = sorted(one for one, (key, _) in last.items() if key > read_keys[one])
    counts = await _counts(connection, mxid, behind, read_keys) if behind else {}
    return {
        one: Unread(
            *(one, members[one], last.get(one), read_keys[one]),
            *counts.get(one, (0, 0)),
            one in flagged,
        )
        for one in since
    }


async def _counts(
    connection: Connection,
    mxid: Mxid,
    room_ids: Sequence[RoomId],
    read_keys: Mapping[RoomId, int],
) -> dict[RoomId, tuple[int, int]]:
    """Return of rooms how many messages stand above these keys, and how many mean the person."""
    # The messages that are kept rise, so that those above a mark are found by halving. Nobody's
    # own are above theirs: who has said something has read up to it.
    rows = await connection.fetch(
        f"""
        SELECT behind.room_id,
               cardinality(summary.recent) - width_bucket(behind.read_key, summary.recent),
               (SELECT count(*) FROM (
                    SELECT FROM mention
                    WHERE mention.room_id = behind.room_id AND mention.mxid IN ($3, '')
                          AND mention.sort_key > behind.read_key
                    LIMIT {RECENT}
                ) AS newest)
        FROM unnest({_IDS}, string_to_array($2, ',')::bigint[]) AS behind (room_id, read_key)
        JOIN room_summary AS summary ON summary.room_id = behind.room_id
        """,  # noqa: S608  (constants only)
        packed(room_ids),
        ",".join([str(read_keys[one]) for one in room_ids]),
        mxid,
    )
    return {room_id: (unread, mentions) for room_id, unread, mentions in rows}


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
