"""The outbox: messages that people gave us, until the homeserver has them.

A row is unique for (tenant, user, client transaction id): however often a browser repeats a
message, there is one row, one Matrix transaction id made from it, and so one event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..core.ids import ClientTxnId, EventId, Mxid, RoomId, TenantId, UserSlug
from .database import Connection, certain


@dataclass(frozen=True, slots=True)
class Message:
    """A message on its way out, or already there."""

    id: int
    tenant: TenantId
    user_slug: UserSlug
    client_txn_id: ClientTxnId
    room_id: RoomId
    sender: Mxid
    content: bytes
    state: str
    event_id: EventId | None
    errcode: str | None
    error: str | None
    attempts: int
    first_attempt_at: datetime | None


@dataclass(frozen=True, slots=True)
class Sent:
    """A message whose event is known."""

    id: int
    event_id: EventId


_COLUMNS = """id, tenant, user_slug, client_txn_id, room_id, sender, content, state, event_id,
              errcode, error, attempts, first_attempt_at"""


async def put(
    connection: Connection,
    tenant: TenantId,
    user_slug: UserSlug,
    client_txn_id: ClientTxnId,
    room_id: RoomId,
    sender: Mxid,
    content: bytes,
) -> tuple[Message, bool]:
    """Accept a message; return it as it stands, and whether it is new.

    A message with the same id that is there already is returned unchanged, whatever it says.
    """
    row = await connection.fetchrow(
        f"""
        INSERT INTO outbox (tenant, user_slug, client_txn_id, room_id, sender, content)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (tenant, user_slug, client_txn_id) DO NOTHING
        RETURNING {_COLUMNS}
        """,  # noqa: S608  (constant column list)
        tenant,
        user_slug,
        client_txn_id,
        room_id,
        sender,
        content,
    )
    if row is not None:
        return Message(**dict(row)), True
    present = await get(connection, tenant, user_slug, client_txn_id)
    return certain(present, "a row of the outbox stays while its user may repeat it"), False


async def get(
    connection: Connection, tenant: TenantId, user_slug: UserSlug, client_txn_id: ClientTxnId
) -> Message | None:
    """Return one of a user's messages by the user's own id of it."""
    row = await connection.fetchrow(
        f"""
        SELECT {_COLUMNS} FROM outbox
        WHERE tenant = $1 AND user_slug = $2 AND client_txn_id = $3
        """,  # noqa: S608
        tenant,
        user_slug,
        client_txn_id,
    )
    return Message(**dict(row)) if row else None


async def by_id(connection: Connection, message_id: int) -> Message | None:
    """Return a message."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM outbox WHERE id = $1",  # noqa: S608
        message_id,
    )
    return Message(**dict(row)) if row else None


async def pending_count(connection: Connection, room_id: RoomId) -> int:
    """Return how many messages of a room are not sent yet."""
    count = await connection.fetchval(
        "SELECT count(*) FROM outbox WHERE room_id = $1 AND state = 'pending'", room_id
    )
    return int(count)


async def pending_total(connection: Connection) -> int:
    """Return how many messages are not sent yet, in all rooms."""
    return int(await connection.fetchval("SELECT count(*) FROM outbox WHERE state = 'pending'"))


async def pending_rooms(connection: Connection) -> list[RoomId]:
    """Return the rooms that have messages to send."""
    rows = await connection.fetch("SELECT DISTINCT room_id FROM outbox WHERE state = 'pending'")
    return [RoomId(row["room_id"]) for row in rows]


async def next_pending(connection: Connection, room_id: RoomId) -> Message | None:
    """Return the oldest message of a room that is not sent yet."""
    row = await connection.fetchrow(
        f"""
        SELECT {_COLUMNS} FROM outbox WHERE room_id = $1 AND state = 'pending'
        ORDER BY id LIMIT 1
        """,  # noqa: S608
        room_id,
    )
    return Message(**dict(row)) if row else None


async def note_attempt(connection: Connection, message_id: int) -> None:
    """Note, before it is made, that an attempt to send is made."""
    await connection.execute(
        """
        UPDATE outbox SET attempts = attempts + 1,
                          first_attempt_at = coalesce(first_attempt_at, now())
        WHERE id = $1
        """,
        message_id,
    )


async def mark_sent(connection: Connection, message_id: int, event_id: EventId) -> None:
    """Note that the homeserver has accepted a message."""
    await connection.execute(
        """
        UPDATE outbox SET state = 'sent', event_id = $2, sent_at = now(), error = NULL,
                          errcode = NULL
        WHERE id = $1
        """,
        message_id,
        event_id,
    )


async def mark_failed(connection: Connection, message_id: int, errcode: str, error: str) -> None:
    """Note that a message can never be sent, and why."""
    await connection.execute(
        """
        UPDATE outbox SET state = 'failed', errcode = $2, error = $3
        WHERE id = $1 AND state = 'pending'
        """,
        message_id,
        errcode,
        error,
    )


async def fail_all_of(
    connection: Connection, tenant: TenantId, user_slug: UserSlug, errcode: str, error: str
) -> list[int]:
    """Note that none of a user's messages that wait can be sent; return which those are."""
    rows = await connection.fetch(
        """
        UPDATE outbox SET state = 'failed', errcode = $3, error = $4
        WHERE tenant = $1 AND user_slug = $2 AND state = 'pending' RETURNING id
        """,
        tenant,
        user_slug,
        errcode,
        error,
    )
    return [row["id"] for row in rows]


async def confirm(
    connection: Connection, echoes: Sequence[tuple[Mxid, str | None, EventId]]
) -> list[Sent]:
    """Mark messages sent whose events came in: ``(sender, client id, event)``.

    The sender must be the ghost that the message is for: the id alone could be anybody's.
    """
    rows = await connection.fetch(
        """
        UPDATE outbox SET state = 'sent', event_id = echo.event_id,
                          sent_at = coalesce(sent_at, now()), error = NULL, errcode = NULL
        FROM unnest($1::text[], $2::text[], $3::text[]) AS echo (sender, client_txn_id, event_id)
        WHERE outbox.sender = echo.sender AND outbox.client_txn_id = echo.client_txn_id
              AND outbox.state <> 'sent'
        RETURNING outbox.id, outbox.event_id
        """,
        [sender for sender, _, _ in echoes],
        [client_txn_id for _, client_txn_id, _ in echoes],
        [event_id for _, _, event_id in echoes],
    )
    return [Sent(row["id"], row["event_id"]) for row in rows]


async def sent_without_echo(connection: Connection, older_than: float, limit: int) -> list[RoomId]:
    """Return rooms of which an event that we sent has not come back for some seconds.

    Only the sends of the last hour are looked at: older gaps are the periodic repair's.
    """
    rows = await connection.fetch(
        """
        SELECT DISTINCT room_id FROM outbox
        WHERE state = 'sent' AND sent_at < now() - make_interval(secs => $1)
              AND sent_at > now() - interval '1 hour'
              AND NOT EXISTS (SELECT FROM log WHERE log.event_id = outbox.event_id)
        LIMIT $2
        """,
        older_than,
        limit,
    )
    return [RoomId(row["room_id"]) for row in rows]
