"""Edits and reactions, by the event that they change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.ids import EventId, Mxid, Position, RoomId
from .database import Connection


@dataclass(frozen=True, slots=True)
class RelationRow:
    """An event that changes another."""

    event_id: EventId
    room_id: RoomId
    target: EventId
    kind: str
    key: str | None
    sender: Mxid
    timestamp: int
    redacted: bool


async def insert(connection: Connection, rows: Sequence[RelationRow]) -> None:
    """Note relations, whether their targets are known or not."""
    await connection.execute(
        """
        INSERT INTO relation (event_id, room_id, target, kind, key, sender, timestamp, redacted)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],
                             $6::text[], $7::bigint[], $8::bool[])
        ON CONFLICT DO NOTHING
        """,
        [row.event_id for row in rows],
        [row.room_id for row in rows],
        [row.target for row in rows],
        [row.kind for row in rows],
        [row.key for row in rows],
        [row.sender for row in rows],
        [row.timestamp for row in rows],
        [row.redacted for row in rows],
    )


async def redact(connection: Connection, targets: Sequence[tuple[RoomId, EventId]]) -> None:
    """Let relations count no longer whose events were redacted: ``(room, event)``."""
    await connection.execute(
        """
        UPDATE relation SET redacted = true
        FROM unnest($1::text[], $2::text[]) AS given (room_id, event_id)
        WHERE relation.event_id = given.event_id AND relation.room_id = given.room_id
        """,
        [room_id for room_id, _ in targets],
        [event_id for _, event_id in targets],
    )


async def touch(
    connection: Connection, changes: Sequence[tuple[RoomId, EventId, Position]]
) -> None:
    """Give lines a new revision: ``(room, event, position of what changed it)``."""
    await connection.execute(
        """
        UPDATE log SET related = log.related OR relation.yes,
                       revision = greatest(log.revision, log.position, given.position)
        FROM (
            SELECT room_id, event_id, max(position) AS position
            FROM unnest($1::text[], $2::text[], $3::bigint[]) AS one (room_id, event_id, position)
            GROUP BY room_id, event_id
        ) AS given
        CROSS JOIN LATERAL (
            SELECT EXISTS (SELECT FROM relation WHERE target = given.event_id
                           AND room_id = given.room_id AND NOT redacted) AS yes
        ) AS relation
        WHERE log.event_id = given.event_id AND log.room_id = given.room_id
        """,
        [room_id for room_id, _, _ in changes],
        [event_id for _, event_id, _ in changes],
        [position for _, _, position in changes],
    )


async def blank_edits(connection: Connection, targets: Sequence[EventId]) -> None:
    """Blank the edits of these events where the events themselves were redacted.

    What a deleted message once said, or came to say, is kept nowhere.
    """
    await connection.execute(
        """
        UPDATE log SET content = '{}'::bytea
        FROM relation JOIN log AS target
             ON target.event_id = relation.target AND target.room_id = relation.room_id
        WHERE relation.target = ANY($1::text[]) AND relation.kind = 'edit'
              AND target.redacted_by IS NOT NULL AND log.event_id = relation.event_id
        """,
        targets,
    )


async def abouts(
    connection: Connection, events: Sequence[tuple[RoomId, EventId]]
) -> dict[EventId, EventId]:
    """Return of these events, where they change lines themselves, whose."""
    rows = await connection.fetch(
        """
        SELECT log.event_id, log.about
        FROM log JOIN unnest($1::text[], $2::text[]) AS given (room_id, event_id)
             USING (room_id, event_id)
        WHERE log.about IS NOT NULL
        """,
        [room_id for room_id, _ in events],
        [event_id for _, event_id in events],
    )
    return {row["event_id"]: row["about"] for row in rows}


@dataclass(frozen=True, slots=True)
class EditRow:
    """The edit of an event that counts: the newest one by the same sender."""

    target: EventId
    event_id: EventId
    timestamp: int
    content: bytes
    count: int


# Which edits count: client-server API, "Validity of edits". A target's edits are in order by what
# its sender's server claims, then by event id: the same one is the newest however they came.
_EDITS = """
    FROM unnest($1::text[], $2::text[]) AS given (room_id, event_id)
    JOIN log AS target ON target.event_id = given.event_id AND target.room_id = given.room_id
    JOIN relation ON relation.target = given.event_id AND relation.room_id = given.room_id
    JOIN log AS edit ON edit.event_id = relation.event_id
    WHERE relation.kind = 'edit' AND NOT relation.redacted AND target.redacted_by IS NULL
          AND relation.sender = target.sender AND edit.type = target.type
          AND target.line AND target.state_key IS NULL
