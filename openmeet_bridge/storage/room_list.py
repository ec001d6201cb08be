"""What a person's list of rooms shows, counted in the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from ..core.entry import Person, fallback_name
from ..core.ids import EventId, Mxid, PortalKind, RoomId, TenantId
from .database import Connection

UNREAD_CAP = 100
"""Counting stops here: more is shown as "99+", and costs nothing more."""


@dataclass(frozen=True, slots=True)
class ListedRoom:
    """A room in which somebody is, as their list shows it."""

    room_id: RoomId
    kind: PortalKind
    slug: str
    name: str
    topic: str
    avatar_url: str | None
    url: str | None
    member_count: int
    read_key: int | None
    unread_count: int
    power_levels: bytes | None


@dataclass(frozen=True, slots=True)
class RoomPerson:
    """Somebody in a room."""

    person: Person
    membership: str
    role: str | None


@dataclass(frozen=True, slots=True)
class RoomReceipt:
    """How far somebody in a room has read."""

    person: Person
    event_id: EventId
    sort_key: int
    timestamp: int


async def rooms_of(
    connection: Connection,
    tenant: TenantId,
    mxid: Mxid,
    bot: Mxid,
    room_id: RoomId | None = None,
) -> list[ListedRoom]:
    """Return the rooms of a tenant in which somebody is now, or the one asked for.

    A direct chat has the name and the picture of the other one. The bot is not counted.
    """
    rows = await connection.fetch(
        """
        SELECT portal.room_id, portal.kind, portal.slug,
               coalesce(other.name, wanted.name, portal.slug) AS name,
               coalesce(wanted.topic, '') AS topic,
               coalesce(other.avatar_url, wanted.avatar_url) AS avatar_url, wanted.url,
               count_members.n AS member_count,
               mark.sort_key AS read_key, unread.n AS unread_count, levels.content AS power_levels
        FROM room_member AS mine
        JOIN portal USING (room_id)
        LEFT JOIN directory_portal AS wanted
               ON wanted.tenant = portal.tenant AND wanted.kind = portal.kind
                  AND wanted.slug = portal.slug
        LEFT JOIN read_mark AS mark ON mark.room_id = mine.room_id AND mark.mxid = mine.mxid
        LEFT JOIN room_state AS levels
               ON levels.room_id = mine.room_id AND levels.type = 'm.room.power_levels'
                  AND levels.state_key = ''
        LEFT JOIN LATERAL (
            SELECT directory_user.name, directory_user.avatar_url
            FROM directory_member AS pair
            JOIN directory_user
                 ON directory_user.tenant = pair.tenant AND directory_user.slug = pair.user_slug
            WHERE portal.kind = 'direct' AND pair.tenant = portal.tenant AND pair.kind = 'direct'
                  AND pair.slug = portal.slug
                  AND pair.user_slug <> (SELECT slug FROM ghost WHERE ghost.mxid = $2)
        ) AS other ON true
        CROSS JOIN LATERAL (
            SELECT count(*) AS n FROM room_member AS someone
            WHERE someone.room_id = mine.room_id AND someone.membership = 'join'
                  AND someone.mxid <> $5 AND NOT someone.barred
        ) AS count_members
        CROSS JOIN LATERAL (
            SELECT count(*) AS n FROM (
                SELECT FROM log
                WHERE log.room_id = mine.room_id AND log.counted AND log.sender <> mine.mxid
                      AND log.sort_key > coalesce(mark.sort_key, 0)
                      AND log.position >= mine.since
                ORDER BY log.sort_key DESC LIMIT $4
            ) AS newest
        ) AS unread
        WHERE portal.tenant = $1 AND mine.mxid = $2 AND mine.membership = 'join'
              AND NOT mine.barred
              AND ($3::text IS NULL OR mine.room_id = $3)
        """,
        tenant,
        mxid,
        room_id,
        UNREAD_CAP,
        bot,
    )
    return [ListedRoom(**{**dict(row), "kind": PortalKind(row["kind"])}) for row in rows]


_PERSON = """
    LEFT JOIN ghost ON ghost.mxid = someone.mxid
    LEFT JOIN directory_user
           ON directory_user.tenant = ghost.tenant AND directory_user.slug = ghost.slug
