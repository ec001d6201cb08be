"""What is kept of one person, table by table."""

from __future__ import annotations

from typing import Any

from ..core.ids import Mxid, Position, RoomId, TenantId, UserSlug
from .database import Connection

_OF_SLUG: dict[str, str] = {
    "profile": """
        SELECT u.slug, u.openmeet_id, u.name, u.avatar_url, u.active, u.updated_at
        FROM directory_user AS u WHERE tenant = $1 AND slug = $2
    """,
    "matrix_user": """
        SELECT mxid, slug, registered, name, avatar_source, avatar_mxc, directs AS direct_chats,
               ignored, claimed_mxid, erased_at
        FROM ghost WHERE tenant = $1 AND slug = $2
    """,
    "membership_on_openmeet": """
        SELECT kind, slug, role, status FROM directory_member
        WHERE tenant = $1 AND user_slug = $2 ORDER BY kind, slug
    """,
    "operators_word": """
        SELECT kind, slug, inside, reason, at FROM directory_override
        WHERE tenant = $1 AND user_slug = $2 ORDER BY kind, slug
    """,
    "preferences": """
        SELECT presence, receipts FROM preference WHERE tenant = $1 AND user_slug = $2
    """,
    "blocks": """
        SELECT blocked, at FROM directory_block WHERE tenant = $1 AND blocker = $2 ORDER BY blocked
    """,
    # The secret of a ticket is not kept, only its digest; that is no use to anybody.
    "stream_ticket": """
        SELECT expires_at FROM stream_ticket WHERE tenant = $1 AND user_slug = $2
        ORDER BY expires_at
    """,
    "job": """
        SELECT kind, wanted, done, attempts, error, permanent, wanted_at, settled_at FROM job
        WHERE tenant = $1 AND slug = $2 AND kind IN ('user', 'erasure') ORDER BY kind
    """,
    "erasure": """
        SELECT requested_at, finished_at FROM erasure WHERE tenant = $1 AND slug = $2
    """,
}
_OF_GHOST: dict[str, str] = {
    "room": """
        SELECT someone.room_id, portal.kind, portal.slug, someone.membership, someone.name,
               someone.avatar_url, someone.barred
        FROM room_member AS someone LEFT JOIN portal USING (room_id)
        WHERE someone.mxid = $1 ORDER BY someone.room_id
    """,
    "presence": """
        SELECT state, last_seen FROM presence WHERE mxid = $1
    """,
    "marked_unread": """
        SELECT room_id, at FROM unread_flag WHERE mxid = $1 ORDER BY room_id
    """,
    "read_up_to": """
        SELECT room_id, event_id, timestamp FROM read_mark WHERE mxid = $1 ORDER BY room_id
    """,
}

Record = dict[str, Any]


async def of_slug(
    connection: Connection, tenant: TenantId, slug: UserSlug
) -> list[tuple[str, Record]]:
    """Return what is kept under a user's slug, with what it is. Messages are not in it."""
    found = []
    for what, statement in _OF_SLUG.items():
        rows = await connection.fetch(statement, tenant, slug)
        found += [(what, dict(row)) for row in rows]
    return found


async def of_ghost(connection: Connection, mxid: Mxid) -> list[tuple[str, Record]]:
    """Return what is kept under a ghost's Matrix id, with what it is. Events are not in it."""
    found = []
    for what, statement in _OF_GHOST.items():
        found += [(what, dict(row)) for row in await connection.fetch(statement, mxid)]
    return found


async def rooms_of(connection: Connection, mxid: Mxid) -> list[RoomId]:
    """Return the rooms in which a person ever was, or was asked to."""
    rows = await connection.fetch(
        "SELECT room_id FROM room_member WHERE mxid = $1 ORDER BY room_id", mxid
    )
    return [RoomId(row["room_id"]) for row in rows]


async def events(
    connection: Connection, room_id: RoomId, mxid: Mxid, after: Position, limit: int
) -> list[Record]:
    """Return what a person sent to a room, and what was done with their membership of it."""
    rows = await connection.fetch(
        """
        SELECT position, room_id, event_id, type, sender, state_key, timestamp, content,
               redacted_by IS NOT NULL AS redacted, received_at
        FROM log
        WHERE room_id = $1 AND position > $3
              AND (sender = $2 OR (type = 'm.room.member' AND state_key = $2))
        ORDER BY position LIMIT $4
        """,
        room_id,
        mxid,
        after,
        limit,
    )
    return [dict(row) for row in rows]


async def outbox(
    connection: Connection, tenant: TenantId, slug: UserSlug, after: int, limit: int
) -> list[Record]:
    """Return what a user has given us to send, by the number of the row."""
    rows = await connection.fetch(
        """
        SELECT id, client_txn_id, room_id, action, about, key, content, state, event_id, errcode,
               error, attempts, created_at, sent_at
        FROM outbox WHERE tenant = $1 AND user_slug = $2 AND id > $3 ORDER BY id LIMIT $4
        """,
        tenant,
        slug,
        after,
        limit,
    )
    return [dict(row) for row in rows]
