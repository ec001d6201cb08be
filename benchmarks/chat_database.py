"""A generated database: one user in many rooms, and years of conversation in them.

Everything is made inside PostgreSQL and without chance, so that a million messages take a minute
and every run measures the same.
"""

from __future__ import annotations

import asyncio
import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from openmeet_bridge.core.cursor import SORT_KEY_STEP
from openmeet_bridge.core.ids import Mxid, PortalKind, PortalRef, RoomId
from openmeet_bridge.core.naming import direct_slug
from openmeet_bridge.storage import migrations, room_summaries
from openmeet_bridge.storage.embedded import EmbeddedPostgres

from . import house, world

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

READER = 1
"""Number of the user who is in every room."""

_HUNDREDS = 300
"""Members of the longest room, and of one room in 25."""

_SLOTS = 20
"""Of as many events of a room in a row, 18 are messages, one is a reaction, one an edit."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is.

    Attributes:
        rooms: In which the reader is.
        users: Of the tenant.
        messages: In all rooms together.
        longest: In the longest room, which is the first.
    """

    rooms: int = 500
    users: int = 1000
    messages: int = 1_000_000
    longest: int = 300_000


QUICK = Size(rooms=20, users=400, messages=20_000, longest=10_000)
ONE_LONG_ROOM = Size(rooms=1, users=400, messages=1_000_000, longest=1_000_000)


@dataclass(frozen=True, slots=True)
class Room:
    """A room that is to be made.

    Attributes:
        members: How many are in it, the reader included.
        events: How many events were sent to it: messages, reactions and edits.
    """

    number: int
    room_id: RoomId
    portal: PortalRef
    members: int
    events: int


@dataclass(frozen=True, slots=True)
class ChatDatabase:
    """A database that was made.

    Attributes:
        dsn: Its address.
        reader: Who is in every room.
        rooms: The longest first.
    """

    dsn: str
    reader: Mxid
    rooms: list[RoomId]


@functools.cache
def make(postgres: EmbeddedPostgres, size: Size) -> ChatDatabase:
    """Return a database of this size on a server that runs; it is made once."""
    dsn = house.new_database(postgres)
    migrations.upgrade(dsn)
    rooms = _plan(size)
    asyncio.run(_fill(dsn, size, rooms))
    return ChatDatabase(dsn, world.mxid(READER), [room.room_id for room in rooms])


def _plan(size: Size) -> list[Room]:
    """Return the rooms: one very long, and the others ever shorter."""
    weights = [(number + 4) ** -0.9 for number in range(1, size.rooms)]
    rest = size.messages - size.longest
    messages = [size.longest, *(round(rest * weight / sum(weights)) for weight in weights)]
    return [_room(number, size, count) for number, count in enumerate(messages)]


