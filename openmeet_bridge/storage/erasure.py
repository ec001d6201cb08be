"""Erasing a person: how far it is, what there is of them, and our own copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from ..core.erasure import Progress
from ..core.ids import EventId, Mxid, Position, RoomId, TenantId, UserSlug
from . import jobs
from .database import Connection


@dataclass(frozen=True, slots=True)
class Erasure:
    """One person's erasure."""

    tenant: TenantId
    slug: UserSlug
    mxid: Mxid
    requested_at: datetime
    finished_at: datetime | None
    progress: Progress


@dataclass(frozen=True, slots=True)
class Trace:
    """An entry of the log that says something of a person."""

    position: Position
    room_id: RoomId
    event_id: EventId
    sender: Mxid
    type: str
    content: bytes


async def begin(connection: Connection, tenant: TenantId, slug: UserSlug, mxid: Mxid) -> None:
    """Write that a person is to be erased; once is enough."""
    await connection.execute(
        """
        INSERT INTO erasure (tenant, slug, mxid, report) VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING
        """,
        tenant,
        slug,
        mxid,
        _text(Progress()),
    )


async def get(connection: Connection, tenant: TenantId, slug: UserSlug) -> Erasure | None:
    """Return how far a person's erasure is; None where it was never asked for."""
    row = await connection.fetchrow(
        "SELECT * FROM erasure WHERE tenant = $1 AND slug = $2", tenant, slug
    )
    if row is None:
        return None
    values = dict(row)
    progress = msgspec.json.decode(values.pop("report"), type=Progress)
    return Erasure(progress=progress, **values)


async def erased(connection: Connection, mxids: Sequence[Mxid]) -> set[Mxid]:
    """Return which of these people are erased, or are being erased."""
    rows = await connection.fetch("SELECT mxid FROM erasure WHERE mxid = ANY($1::text[])", mxids)
    return {row["mxid"] for row in rows}


async def save(connection: Connection, erasure: Erasure, *, finished: bool = False) -> None:
    """Write how far an erasure is."""
    await connection.execute(
        """
        UPDATE erasure SET report = $3, finished_at = CASE WHEN $4 THEN now() END
        WHERE tenant = $1 AND slug = $2
        """,
        erasure.tenant,
        erasure.slug,
        _text(erasure.progress),
        finished,
    )


def _text(progress: Progress) -> str:
    return msgspec.json.encode(progress).decode()


# What there is of a person


async def rooms_of(connection: Connection, mxid: Mxid, after: str) -> list[RoomId]:
    """Return the rooms in which a person ever was, or was asked to, that follow a room id."""
    rows = await connection.fetch(
        "SELECT room_id FROM room_member WHERE mxid = $1 AND room_id > $2 ORDER BY room_id",
        mxid,
        after,
    )
    return [RoomId(row["room_id"]) for row in rows]


async def present_rooms(connection: Connection, mxid: Mxid) -> list[RoomId]:
    """Return the rooms that a person is in or invited to."""
    rows = await connection.fetch(
        """
        SELECT room_id FROM room_member
        WHERE mxid = $1 AND membership IN ('join', 'invite', 'knock') ORDER BY room_id
        """,
        mxid,
    )
    return [RoomId(row["room_id"]) for row in rows]


# Said by the person; or a membership, which shows name and picture, whoever sent it (also a going,
# beside which the homeserver shows what was before); or the name of a direct chat, which is made of
# the names of its two.
_TRACE = """
    room_id = $1 AND redacted_by IS NULL AND (
        (sender = $2 AND state_key IS NULL AND (
            type <> 'm.room.redaction' OR position('"reason"'::bytea IN content) > 0
        ))
        OR (type = 'm.room.member' AND state_key = $2)
        OR (type = 'm.room.name' AND $3)
    )
"""


async def is_direct_of(connection: Connection, room_id: RoomId) -> bool:
    """Whether a room is, or was, a direct chat."""
    return bool(
        await connection.fetchval(
            """
            SELECT true FROM portal WHERE room_id = $1 AND kind = 'direct'
            UNION ALL
            SELECT true FROM former_room WHERE room_id = $1 AND kind = 'direct' LIMIT 1
            """,
            room_id,
        )
    )


async def traces(
    connection: Connection,
    room_id: RoomId,
    mxid: Mxid,
    after: Position,
    limit: int,
    *,
    with_names: bool,
) -> list[Trace]:
    """Return what a room has of a person and what is not redacted yet, in the log's order."""
    rows = await connection.fetch(
        f"""
        SELECT position, room_id, event_id, sender, type, content FROM log
        WHERE {_TRACE} AND position > $4 ORDER BY position LIMIT $5
        """,  # noqa: S608  (constants only)
        room_id,
        mxid,
        with_names,
        after,
        limit,
    )
    return [Trace(**dict(row)) for row in rows]


