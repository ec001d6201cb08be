"""The outbox: what people gave us to say or to change, until the homeserver has it.

A row is unique for (tenant, user, client transaction id): however often a browser repeats a
message, there is one row, one Matrix transaction id made from it, and so one event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from ..core.actions import Action
from ..core.ids import ClientTxnId, EventId, Mxid, RoomId, TenantId, UserSlug
from .database import Connection, certain


@dataclass(frozen=True, slots=True)
class Message:
    """A message or a change on its way out, or already there.

    Attributes:
        action: What it does.
        about: The entry that it edits, deletes, or reacts to.
        key: Of a reaction, also of one that is taken back: what it says.
        target: The event that it takes the content of away, where that is known.
        target_row: The row whose event it takes the content of away, where only that is known.
    """

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
    action: Action
    about: EventId | None
    key: str | None
    target: EventId | None
    target_row: int | None

    @property
    def own_id(self) -> ClientTxnId | None:
        """The client's own id of it; what is known by what it is about has none."""
        has_one = self.action in (Action.SEND, Action.EDIT)
        return self.client_txn_id if has_one else None


@dataclass(frozen=True, slots=True)
class Sent:
    """A message whose event is known."""

    id: int
    event_id: EventId


COLUMNS = """id, tenant, user_slug, client_txn_id, room_id, sender, content, state, event_id,
             errcode, error, attempts, first_attempt_at, action, about, key, target, target_row"""

WITHDRAWN = "ORG_OPENMEET_WITHDRAWN"
"""Code of what failed because its sender took it back in time."""


async def put(
    connection: Connection,
    tenant: TenantId,
    user_slug: UserSlug,
    client_txn_id: ClientTxnId,
    room_id: RoomId,
    sender: Mxid,
    content: bytes,
    *,
    action: Action = Action.SEND,
    about: EventId | None = None,
    key: str | None = None,
    target: EventId | None = None,
    target_row: int | None = None,
) -> tuple[Message, bool]:
    """Accept a message or a change; return it as it stands, and whether it is new.

    A message with the same id that is there already is returned unchanged, whatever it says.
    """
    row = await connection.fetchrow(
        f"""
        INSERT INTO outbox (tenant, user_slug, client_txn_id, room_id, sender, content, action,
                            about, key, target, target_row)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT (tenant, user_slug, client_txn_id) DO NOTHING
        RETURNING {COLUMNS}
        """,  # noqa: S608  (constant column list)
        tenant,
        user_slug,
        client_txn_id,
        room_id,
        sender,
        content,
        action,
        about,
        key,
        target,
        target_row,
    )
    if row is not None:
        return message(row), True
    present = await get(connection, tenant, user_slug, client_txn_id)
    return certain(present, "a row of the outbox stays while its user may repeat it"), False


async def put_redactions(
    connection: Connection,
    tenant: TenantId,
    user_slug: UserSlug,
    room_id: RoomId,
    sender: Mxid,
    client_txn_ids: Sequence[ClientTxnId],
    contents: Sequence[bytes],
    targets: Sequence[EventId],
) -> None:
    """Accept many redactions at once: which ids they have, what they hold, and what they blank."""
    await connection.execute(
        """
        INSERT INTO outbox (tenant, user_slug, room_id, sender, action, client_txn_id, content,
                            target)
        SELECT $1, $2, $3, $4, 'delete', * FROM unnest($5::text[], $6::bytea[], $7::text[])
        """,
        tenant,
        user_slug,
        room_id,
        sender,
        client_txn_ids,
        contents,
        targets,
    )


async def get(
    connection: Connection, tenant: TenantId, user_slug: UserSlug, client_txn_id: ClientTxnId
) -> Message | None:
    """Return one of a user's messages by the user's own id of it."""
    row = await connection.fetchrow(
        f"""
        SELECT {COLUMNS} FROM outbox
        WHERE tenant = $1 AND user_slug = $2 AND client_txn_id = $3
        """,  # noqa: S608
        tenant,
        user_slug,
        client_txn_id,
    )
    return message(row) if row else None


async def by_id(connection: Connection, message_id: int) -> Message | None:
    """Return a message."""
    row = await connection.fetchrow(
        f"SELECT {COLUMNS} FROM outbox WHERE id = $1",  # noqa: S608
        message_id,
    )
    return message(row) if row else None


async def settled(connection: Connection, message_ids: Sequence[int]) -> list[int]:
    """Return which of these messages wait no longer, those that are forgotten too."""
    rows = await connection.fetch(
        """
        SELECT given.id FROM unnest($1::bigint[]) AS given (id)
        WHERE NOT EXISTS (
            SELECT FROM outbox WHERE outbox.id = given.id AND outbox.state = 'pending'
        )
        """,
        list(message_ids),
    )
    return [row["id"] for row in rows]


async def pending_count(connection: Connection, room_id: RoomId) -> int:
    """Return how many messages of a room are not sent yet."""
    count = await connection.fetchval(
        "SELECT count(*) FROM outbox WHERE room_id = $1 AND state = 'pending'", room_id
    )
    return int(count)


