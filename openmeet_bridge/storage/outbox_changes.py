"""Changes of entries as they stand: what the log has of them, and what is on its way in the outbox.

A reaction that was given but has not come back yet is there; one whose redaction waits is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.ids import EventId, Mxid, RoomId
from .database import Connection
from .outbox import COLUMNS, Message, message

_LOCKS = 7_301
"""Class of the advisory locks, apart from those of others."""

_COUNTS = "(undone.state = 'pending' OR undone.state = 'sent' AND undone.event_id IS NOT NULL)"
"""Of a redaction: it was made, or will be. One that found nothing to do does not count."""


async def lock(connection: Connection, sender: Mxid, about: EventId) -> None:
    """Let one person's changes of one entry come one after another, until the transaction ends."""
    name = f"{sender} {about}"
    await connection.execute("SELECT pg_advisory_xact_lock($1, hashtext($2))", _LOCKS, name)


async def logged_reactions(
    connection: Connection, room_id: RoomId, sender: Mxid, about: EventId, key: str
) -> list[EventId]:
    """Return somebody's reactions with a key that the log has and nothing is to take away."""
    rows = await connection.fetch(
        f"""
        SELECT relation.event_id FROM relation
        WHERE relation.target = $3 AND relation.kind = 'reaction' AND NOT relation.redacted
              AND relation.room_id = $1 AND relation.sender = $2 AND relation.key = $4
              AND NOT EXISTS (
                  SELECT FROM outbox AS undone
                  LEFT JOIN outbox AS done ON done.id = undone.target_row
                  WHERE undone.about = $3 AND undone.sender = $2 AND undone.action = 'unreact'
                        AND {_COUNTS}
                        AND relation.event_id IN (undone.target, done.event_id)
              )
        ORDER BY relation.timestamp, relation.event_id
        """,  # noqa: S608  (constants only)
        room_id,
        sender,
        about,
        key,
    )
    return [EventId(row["event_id"]) for row in rows]


async def coming_reactions(
    connection: Connection, room_id: RoomId, sender: Mxid, about: EventId, key: str
) -> list[Message]:
    """Return somebody's reactions with a key that the log has not yet, the oldest first."""
    rows = await connection.fetch(
        f"""
        SELECT {COLUMNS} FROM outbox AS mine
        WHERE about = $3 AND sender = $2 AND action = 'react' AND room_id = $1 AND key = $4
              AND (state = 'pending' OR state = 'sent'
                   AND NOT EXISTS (SELECT FROM log WHERE log.event_id = mine.event_id))
              AND NOT EXISTS (
                  SELECT FROM outbox AS undone
                  WHERE undone.about = $3 AND undone.sender = $2 AND undone.action = 'unreact'
                        AND {_COUNTS}
                        AND (undone.target_row = mine.id OR undone.target = mine.event_id)
              )
        ORDER BY id
        """,  # noqa: S608
        room_id,
        sender,
        about,
        key,
    )
    return [message(row) for row in rows]


async def keys(connection: Connection, room_id: RoomId, about: EventId, limit: int) -> set[str]:
    """Return with what people have reacted to an entry, or are about to; not more than so many."""
    rows = await connection.fetch(
        """
        SELECT key FROM relation
        WHERE target = $2 AND room_id = $1 AND kind = 'reaction' AND NOT redacted
        UNION
        SELECT key FROM outbox WHERE about = $2 AND action = 'react' AND state = 'pending'
        LIMIT $3
        """,
        room_id,
        about,
        limit,
    )
    return {row["key"] for row in rows}


async def coming(
    connection: Connection, room_id: RoomId, event_ids: Sequence[EventId]
) -> list[EventId]:
    """Return which of these events were sent to a room by us, but are not in the log yet."""
    rows = await connection.fetch(
        """
        SELECT event_id FROM outbox
        WHERE event_id = ANY($2::text[]) AND room_id = $1
              AND NOT EXISTS (SELECT FROM log WHERE log.event_id = outbox.event_id)
        """,
        room_id,
        event_ids,
    )
    return [EventId(row["event_id"]) for row in rows]


