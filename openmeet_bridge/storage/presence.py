"""Presence, as far as it outlives a run: when somebody was last there, and for whom that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from ..core.entry import Person, fallback_name
from ..core.ids import Mxid, RoomId, TenantId
from ..core.presence import State
from .database import Connection


@dataclass(frozen=True, slots=True)
class Seen:
    """What is kept of somebody's presence."""

    mxid: Mxid
    state: State
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Audience:
    """In which rooms of a tenant somebody is now, and as whom.

    Attributes:
        shown: Whether the person lets others see their presence.
        ours: Whether it is somebody of OpenMeet.
    """

    tenant: TenantId
    person: Person
    room_ids: list[RoomId]
    shown: bool
    ours: bool


async def audiences(connection: Connection, mxids: Sequence[Mxid]) -> list[Audience]:
    """Return for whom these people's presence is, by person and tenant."""
    rows = await connection.fetch(
        """
        SELECT someone.mxid, portal.tenant, array_agg(someone.room_id) AS room_ids,
               coalesce(max(directory_user.name), max(someone.name)) AS name,
               max(directory_user.avatar_url) AS avatar_url, max(ghost.slug) AS user_slug,
               bool_and(coalesce(preference.presence, true)) AS shown,
               bool_or(ghost.mxid IS NOT NULL) AS ours
        FROM room_member AS someone
        JOIN portal USING (room_id)
        LEFT JOIN ghost ON ghost.mxid = someone.mxid
        LEFT JOIN directory_user
               ON directory_user.tenant = ghost.tenant AND directory_user.slug = ghost.slug
        LEFT JOIN preference
               ON preference.tenant = ghost.tenant AND preference.user_slug = ghost.slug
        WHERE someone.mxid = ANY($1::text[]) AND someone.membership = 'join'
              AND NOT someone.barred AND coalesce(ghost.tenant = portal.tenant, true)
        GROUP BY someone.mxid, portal.tenant
        """,
        list(mxids),
    )
    return [
        Audience(row["tenant"], _person(row), row["room_ids"], row["shown"], row["ours"])
        for row in rows
    ]


async def of_room(
    connection: Connection,
    tenant: TenantId,
    room_id: RoomId,
    present: Sequence[Mxid],
    bot: Mxid,
    limit: int,
) -> list[tuple[Person, datetime | None]]:
    """Return those in a room of whom something is known and who let it be seen.

    Args:
        connection: The database.
        tenant: Whose room it is.
        room_id: The room.
        present: Who is there now, in whatever rooms: of this room they come first.
        bot: Is in every room, and left out.
        limit: Most people returned; of those who are not there, the last ones seen.
    """
    rows = await connection.fetch(
        """
        SELECT someone.mxid, coalesce(directory_user.name, someone.name) AS name,
               directory_user.avatar_url, ghost.slug AS user_slug, presence.last_seen
        FROM room_member AS someone
        JOIN portal USING (room_id)
        LEFT JOIN ghost ON ghost.mxid = someone.mxid
        LEFT JOIN directory_user
               ON directory_user.tenant = ghost.tenant AND directory_user.slug = ghost.slug
        LEFT JOIN preference
               ON preference.tenant = ghost.tenant AND preference.user_slug = ghost.slug
        LEFT JOIN presence ON presence.mxid = someone.mxid
        LEFT JOIN unnest($3::text[]) AS here (mxid) ON here.mxid = someone.mxid
        WHERE portal.tenant = $1 AND someone.room_id = $2 AND someone.membership = 'join'
              AND NOT someone.barred AND someone.mxid <> $4
              AND coalesce(preference.presence, true)
              AND (here.mxid IS NOT NULL OR presence.last_seen IS NOT NULL)
        ORDER BY here.mxid IS NULL, presence.last_seen DESC NULLS LAST, someone.mxid
        LIMIT $5
        """,
        tenant,
        room_id,
        list(present),
        bot,
        limit,
    )
    return [(_person(row), row["last_seen"]) for row in rows]


