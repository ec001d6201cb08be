"""What a person's list of rooms shows, counted in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg
import msgspec

from ..core.entry import Person, fallback_name
from ..core.ids import EventId, Mxid, PortalKind, Position, RoomId, TenantId
from .database import Connection
from .texts import UNPACKED, packed

MOST_RECEIPTS = 1000
"""As many receipts of a room are shown, the newest."""


_KINDS = {kind.value: kind for kind in PortalKind}


class ListedRoom(msgspec.Struct, frozen=True, gc=False):
    """A room in which somebody is, as their list shows it.

    Attributes:
        since_key: Sort key at which the person came in.
        open: Whether everybody who is in may read all that the log has of it.
        direct_with: The other one of a direct chat.
    """

    room_id: RoomId
    kind: PortalKind
    slug: str
    name: str
    topic: str
    avatar_url: str | None
    url: str | None
    since_key: int
    open: bool
    direct_with: Person | None = None


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
    connection: Connection, tenant: TenantId, mxid: Mxid, room_id: RoomId | None = None
) -> list[ListedRoom]:
    """Return the rooms of a tenant in which somebody is now, or the one asked for.

    A direct chat has the name and the picture of the other one.
    """
    rows = await connection.fetch(
        f"""
        SELECT mine.room_id, portal.kind, portal.slug, mine.since_key, portal.open
        FROM room_member AS mine
        JOIN portal ON portal.room_id = mine.room_id
        WHERE portal.tenant = $1 AND mine.mxid = $2 AND mine.membership = 'join'
              AND NOT mine.barred {"" if room_id is None else "AND mine.room_id = $3"}
        """,  # noqa: S608  (constants only)
        *(tenant, mxid),
        *(() if room_id is None else (room_id,)),
    )
    profiles = await _profiles(connection, tenant, [(row[1], row[2]) for row in rows])
    directs = [slug for _, kind, slug, *_ in rows if kind == "direct"]
    others = await _others(connection, tenant, mxid, directs) if directs else {}
    return [_listed(row, profiles, others) for row in rows]


_Profile = tuple[str | None, str | None, str | None, str | None]
"""Name, topic, picture and address, as OpenMeet has them."""

_NO_PROFILE: _Profile = (None, None, None, None)


async def _profiles(
    connection: Connection, tenant: TenantId, portals: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], _Profile]:
    """Return what OpenMeet says of portals, by kind and slug."""
    # Perhaps a few more than were asked for: those that have the slug of one of another kind.
    rows = await connection.fetch(
        f"""
        SELECT kind, slug, name, topic, avatar_url, url FROM directory_portal
        WHERE tenant = $1 AND kind = ANY($2::text[]) AND slug = ANY({UNPACKED.format(3)})
        """,  # noqa: S608  (constants only)
        tenant,
        sorted({kind for kind, _ in portals}),
        packed(sorted({slug for _, slug in portals})),
    )
    return {(row[0], row[1]): (row[2], row[3], row[4], row[5]) for row in rows}


def _listed(
    row: asyncpg.Record,
    profiles: Mapping[tuple[str, str], _Profile],
    others: Mapping[str, Person],
) -> ListedRoom:
    room_id, kind, slug, since_key, is_open = row
    name, topic, avatar_url, url = profiles.get((kind, slug), _NO_PROFILE)
    other = others.get(slug) if kind == "direct" else None
    if other is not None:
        name, avatar_url = other.name, other.avatar_url or avatar_url
    return ListedRoom(
        *(room_id, _KINDS[kind], slug, slug if name is None else name, topic or "", avatar_url),
        *(url, since_key, is_open, other),
    )


async def _others(
    connection: Connection, tenant: TenantId, mxid: Mxid, slugs: Sequence[str]
) -> dict[str, Person]:
    """Return the other one of each of somebody's direct chats."""
    rows = await connection.fetch(
        """
        SELECT pair.slug, ghost.mxid, person.name, person.avatar_url, person.slug AS user_slug
        FROM directory_member AS pair
        JOIN directory_user AS person
             ON person.tenant = pair.tenant AND person.slug = pair.user_slug
        JOIN ghost ON ghost.tenant = pair.tenant AND ghost.slug = pair.user_slug
        WHERE pair.tenant = $1 AND pair.kind = 'direct' AND pair.slug = ANY($2::text[])
              AND pair.user_slug IS DISTINCT FROM
                  (SELECT slug FROM ghost WHERE mxid = $3 AND tenant = $1)
        """,
        tenant,
        slugs,
        mxid,
    )
    return {row["slug"]: _person(row) for row in rows}


