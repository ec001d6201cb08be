"""Messages of the log that OpenMeet is told of: which are new, and what is said of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.entry import fallback_name
from ..core.ids import EventId, Mxid, Position, RoomId, TenantId, UserSlug
from . import event_log
from .database import Connection


@dataclass(frozen=True, slots=True)
class Said:
    """A message as the collector finds it in the log."""

    position: Position
    tenant: TenantId
    event_id: EventId
    content: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """What OpenMeet is told of a message.

    Attributes:
        kind: Of the portal.
        sender_slug: None for somebody who comes from Matrix.
        timestamp: Milliseconds, as claimed by the sender's server.
    """

    tenant: TenantId
    kind: str
    slug: str
    portal_name: str
    url: str | None
    room_id: RoomId
    event_id: EventId
    type: str
    sender: Mxid
    sender_slug: UserSlug | None
    sender_name: str
    timestamp: int
    content: bytes


async def marks(connection: Connection, tenants: Sequence[TenantId]) -> dict[TenantId, Position]:
    """Return up to where the log was read for these tenants, and forget all others.

    For a tenant that is new here that is the end of the log: history is not news.
    """
    await connection.execute("DELETE FROM webhook_mark WHERE tenant <> ALL($1::text[])", tenants)
    await connection.execute(
        """
        INSERT INTO webhook_mark (tenant, position)
        SELECT tenant, position FROM unnest($1::text[]) AS given (tenant), log_head
        ON CONFLICT (tenant) DO NOTHING
        """,
        tenants,
    )
    rows = await connection.fetch("SELECT tenant, position FROM webhook_mark")
    return {row["tenant"]: row["position"] for row in rows}


async def advance(connection: Connection, tenants: Sequence[TenantId], position: Position) -> None:
    """Note that the log was read for these tenants up to a position."""
    await connection.execute(
        "UPDATE webhook_mark SET position = greatest(position, $2) WHERE tenant = ANY($1::text[])",
        tenants,
        position,
    )


async def said_after(
    connection: Connection,
    position: Position,
    tenants: Sequence[TenantId],
    limit: int,
    *,
    bot: Mxid,
    pushed_age: float,
    repaired_age: float,
) -> tuple[list[Said], Position, bool]:
    """Read a piece of the log, and return the messages in it, in log order.

    Args:
        connection: The database.
        position: Where to begin.
        tenants: Whose.
        limit: How many entries are read at most, messages or not.
        bot: Whose words are no news.
        pushed_age: Seconds after which a message is too old to be told.
        repaired_age: The same for one that the homeserver did not push.

    Returns:
        The messages, up to which position they are all there are, and whether there is more.
    """
    # The end of the log first: what is appended between the two is read, and not skipped.
    head = await event_log.head(connection)
    rows = await connection.fetch(
        """
        SELECT position, tenant, event_id, CASE
            WHEN tenant = ANY($2::text[]) AND counted AND redacted_by IS NULL AND sender <> $4
                 AND timestamp > 1000 * (extract(epoch FROM now()) - CASE source
                     WHEN 'repair' THEN $6::float ELSE $5::float END)
            THEN content END AS content
        FROM log WHERE position > $1 ORDER BY position LIMIT $3
        """,
        position,
        tenants,
        limit,
        bot,
        pushed_age,
        repaired_age,
    )
    said = [Said(**dict(row)) for row in rows if row["content"] is not None]
    last = rows[-1]["position"] if rows else position
    full = len(rows) == limit
    return said, last if full else Position(max(last, head.position)), full


async def message(connection: Connection, tenant: TenantId, event_id: EventId) -> Message | None:
    """Return a message; None where it was redacted, or its room is no portal's any more."""
    row = await connection.fetchrow(
        """
        SELECT log.tenant, portal.kind, portal.slug,
               coalesce(directory_portal.name, portal.slug) AS portal_name, directory_portal.url,
               log.room_id, log.event_id, log.type, log.sender, ghost.slug AS sender_slug,
               coalesce(directory_user.name, room_member.name) AS sender_name,
               log.timestamp, log.content
        FROM log
        JOIN portal ON portal.room_id = log.room_id AND portal.tenant = log.tenant
        LEFT JOIN directory_portal
               ON directory_portal.tenant = portal.tenant AND directory_portal.kind = portal.kind
                  AND directory_portal.slug = portal.slug
        LEFT JOIN ghost ON ghost.mxid = log.sender AND ghost.tenant = log.tenant
        LEFT JOIN directory_user
               ON directory_user.tenant = ghost.tenant AND directory_user.slug = ghost.slug
        LEFT JOIN room_member
               ON room_member.room_id = log.room_id AND room_member.mxid = log.sender
        WHERE log.event_id = $2 AND log.tenant = $1 AND log.redacted_by IS NULL
        """,
        tenant,
        event_id,
    )
    if row is None:
        return None
    return Message(**{**row, "sender_name": row["sender_name"] or fallback_name(row["sender"])})


@dataclass(frozen=True, slots=True)
class Listener:
    """One of OpenMeet's members of a room. ``mentioned``: a message means to reach them."""

    slug: UserSlug
    mxid: Mxid
    mentioned: bool


async def listeners(connection: Connection, said: Message, limit: int) -> list[Listener]:
    """Return OpenMeet's members of a message's room, but for the sender and who blocks the sender.

    At most ``limit``, by slug.
    """
    rows = await connection.fetch(
        """
        SELECT ghost.slug, ghost.mxid, EXISTS (
                   SELECT FROM mention
                   WHERE mention.event_id = $6 AND mention.mxid IN (ghost.mxid, '')
               ) AS mentioned
        FROM room_member AS member
        JOIN ghost ON ghost.mxid = member.mxid AND ghost.tenant = $1
        JOIN directory_user AS person
             ON person.tenant = ghost.tenant AND person.slug = ghost.slug AND person.active
        WHERE member.room_id = $2 AND member.membership = 'join' AND NOT member.barred
              AND member.mxid <> $3
              AND NOT EXISTS (
                  SELECT FROM directory_block AS block
                  WHERE block.tenant = $1 AND block.blocker = ghost.slug AND block.blocked = $4
              )
        ORDER BY ghost.slug LIMIT $5
        """,
        said.tenant,
        said.room_id,
        said.sender,
        said.sender_slug,
        limit,
        said.event_id,
    )
    return [Listener(**dict(row)) for row in rows]