async def last(
    connection: Connection, sender: Mxid, about: EventId, action: str, key: str | None = None
) -> Message | None:
    """Return the newest change of a kind that somebody has asked for, unless it came to nothing."""
    row = await connection.fetchrow(
        f"""
        SELECT {COLUMNS} FROM outbox AS undone
        WHERE about = $2 AND sender = $1 AND action = $3 AND key IS NOT DISTINCT FROM $4
              AND {_COUNTS}
        ORDER BY id DESC LIMIT 1
        """,  # noqa: S608
        sender,
        about,
        action,
        key,
    )
    return message(row) if row else None


async def redaction_of(connection: Connection, row_id: int) -> Message | None:
    """Return what takes back the event of a row, once it is sent."""
    row = await connection.fetchrow(
        f"SELECT {COLUMNS} FROM outbox AS undone WHERE target_row = $1 AND {_COUNTS} LIMIT 1",  # noqa: S608
        row_id,
    )
    return message(row) if row else None


async def is_being_deleted(connection: Connection, room_id: RoomId, about: EventId) -> bool:
    """Whether somebody has asked for an entry to be deleted, and it will be."""
    return bool(
        await connection.fetchval(
            f"""
            SELECT true FROM outbox AS undone
            WHERE about = $2 AND room_id = $1 AND action = 'delete' AND {_COUNTS} LIMIT 1
            """,  # noqa: S608
            room_id,
            about,
        )
    )


async def logged_edits(
    connection: Connection, room_id: RoomId, about: EventId, author: Mxid, limit: int
) -> list[EventId]:
    """Return the edits of a message by its author that still hold its text, the newest first."""
    rows = await connection.fetch(
        """
        SELECT event_id FROM relation
        WHERE target = $2 AND kind = 'edit' AND NOT redacted AND room_id = $1 AND sender = $3
        ORDER BY timestamp DESC, event_id DESC LIMIT $4
        """,
        room_id,
        about,
        author,
        limit,
    )
    return [EventId(row["event_id"]) for row in rows]


async def coming_edits(
    connection: Connection, room_id: RoomId, about: EventId, author: Mxid
) -> list[Message]:
    """Return the edits of a message that the log has not yet, the oldest first."""
    rows = await connection.fetch(
        f"""
        SELECT {COLUMNS} FROM outbox AS mine
        WHERE about = $2 AND sender = $3 AND action = 'edit' AND room_id = $1
              AND (state = 'pending' OR state = 'sent'
                   AND NOT EXISTS (SELECT FROM log WHERE log.event_id = mine.event_id))
        ORDER BY id
        """,  # noqa: S608
        room_id,
        about,
        author,
    )
    return [message(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Logged:
    """An event that a person sent with an id of their own, as the log has it.

    Attributes:
        about: The line that it changes; None where it is one itself.
    """

    room_id: RoomId
    event_id: EventId
    about: EventId | None


async def logged(connection: Connection, sender: Mxid, client_txn_id: str) -> Logged | None:
    """Return the event as which something that a ghost sent is in the log."""
    row = await connection.fetchrow(
        """
        SELECT room_id, event_id, about FROM log
        WHERE sender = $1 AND client_txn_id = $2 ORDER BY position LIMIT 1
        """,
        sender,
        client_txn_id,
    )
    return Logged(**dict(row)) if row else None


async def redacted_by(connection: Connection, room_id: RoomId, event_id: EventId) -> EventId | None:
    """Return what has blanked an event, as far as the log knows."""
    found = await connection.fetchval(
        "SELECT redacted_by FROM log WHERE room_id = $1 AND event_id = $2", room_id, event_id
    )
    return EventId(found) if found else None