"""


async def newest_edits(
    connection: Connection, targets: Sequence[tuple[RoomId, EventId]]
) -> dict[EventId, EditRow]:
    """Return the edit of each of these events that counts. Each event must be given once."""
    rows = await connection.fetch(
        f"""
        SELECT DISTINCT ON (relation.target) relation.target, relation.event_id,
               relation.timestamp, edit.content,
               count(*) OVER (PARTITION BY relation.target) AS count
        {_EDITS}
        ORDER BY relation.target, relation.timestamp DESC, relation.event_id DESC
        """,
        [room_id for room_id, _ in targets],
        [event_id for _, event_id in targets],
    )
    return {row["target"]: EditRow(**dict(row)) for row in rows}


async def edits(
    connection: Connection, room_id: RoomId, target: EventId, limit: int
) -> list[EditRow]:
    """Return the newest edits of an event that count, oldest first."""
    rows = await connection.fetch(
        f"""
        SELECT relation.target, relation.event_id, relation.timestamp, edit.content,
               count(*) OVER () AS count
        {_EDITS}
        ORDER BY relation.timestamp DESC, relation.event_id DESC LIMIT $3
        """,
        [room_id],
        [target],
        limit,
    )
    return [EditRow(**dict(row)) for row in reversed(rows)]


@dataclass(frozen=True, slots=True)
class ReactionRow:
    """How many people reacted to an event with one key, and who the first of them are."""

    target: EventId
    key: str
    count: int
    senders: list[Mxid]


async def reactions(
    connection: Connection, targets: Sequence[tuple[RoomId, EventId]], most_people: int
) -> dict[EventId, list[ReactionRow]]:
    """Return the reactions to these events, the first key first; each person counts once.

    Each event must be given once.
    """
    rows = await connection.fetch(
        """
        SELECT target, key, count(*) AS count,
               (array_agg(sender ORDER BY first, sender))[1:$3] AS senders
        FROM (
            SELECT relation.target, relation.key, relation.sender, min(timestamp) AS first
            FROM unnest($1::text[], $2::text[]) AS given (room_id, event_id)
            JOIN relation ON relation.target = given.event_id
                          AND relation.room_id = given.room_id
            WHERE relation.kind = 'reaction' AND NOT relation.redacted
            GROUP BY relation.target, relation.key, relation.sender
        ) AS each
        GROUP BY target, key ORDER BY target, min(first), key
        """,
        [room_id for room_id, _ in targets],
        [event_id for _, event_id in targets],
        most_people,
    )
    found: dict[EventId, list[ReactionRow]] = {}
    for row in rows:
        found.setdefault(row["target"], []).append(ReactionRow(**dict(row)))
    return found


@dataclass(frozen=True, slots=True)
class RedactionRow:
    """The event that blanked another."""

    event_id: EventId
    room_id: RoomId
    sender: Mxid
    timestamp: int
    content: bytes


async def redactions(
    connection: Connection, event_ids: Sequence[EventId]
) -> dict[EventId, RedactionRow]:
    """Return these redactions, by event id."""
    rows = await connection.fetch(
        """
        SELECT event_id, room_id, sender, timestamp, content FROM log
        WHERE event_id = ANY($1::text[])
        """,
        event_ids,
    )
    return {row["event_id"]: RedactionRow(**dict(row)) for row in rows}