async def newest_below(
    connection: Connection, places: Sequence[tuple[RoomId, int]]
) -> dict[RoomId, tuple[int, Position]]:
    """Return the newest message of rooms up to a sort key of each: its sort key and position."""
    rows = await connection.fetch(
        """
        SELECT given.room_id, newest.sort_key, newest.position
        FROM unnest($1::text[], $2::bigint[]) AS given (room_id, highest)
        CROSS JOIN LATERAL (
            SELECT sort_key, position FROM log
            WHERE log.room_id = given.room_id AND log.counted AND log.sort_key <= given.highest
            ORDER BY sort_key DESC LIMIT 1
        ) AS newest
        """,
        [room_id for room_id, _ in places],
        [highest for _, highest in places],
    )
    return {row["room_id"]: (row["sort_key"], row["position"]) for row in rows}


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
    """Return how far those who are in a room are known to have read it, the furthest first."""
    rows = await connection.fetch(
        f"""
        SELECT someone.mxid, coalesce(directory_user.name, someone.name) AS name,
               directory_user.avatar_url, ghost.slug AS user_slug,
               mark.shown_event_id AS event_id, mark.shown_sort_key AS sort_key,
               mark.shown_timestamp AS timestamp
        FROM read_mark AS mark
        JOIN portal USING (room_id)
        JOIN room_member AS someone
             ON someone.room_id = mark.room_id AND someone.mxid = mark.mxid {_PERSON}
        WHERE portal.tenant = $1 AND mark.room_id = $2 AND someone.membership = 'join'
              AND NOT someone.barred AND mark.shown_sort_key IS NOT NULL
        ORDER BY mark.shown_sort_key DESC, someone.mxid LIMIT $3
        """,  # noqa: S608
        tenant,
        room_id,
        MOST_RECEIPTS,
    )
    return [
        RoomReceipt(_person(row), row["event_id"], row["sort_key"], row["timestamp"])
        for row in rows
    ]


async def persons(connection: Connection, room_id: RoomId, mxids: list[Mxid]) -> dict[Mxid, Person]:
    """Return who these people of a room are; those who are not in it are left out."""
    found = await inside(connection, [(room_id, mxid) for mxid in mxids])
    return {mxid: person for (_, mxid), person in found.items()}


async def inside(
    connection: Connection, wanted: Sequence[tuple[RoomId, Mxid]]
) -> dict[tuple[RoomId, Mxid], Person]:
    """Return who these people are, where they are in these rooms."""
    rows = await connection.fetch(
        f"""
        SELECT someone.room_id, someone.mxid,
               coalesce(directory_user.name, someone.name) AS name,
               directory_user.avatar_url, ghost.slug AS user_slug
        FROM unnest($1::text[], $2::text[]) AS given (room_id, mxid)
        JOIN room_member AS someone
             ON someone.room_id = given.room_id AND someone.mxid = given.mxid {_PERSON}
        WHERE someone.membership = 'join' AND NOT someone.barred
        """,  # noqa: S608
        [room_id for room_id, _ in wanted],
        [mxid for _, mxid in wanted],
    )
    return {(row["room_id"], row["mxid"]): _person(row) for row in rows}


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