"""


async def people(
    connection: Connection, tenant: TenantId, room_id: RoomId, bot: Mxid
) -> list[RoomPerson]:
    """Return who is in a room or invited to it; the bot is left out."""
    rows = await connection.fetch(
        f"""
        SELECT someone.mxid, coalesce(directory_user.name, someone.name) AS name,
               directory_user.avatar_url, ghost.slug AS user_slug, someone.membership, member.role
        FROM room_member AS someone
        JOIN portal USING (room_id) {_PERSON}
        LEFT JOIN directory_member AS member
               ON member.tenant = portal.tenant AND member.kind = portal.kind
                  AND member.slug = portal.slug AND member.user_slug = ghost.slug
        WHERE portal.tenant = $1 AND someone.room_id = $2
              AND someone.membership IN ('join', 'invite') AND someone.mxid <> $3
              AND NOT someone.barred
        ORDER BY name, someone.mxid
        """,  # noqa: S608
        tenant,
        room_id,
        bot,
    )
    return [RoomPerson(_person(row), row["membership"], row["role"]) for row in rows]


async def receipts(connection: Connection, tenant: TenantId, room_id: RoomId) -> list[RoomReceipt]:
    """Return how far those who are in a room have read it."""
    rows = await connection.fetch(
        f"""
        SELECT someone.mxid, coalesce(directory_user.name, someone.name) AS name,
               directory_user.avatar_url, ghost.slug AS user_slug, mark.event_id, mark.sort_key,
               mark.timestamp
        FROM read_mark AS mark
        JOIN portal USING (room_id)
        JOIN room_member AS someone
             ON someone.room_id = mark.room_id AND someone.mxid = mark.mxid {_PERSON}
        WHERE portal.tenant = $1 AND mark.room_id = $2 AND someone.membership = 'join'
              AND NOT someone.barred
        """,  # noqa: S608
        tenant,
        room_id,
    )
    return [
        RoomReceipt(_person(row), row["event_id"], row["sort_key"], row["timestamp"])
        for row in rows
    ]


async def persons(connection: Connection, room_id: RoomId, mxids: list[Mxid]) -> dict[Mxid, Person]:
    """Return who these people of a room are; those who are not in it are left out."""
    rows = await connection.fetch(
        f"""
        SELECT someone.mxid, coalesce(directory_user.name, someone.name) AS name,
               directory_user.avatar_url, ghost.slug AS user_slug
        FROM room_member AS someone {_PERSON}
        WHERE someone.room_id = $1 AND someone.mxid = ANY($2::text[])
              AND someone.membership = 'join' AND NOT someone.barred
        """,  # noqa: S608
        room_id,
        mxids,
    )
    return {row["mxid"]: _person(row) for row in rows}


def _person(row: asyncpg.Record) -> Person:
    mxid = Mxid(row["mxid"])
    name = row["name"] or fallback_name(mxid)
    return Person(mxid, name, row["avatar_url"], row["user_slug"])


async def people_of(
    connection: Connection, wanted: Sequence[tuple[RoomId, Mxid]]
) -> dict[tuple[RoomId, Mxid], Person]:
    """Return who these people are in these rooms, those who left included."""
    rows = await connection.fetch(
        """
        SELECT given.room_id, given.mxid, coalesce(directory_user.name, someone.name) AS name,
               directory_user.avatar_url, ghost.slug AS user_slug
        FROM unnest($1::text[], $2::text[]) AS given (room_id, mxid)
        LEFT JOIN room_member AS someone
               ON someone.room_id = given.room_id AND someone.mxid = given.mxid
        LEFT JOIN ghost ON ghost.mxid = given.mxid
        LEFT JOIN portal ON portal.room_id = given.room_id
        LEFT JOIN directory_user
               ON directory_user.tenant = ghost.tenant AND directory_user.slug = ghost.slug
                  AND ghost.tenant = portal.tenant
        """,
        [room_id for room_id, _ in wanted],
        [mxid for _, mxid in wanted],
    )
    return {(row["room_id"], row["mxid"]): _person(row) for row in rows}