async def blank_name(connection: Connection, trace: Trace) -> None:
    """Let a room have no name, as far as we know, if it has the one that was redacted.

    Its portal's job is wanted, which gives it its name of now.
    """
    await connection.execute(
        """
        UPDATE room_state SET content = '{}'::bytea
        WHERE room_id = $1 AND type = 'm.room.name' AND state_key = '' AND content = $2
        """,
        trace.room_id,
        trace.content,
    )
    row = await connection.fetchrow(
        "SELECT tenant, kind, slug FROM portal WHERE room_id = $1", trace.room_id
    )
    if row is not None:
        await jobs.want(connection, TenantId(row["tenant"]), row["kind"], row["slug"])


async def states_set(connection: Connection, room_id: RoomId, mxid: Mxid) -> dict[str, int]:
    """Return which state of a room, memberships aside, a person has set, by type."""
    rows = await connection.fetch(
        """
        SELECT type, count(*) AS n FROM log
        WHERE room_id = $1 AND sender = $2 AND state_key IS NOT NULL AND type <> 'm.room.member'
        GROUP BY type
        """,
        room_id,
        mxid,
    )
    return {row["type"]: row["n"] for row in rows}


async def picture_urls(connection: Connection, tenant: TenantId, slug: UserSlug) -> list[str]:
    """Return the addresses of a user's pictures on OpenMeet, as far as we know them."""
    rows = await connection.fetch(
        """
        SELECT avatar_url AS url FROM directory_user WHERE tenant = $1 AND slug = $2
        UNION
        SELECT avatar_source FROM ghost WHERE tenant = $1 AND slug = $2
        """,
        tenant,
        slug,
    )
    return [row["url"] for row in rows if row["url"]]


# Our own copies


async def blank_entries(connection: Connection, room_id: RoomId, mxid: Mxid) -> int:
    """Blank what a room's entries still say of a person; return how many there were.

    That is for entries whose redaction the homeserver refused. They name themselves as what has
    redacted them.
    """
    done = await connection.execute(
        f"""
        UPDATE log SET content = '{{}}'::bytea, redacted_by = event_id, counted = false
        WHERE {_TRACE} AND type <> 'm.room.name'
        """,  # noqa: S608
        room_id,
        mxid,
        False,
    )
    return int(done.rpartition(" ")[2])


async def forget(connection: Connection, erasure: Erasure) -> dict[str, int]:
    """Delete everything else that we keep of a person; return how much, by kind."""
    tenant, slug, mxid = erasure.tenant, erasure.slug, erasure.mxid
    statements: Sequence[tuple[str, str, tuple[object, ...]]] = (
        (
            "names in rooms",
            """
            UPDATE room_member SET name = NULL, avatar_url = NULL
            WHERE mxid = $1 AND (name IS NOT NULL OR avatar_url IS NOT NULL)
            """,
            (mxid,),
        ),
        ("read marks", "DELETE FROM read_mark WHERE mxid = $1", (mxid,)),
        ("rooms marked as unread", "DELETE FROM unread_flag WHERE mxid = $1", (mxid,)),
        ("mentions", "DELETE FROM mention WHERE mxid = $1", (mxid,)),
        ("edits and reactions", "DELETE FROM relation WHERE sender = $1", (mxid,)),
        ("presence", "DELETE FROM presence WHERE mxid = $1", (mxid,)),
        (
            "preferences",
            "DELETE FROM preference WHERE tenant = $1 AND user_slug = $2",
            (tenant, slug),
        ),
        (
            "messages in the outbox",
            "DELETE FROM outbox WHERE (tenant = $1 AND user_slug = $2) OR sender = $3",
            (tenant, slug, mxid),
        ),
        (
            "stream tickets",
            "DELETE FROM stream_ticket WHERE tenant = $1 AND user_slug = $2",
            (tenant, slug),
        ),
        (
            "events in quarantine",
            "DELETE FROM quarantine WHERE position($1::bytea IN raw) > 0",
            (mxid.encode(),),
        ),
        (
            "notices to OpenMeet",
            "DELETE FROM webhook_event WHERE tenant = $1 AND position($2::bytea IN payload) > 0",
            (tenant, mxid.encode()),
        ),
        (
            "jobs",
            "DELETE FROM job WHERE tenant = $1 AND kind = 'user' AND slug = $2",
            (tenant, slug),
        ),
    )
    counts = {}
    for what, statement, arguments in statements:
        done = await connection.execute(statement, *arguments)
        counts[what] = int(done.rpartition(" ")[2])
    return counts