def _room(number: int, size: Size, messages: int) -> Room:
    kind = PortalKind.DIRECT if number % 10 == 9 else PortalKind.GROUP
    slug, members = f"group-{number}", 5 + number * 37 % 55
    if kind is PortalKind.DIRECT:
        slug, members = direct_slug(world.slug(READER), world.slug(_member(number, 1, size))), 2
    elif number % 25 == 0:
        members = _HUNDREDS
    portal = PortalRef(world.TENANT, kind, slug)
    events = -(-messages * _SLOTS // (_SLOTS - 2))
    return Room(number, RoomId(world.room_id(number)), portal, members, events)


def _member(room: int, index: int, size: Size) -> int:
    """Return the number of a user of a room: the reader first, then others, each once."""
    return READER if index == 0 else 2 + (room * 31 + index) % (size.users - 1)


async def _fill(dsn: str, size: Size, rooms: list[Room]) -> None:
    connection = await asyncpg.connect(
        dsn, server_settings={"synchronous_commit": "off", "work_mem": "256MB"}
    )
    try:
        await _users(connection, size)
        await _rooms(connection, size, rooms)
        indexes = await connection.fetch(
            "SELECT indexname, indexdef FROM pg_indexes "
            "WHERE tablename = 'log' AND indexname NOT IN ('log_pkey', 'log_event_id_key')"
        )
        for index in indexes:
            await connection.execute(f"DROP INDEX {index['indexname']}")
        for statement in _CONVERSATION:
            await connection.execute(statement)
        for index in indexes:
            await connection.execute(index["indexdef"])
        room_ids = [room.room_id for room in rooms]
        await room_summaries.renew_messages(connection, room_ids)
        await room_summaries.renew_members(connection, room_ids, world.NAMING.bot)
        for statement in _AFTERWARDS:
            await connection.execute(statement, world.mxid(READER))
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


async def _users(connection: Connection, size: Size) -> None:
    numbers = range(1, size.users + 1)
    await connection.execute(
        """
        WITH given AS (
            SELECT * FROM unnest($2::bigint[], $3::text[], $4::text[]) AS given (number, slug, mxid)
        ), users AS (
            INSERT INTO directory_user (tenant, slug, openmeet_id, name, avatar_url)
            SELECT $1, slug, number, 'Reader ' || number,
                   CASE WHEN number % 3 > 0 THEN 'https://cdn.example.org/' || number || '.jpg' END
            FROM given
        )
        INSERT INTO ghost (mxid, tenant, slug, registered, device, name)
        SELECT mxid, $1, slug, true, true, 'Reader ' || number FROM given
        """,
        world.TENANT,
        list(numbers),
        [world.slug(number) for number in numbers],
        [world.mxid(number) for number in numbers],
    )


async def _rooms(connection: Connection, size: Size, rooms: list[Room]) -> None:
    await connection.execute(
        "CREATE TEMP TABLE room (number int, room_id text, members int, events int)"
    )
    await connection.copy_records_to_table(
        "room", records=[(one.number, one.room_id, one.members, one.events) for one in rooms]
    )
    await connection.copy_records_to_table(
        "portal",
        records=[(one.room_id, *one.portal) for one in rooms],
        columns=["room_id", "tenant", "kind", "slug"],
    )
    await connection.copy_records_to_table(
        "directory_portal",
        records=[
            (*one.portal, world.NAMING.alias(one.portal), f"Group {one.number}", "All about it")
            for one in rooms
        ],
        columns=["tenant", "kind", "slug", "alias", "name", "topic"],
    )
    who = [(one, i, _member(one.number, i, size)) for one in rooms for i in range(one.members)]
    await connection.execute("CREATE TEMP TABLE member (number int, index int, mxid text)")
    await connection.copy_records_to_table(
        "member", records=[(one.number, i, world.mxid(user)) for one, i, user in who]
    )
    await connection.copy_records_to_table(
        "directory_member",
        records=[(*one.portal, world.slug(user), "member") for one, _, user in who],
        columns=["tenant", "kind", "slug", "user_slug", "role"],
    )


def _id(room: str, slot: str) -> str:
    """Return SQL for the id of a room's event."""
    return (
        f"'$' || rtrim(translate(encode(sha256(({room} || ':' || {slot})::text::bytea), 'base64'), "
        "'+/', '-_'), '=')"
    )


_BOT = f"'{world.NAMING.bot}'"
_TENANT = f"'{world.TENANT}'"
_BEGAN = "(extract(epoch FROM now()) - 63072000)::bigint * 1000"
_WORDS = "Shall we meet at the boat house at nine? I bring the coffee, and somebody a cake. "
# Every room's own: nobody who reads many of them has read the same ones before.
_LEVELS = json.dumps(
    {
        "users": {world.NAMING.bot: 100, "@organiser-#:bench": 50},
        "users_default": 0,
        "events": dict.fromkeys(("m.room.name", "m.room.topic", "m.room.avatar"), 50),
        "events_default": 0,
        "state_default": 100,
        "invite": 0,
    }
)
_TEXT = f"substr('{_WORDS * 6}', (1 + slot % 40)::int, (12 + slot * 7919 % 330)::int)"

_CONVERSATION = [
    # How each room began: its making, who may do what, and those who came in.
    f"""
    INSERT INTO log (position, event_id, room_id, tenant, sort_key, type, sender, state_key,
                     timestamp, content, counted, effect, source, line)
    SELECT position, {_id("number", "-1 - place")}, room_id, {_TENANT}, position * {SORT_KEY_STEP},
           type, sender, state_key, {_BEGAN} - 60000 + position, content::bytea, false,
           (type = 'm.room.member')::int, 'push', type <> 'm.room.power_levels'
    FROM (
        SELECT *, row_number() OVER (ORDER BY number, place) AS position
        FROM (
            SELECT number, room_id, place, type, {_BOT} AS sender, '' AS state_key,
                   replace(content, '#', number::text) AS content
            FROM room CROSS JOIN (VALUES
                (0, 'm.room.create', '{{"room_version":"12"}}'),
                (2, 'm.room.power_levels', '{_LEVELS}'),
                (3, 'm.room.history_visibility', '{{"history_visibility":"shared"}}'),
                (4, 'm.room.join_rules', '{{"join_rule":"invite"}}')
            ) AS state (place, type, content)
            UNION ALL
            SELECT number, room_id, 1, 'm.room.member', {_BOT}, {_BOT}, '{{"membership":"join"}}'
            FROM room
            UNION ALL
            SELECT number, room_id, 5 + index, 'm.room.member', mxid, mxid,
                   '{{"membership":"join","displayname":"Reader"}}'
            FROM member JOIN room USING (number)
        ) AS each
    ) AS numbered
    """,  # noqa: S608  (constants only)
    """
    INSERT INTO room_state (room_id, type, state_key, sender, sort_key, content)
    SELECT room_id, type, state_key, sender, sort_key, content
    FROM log WHERE type <> 'm.room.member'
    """,
    """
    INSERT INTO room_member (room_id, mxid, membership, name, since, since_key, sort_key)
    SELECT room_id, state_key, 'join', 'Reader', position, sort_key, sort_key
    FROM log WHERE type = 'm.room.member'
    """,
    # What was said, in all rooms side by side. Slot 7 reacts to slot 6, slot 13 edits slot 11.
    f"""
    INSERT INTO log (position, event_id, room_id, tenant, sort_key, type, sender, timestamp,
                     content, counted, source, line, about, related)
    SELECT began + position, {_id("number", "slot")}, room_id, {_TENANT},
           (began + position) * {SORT_KEY_STEP},
           CASE slot % 20 WHEN 7 THEN 'm.reaction' ELSE 'm.room.message' END, mxid,
           {_BEGAN} + 63000000000 * position / total,
           convert_to((CASE slot % 20
               WHEN 7 THEN jsonb_build_object('m.relates_to', jsonb_build_object(
                   'rel_type', 'm.annotation', 'key', '👍', 'event_id', about))
               WHEN 13 THEN jsonb_build_object('msgtype', 'm.text', 'body', '* ' || {_TEXT},
                   'm.new_content', jsonb_build_object('msgtype', 'm.text', 'body', {_TEXT}),
                   'm.relates_to', jsonb_build_object('rel_type', 'm.replace', 'event_id', about))
               ELSE jsonb_build_object('msgtype', 'm.text', 'body', {_TEXT})
                   || CASE WHEN slot % 9 = 4 THEN jsonb_build_object(
                       'format', 'org.matrix.custom.html',
                       'formatted_body', '<p><strong>So:</strong> ' || {_TEXT} || '</p>')
                      ELSE '{{}}' END
                   || CASE WHEN slot % 25 = 3 AND slot > 8 THEN jsonb_build_object('m.relates_to',
                       jsonb_build_object('m.in_reply_to', jsonb_build_object(
                           'event_id', {_id("number", "slot - 5")})))
                      ELSE '{{}}' END
                   || CASE WHEN slot % 40 = 11 THEN jsonb_build_object('m.mentions',
                       jsonb_build_object('user_ids', jsonb_build_array(reader)))
                      ELSE '{{}}' END
           END)::text, 'UTF8'),
           slot % 20 NOT IN (7, 13), 'push', slot % 20 NOT IN (7, 13), about,
           slot % 20 IN (6, 11) AND slot + 2 <= events
    FROM (
        SELECT room.number, room_id, events, slot, (SELECT max(position) FROM log) AS began,
               row_number() OVER (ORDER BY slot::float / events, room.number) AS position,
               (SELECT sum(events) FROM room)::bigint AS total,
               CASE slot % 20 WHEN 7 THEN {_id("room.number", "slot - 1")}
                              WHEN 13 THEN {_id("room.number", "slot - 2")} END AS about,
               (slot - CASE slot % 20 WHEN 13 THEN 2 ELSE 0 END) * 48271 / 7 % members
                   AS index,
               (SELECT mxid FROM member WHERE index = 0 LIMIT 1) AS reader
        FROM room CROSS JOIN LATERAL generate_series(1, events::bigint) AS slot
    ) AS each
    JOIN member USING (number, index)
    """,  # noqa: S608
    """
    INSERT INTO relation (event_id, room_id, target, kind, key, sender, timestamp)
    SELECT event_id, room_id, about, CASE type WHEN 'm.reaction' THEN 'reaction' ELSE 'edit' END,
           CASE type WHEN 'm.reaction' THEN '👍' END, sender, timestamp
    FROM log WHERE about IS NOT NULL
    """,
    """
    UPDATE log SET revision = change.position
    FROM log AS change WHERE change.about = log.event_id
    """,
    """
    INSERT INTO mention (event_id, mxid, room_id, sort_key)
    SELECT event_id, (SELECT mxid FROM member WHERE index = 0 LIMIT 1), room_id, sort_key
    FROM log WHERE line AND position('m.mentions'::bytea IN content) > 0
    """,
    "UPDATE log_head SET position = (SELECT max(position) FROM log)",
    "UPDATE portal SET open = true",
]

_AFTERWARDS = [
    # Most rooms are read to the end or nearly, some are far behind, some were never opened.
    """
    INSERT INTO read_mark (room_id, mxid, event_id, sort_key, timestamp,
                           shown_event_id, shown_sort_key, shown_timestamp)
    SELECT member.room_id, member.mxid, log.event_id, log.sort_key, log.timestamp,
           log.event_id, log.sort_key, log.timestamp
    FROM (
        SELECT room_id, mxid, row_number() OVER (PARTITION BY room_id ORDER BY mxid = $1 DESC, mxid)
                              AS index,
               row_number() OVER (PARTITION BY mxid ORDER BY room_id) AS number
        FROM room_member
    ) AS member
    CROSS JOIN LATERAL (
        SELECT event_id, sort_key, timestamp FROM log
        WHERE log.room_id = member.room_id AND log.counted
        ORDER BY sort_key DESC LIMIT 1
        OFFSET CASE number % 10 WHEN 1 THEN 40 WHEN 2 THEN 500 WHEN 3 THEN 4 ELSE 0 END
    ) AS log
    WHERE index <= 40 AND (member.mxid <> $1 OR number % 10 <> 4)
    """,
]