async def people_of(connection: Connection, room_id: RoomId) -> list[Mxid]:
    """Return who is in a room."""
    rows = await connection.fetch(
        """
        SELECT mxid FROM room_member
        WHERE room_id = $1 AND membership = 'join' AND NOT barred
        """,
        room_id,
    )
    return [Mxid(row["mxid"]) for row in rows]


def _person(row: asyncpg.Record) -> Person:
    mxid = Mxid(row["mxid"])
    name = row["name"] or fallback_name(mxid)
    return Person(mxid, name, row["avatar_url"], row["user_slug"])


async def save(connection: Connection, rows: Sequence[Seen]) -> None:
    """Write when people were last there.

    Not of those who do not let it be seen, and not of those whom OpenMeet has removed meanwhile:
    nothing of theirs must come back.
    """
    # Whoever locks several of these rows does it in this order.
    rows = sorted(rows, key=lambda row: row.mxid)
    await connection.execute(
        """
        INSERT INTO presence (mxid, state, last_seen)
        SELECT given.mxid, given.state, given.last_seen
        FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS given (mxid, state, last_seen)
        LEFT JOIN ghost ON ghost.mxid = given.mxid
        LEFT JOIN directory_user
               ON directory_user.tenant = ghost.tenant AND directory_user.slug = ghost.slug
        LEFT JOIN preference
               ON preference.tenant = ghost.tenant AND preference.user_slug = ghost.slug
        WHERE (ghost.mxid IS NULL OR directory_user.slug IS NOT NULL)
              AND coalesce(preference.presence, true)
        ON CONFLICT (mxid) DO UPDATE SET
            state = excluded.state, last_seen = greatest(presence.last_seen, excluded.last_seen)
        """,
        [row.mxid for row in rows],
        [row.state for row in rows],
        [row.last_seen for row in rows],
    )


async def forget(connection: Connection, mxid: Mxid) -> None:
    """Forget when somebody was there."""
    await connection.execute("DELETE FROM presence WHERE mxid = $1", mxid)


async def begin(connection: Connection, limit: int) -> list[Mxid]:
    """Note that nobody is there: whatever the last run has left says nothing of now.

    Who is in no room any more is forgotten.

    Returns:
        The people of Matrix who were there: the homeserver may be asked whether they still are.
    """
    await connection.execute(
        """
        DELETE FROM presence WHERE NOT EXISTS (
            SELECT FROM room_member
            WHERE room_member.mxid = presence.mxid AND membership = 'join'
        )
        """
    )
    rows = await connection.fetch(
        """
        WITH gone AS (
            UPDATE presence SET state = 'offline' WHERE state <> 'offline' RETURNING mxid
        )
        SELECT mxid FROM gone WHERE NOT EXISTS (SELECT FROM ghost WHERE ghost.mxid = gone.mxid)
        ORDER BY mxid LIMIT $1
        """,
        limit,
    )
    return [Mxid(row["mxid"]) for row in rows]


async def watched_from_matrix(
    connection: Connection, mxids: Sequence[Mxid], bot: Mxid
) -> set[Mxid]:
    """Return which of these people share a room with somebody of Matrix."""
    rows = await connection.fetch(
        """
        SELECT given.mxid FROM unnest($1::text[]) AS given (mxid)
        WHERE EXISTS (
            SELECT FROM room_member AS mine
            JOIN portal USING (room_id)
            JOIN room_member AS other
                 ON other.room_id = mine.room_id AND other.membership = 'join'
            WHERE mine.mxid = given.mxid AND mine.membership = 'join' AND NOT mine.barred
                  AND other.mxid <> $2
                  AND NOT EXISTS (SELECT FROM ghost WHERE ghost.mxid = other.mxid)
        )
        """,
        list(mxids),
        bot,
    )
    return {Mxid(row["mxid"]) for row in rows}