async def pending_total(connection: Connection) -> int:
    """Return how many messages are not sent yet, in all rooms."""
    return int(await connection.fetchval("SELECT count(*) FROM outbox WHERE state = 'pending'"))


async def withdraw(connection: Connection, message_ids: Sequence[int]) -> list[int]:
    """Take back those of these rows that nobody has tried to send yet; return which those are."""
    rows = await connection.fetch(
        """
        UPDATE outbox SET state = 'failed', errcode = $2, error = $3, failed_at = now()
        WHERE id = ANY($1::bigint[]) AND state = 'pending' AND attempts = 0 RETURNING id
        """,
        message_ids,
        WITHDRAWN,
        "You have taken this back before it was sent.",
    )
    return [row["id"] for row in rows]


async def aim(connection: Connection, message_id: int) -> EventId | None:
    """Return the event that a redaction blanks, once the row is sent that it refers to.

    None where that was never sent: then there is nothing to blank. Whose message it was is known
    from now on.
    """
    target = await connection.fetchval(
        """
        UPDATE outbox
        SET target = done.event_id,
            about = CASE done.action WHEN 'send' THEN done.event_id ELSE outbox.about END
        FROM outbox AS done
        WHERE outbox.id = $1 AND done.id = outbox.target_row AND done.state = 'sent'
        RETURNING outbox.target
        """,
        message_id,
    )
    return EventId(target) if target else None


async def mark_sent(
    connection: Connection, message_id: int, event_id: EventId | None, worker: str | None = None
) -> None:
    """Note that the homeserver has what a row asks for.

    Args:
        connection: The database.
        message_id: The row.
        event_id: The event that it became; None where there was nothing to do.
        worker: Who gives the room's turn back, if nothing else waits there and nobody has called
            for it.
    """
    await connection.execute(
        """
        WITH sent AS (
            UPDATE outbox SET state = 'sent', event_id = $2, sent_at = now(), error = NULL,
                              errcode = NULL
            WHERE id = $1 RETURNING room_id
        )
        DELETE FROM room_turn USING sent
        WHERE room_turn.room_id = sent.room_id AND room_turn.worker = $3 AND NOT called
              AND NOT EXISTS (SELECT FROM outbox AS other WHERE other.room_id = sent.room_id
                              AND other.state = 'pending' AND other.id <> $1)
        """,
        message_id,
        event_id,
        worker,
    )


async def mark_failed(connection: Connection, message_id: int, errcode: str, error: str) -> None:
    """Note that a message can never be sent, and why."""
    await connection.execute(
        """
        UPDATE outbox SET state = 'failed', errcode = $2, error = $3, failed_at = now()
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
        UPDATE outbox SET state = 'failed', errcode = $3, error = $4, failed_at = now()
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
              AND sent_at > now() - interval '1 hour' AND event_id IS NOT NULL
              AND NOT EXISTS (SELECT FROM log WHERE log.event_id = outbox.event_id)
        LIMIT $2
        """,
        older_than,
        limit,
    )
    return [RoomId(row["room_id"]) for row in rows]


async def awaits_echo(
    connection: Connection, tenant: TenantId, sender: Mxid, room_id: RoomId, younger_than: float
) -> bool:
    """Return whether something that somebody sent to a room, some seconds ago, is not in the log.

    Only what the homeserver has taken counts.
    """
    return bool(
        await connection.fetchval(
            """
            SELECT EXISTS (
                SELECT FROM outbox
                WHERE state = 'sent' AND sent_at > now() - make_interval(secs => $4)
                      AND tenant = $1 AND sender = $2 AND room_id = $3
                      AND action = 'send' AND event_id IS NOT NULL
                      AND NOT EXISTS (SELECT FROM log WHERE log.event_id = outbox.event_id)
            )
            """,
            tenant,
            sender,
            room_id,
            younger_than,
        )
    )


async def forget(connection: Connection, older_than: float, limit: int) -> int:
    """Drop rows that were settled some seconds ago; return how many.

    What was sent is still known by the log then. What a row that waits refers to stays.
    """
    done = await connection.execute(
        """
        DELETE FROM outbox WHERE id IN (
            SELECT id FROM (
                SELECT id FROM outbox
                WHERE state = 'sent' AND sent_at < now() - make_interval(secs => $1)
                UNION ALL
                SELECT id FROM outbox
                WHERE state = 'failed' AND failed_at < now() - make_interval(secs => $1)
            ) AS old
            WHERE NOT EXISTS (SELECT FROM outbox AS later
                              WHERE later.target_row = old.id AND later.state = 'pending')
            LIMIT $2
        )
        """,
        older_than,
        limit,
    )
    return int(done.rpartition(" ")[2])


def message(row: asyncpg.Record | dict[str, Any]) -> Message:
    """Return a row of the columns :data:`COLUMNS`."""
    return Message(**{**dict(row), "action": Action(row["action"])})
