"""The log: every event of our rooms, in one order, kept once.

Appending takes the row lock of ``log_head`` first. So appends come one after another, positions
have no gaps, and an entry is committed before a later one can be: a reader that has seen
position *n* will never find a new entry at or below *n*.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..core.ids import EventId, Mxid, Position, RoomId, TenantId
from . import room_summaries
from .database import Connection, certain

_ASIDE = -(1 << 61)
"""Below all places that entries have in timelines."""


@dataclass(slots=True)
class Row:
    """A row of the log, ready to be written."""

    position: Position
    event_id: EventId
    room_id: RoomId
    tenant: TenantId | None
    sort_key: int
    type: str
    sender: Mxid
    state_key: str | None
    timestamp: int
    content: bytes
    client_txn_id: str | None
    counted: bool
    effect: int
    redacted_by: EventId | None
    source: str
    line: bool
    about: EventId | None
    related: bool


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the log."""

    position: Position
    epoch: str


async def head(connection: Connection) -> Head:
    """Return the end of the log as it is committed now."""
    found = await connection.fetchrow("SELECT position, epoch FROM log_head")
    row = certain(found, "log_head has one row since the first migration")
    return Head(Position(row["position"]), row["epoch"])


async def lock(connection: Connection) -> Position:
    """Become the only one who appends until the transaction ends; return the last position."""
    position = await connection.fetchval("SELECT position FROM log_head FOR UPDATE")
    return Position(position)


async def advance(connection: Connection, position: Position) -> None:
    """Move the end of the log. The caller holds :func:`lock`."""
    await connection.execute("UPDATE log_head SET position = $1", position)


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of an event before it is appended."""

    known: bool
    tenant: TenantId | None
    redaction: EventId | None
    related: bool


async def look_up(
    connection: Connection, events: Sequence[tuple[EventId, RoomId]]
) -> dict[EventId, Found]:
    """Return whether the log has these events, whose rooms they are of, and what redacts them."""
    rows = await connection.fetch(
        """
        SELECT given.event_id, log.event_id IS NOT NULL AS known, portal.tenant,
               pending_redaction.redaction,
               EXISTS (SELECT FROM relation WHERE relation.target = given.event_id
                       AND relation.room_id = given.room_id AND NOT relation.redacted) AS related
        FROM unnest($1::text[], $2::text[]) AS given (event_id, room_id)
        LEFT JOIN log ON log.event_id = given.event_id
        LEFT JOIN portal ON portal.room_id = given.room_id
        LEFT JOIN pending_redaction ON pending_redaction.room_id = given.room_id
                                   AND pending_redaction.target = given.event_id
        """,
        [event_id for event_id, _ in events],
        [room_id for _, room_id in events],
    )
    return {row[0]: Found(row[1], row[2], row[3], row[4]) for row in rows}


async def known(connection: Connection, event_ids: Sequence[EventId]) -> set[EventId]:
    """Return which of these events are in the log already."""
    rows = await connection.fetch(
        "SELECT event_id FROM log WHERE event_id = ANY($1::text[])", event_ids
    )
    return {row["event_id"] for row in rows}


async def insert(connection: Connection, rows: Sequence[Row], position: Position) -> None:
    """Write rows, and move the end of the log to a position.

    The caller holds :func:`lock` and has left out what is known already.
    """
    await connection.execute(
        """
        WITH moved AS (UPDATE log_head SET position = $19)
        INSERT INTO log (position, event_id, room_id, tenant, sort_key, type, sender, state_key,
                         timestamp, content, client_txn_id, counted, effect, redacted_by, source,
                         line, about, related)
        SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[],
                             $6::text[], $7::text[], $8::text[], $9::bigint[], $10::bytea[],
                             $11::text[], $12::bool[], $13::smallint[], $14::text[], $15::text[],
                             $16::bool[], $17::text[], $18::bool[])
        """,
        *_columns(rows),
        position,
    )


async def redact(connection: Connection, targets: Iterable[tuple[RoomId, EventId, EventId]]) -> int:
    """Blank events for good: ``(room, target, redaction)``; return how many there were.

    The content is overwritten, not hidden; only who may read the room stays what it was (room
    versions, "Redactions"). A redaction that names an event of another room does
    nothing. Of several redactions of one event the earliest is named, whichever came first.
    """
    rooms, events, redactions = zip(*targets, strict=True)
    done = await connection.execute(
        """
        UPDATE log SET redacted_by = redaction, counted = false,
                       content = CASE type WHEN 'm.room.history_visibility' THEN content
                                           ELSE '{}'::bytea END
        FROM unnest($1::text[], $2::text[], $3::text[]) AS given (room_id, target, redaction)
        WHERE log.event_id = target AND log.room_id = given.room_id AND (
            log.redacted_by IS NULL
            OR (SELECT row(timestamp, event_id) FROM log AS one WHERE event_id = redaction)
               < (SELECT row(timestamp, event_id) FROM log AS one WHERE event_id = log.redacted_by)
        )
        """,
        rooms,
        events,
        redactions,
    )
    return int(done.rpartition(" ")[2])


async def expect_redactions(
    connection: Connection, targets: Iterable[tuple[RoomId, EventId, EventId]]
) -> None:
    """Remember redactions whose target may come later: ``(room, target, redaction)``.

    Of several the earliest is remembered; see :func:`redact`.
    """
    rooms, events, redactions = zip(*targets, strict=True)
    await connection.execute(
        """
        INSERT INTO pending_redaction (room_id, target, redaction)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS given (room_id, target, by)
        WHERE NOT EXISTS (SELECT FROM log WHERE log.event_id = given.target)
        ON CONFLICT (room_id, target) DO UPDATE SET redaction = excluded.redaction
        WHERE (SELECT row(timestamp, event_id) FROM log WHERE event_id = excluded.redaction)
              < (SELECT row(timestamp, event_id) FROM log
                 WHERE event_id = pending_redaction.redaction)
        """,
        rooms,
        events,
        redactions,
    )


async def adopt(connection: Connection, room_id: RoomId, tenant: TenantId) -> Position:
    """Give a room's entries, logged before the room was known, to its tenant.

    They get new positions: at the old ones no stream has seen them, and none looks back.

    Returns:
        The end of the log.
    """
    end = await lock(connection)
    moved = await connection.fetchval(
        """
        WITH anew AS (
            SELECT position AS old, $3 + row_number() OVER (ORDER BY position) AS new
            FROM log WHERE room_id = $1 AND tenant IS NULL
        ), memberships AS (
            UPDATE room_member SET since = anew.new FROM anew
            WHERE room_member.room_id = $1 AND room_member.since = anew.old
        ), entries AS (
            UPDATE log SET tenant = $2, position = anew.new FROM anew
            WHERE log.position = anew.old RETURNING 1
        )
        SELECT count(*) FROM entries
        """,
        room_id,
        tenant,
        end,
    )
    if moved:
        await advance(connection, Position(end + moved))
        await room_summaries.renew_messages(connection, [room_id])
    return Position(end + moved)


async def part(connection: Connection, room_id: RoomId) -> Position:
    """Let streams see that everybody who is in a room is out of it for us: it has a successor.

    Nobody leaves on Matrix. That somebody is out is said by the entry that brought them in, at a
    new position.

    Returns:
        The end of the log.
    """
    end = await lock(connection)
    moved = await connection.fetchval(
        """
        WITH comings AS (
            SELECT DISTINCT ON (log.state_key) log.position
            FROM log JOIN room_member AS member
                 ON member.room_id = log.room_id AND member.mxid = log.state_key
            WHERE log.room_id = $1 AND log.effect > 0 AND log.tenant IS NOT NULL
                  AND member.membership = 'join'
            ORDER BY log.state_key, log.position DESC
        ), anew AS (
            SELECT position AS old, $2 + row_number() OVER (ORDER BY position) AS new FROM comings
        ), entries AS (
            UPDATE log SET position = anew.new, effect = -1 FROM anew
            WHERE log.position = anew.old RETURNING 1
        )
        SELECT count(*) FROM entries
        """,
        room_id,
        end,
    )
    if moved:
        await advance(connection, Position(end + moved))
    return Position(end + moved)


async def sort_keys(
    connection: Connection, room_id: RoomId, event_ids: Sequence[EventId]
) -> dict[EventId, int]:
    """Return where these events stand in their room's timeline."""
    rows = await connection.fetch(
        """
        SELECT event_id, sort_key FROM log
        WHERE room_id = $1 AND event_id = ANY($2::text[])
        """,
        room_id,
        event_ids,
    )
    return {row["event_id"]: row["sort_key"] for row in rows}


async def bounds(
    connection: Connection, room_id: RoomId, span: Sequence[EventId], fetched_at: Position
) -> tuple[int, int | None]:
    """Return the sort keys between which a span of a room belongs.

    What was logged up to ``fetched_at`` and is not part of the span came before it; what was
    logged later and is not part of it came after it.
    """
    below = await connection.fetchval(
        """
        SELECT sort_key FROM log
        WHERE room_id = $1 AND event_id <> ALL($2::text[]) AND position <= $3
        ORDER BY sort_key DESC LIMIT 1
        """,
        room_id,
        span,
        fetched_at,
    )
    lower = 0 if below is None else below
    ceiling = await connection.fetchval(
        """
        SELECT min(sort_key) FROM log
        WHERE room_id = $1 AND event_id <> ALL($2::text[]) AND position > $3 AND sort_key > $4
        """,
        room_id,
        span,
        fetched_at,
        lower,
    )
    return lower, ceiling


@dataclass(frozen=True, slots=True)
class StateRow:
    """The newest event of a room for a type and state key."""

    event_id: EventId
    sort_key: int
    content: bytes


async def newest_state(
    connection: Connection, room_id: RoomId, event_type: str, state_key: str
) -> StateRow | None:
    """Return the last event of a room, in the order of its timeline, for a piece of state."""
    row = await connection.fetchrow(
        """
        SELECT event_id, sort_key, content FROM log
        WHERE room_id = $1 AND type = $2 AND state_key = $3
        ORDER BY sort_key DESC LIMIT 1
        """,
        room_id,
        event_type,
        state_key,
    )
    return StateRow(**dict(row)) if row else None


async def move(connection: Connection, moves: Sequence[tuple[EventId, Position, int]]) -> None:
    """Put entries elsewhere in their timelines: ``(event, new position, new sort key)``.

    The new position makes every stream see the entry again, in its right place. Only an entry by
    which somebody came or went keeps its position: a stream that has not got there yet must find
    it where it took effect, or it would show the one who went what came after.
    """
    events, positions, keys = zip(*moves, strict=True)
    # First out of the way: a new key may be one that another of them still has.
    await connection.execute(
        "UPDATE log SET sort_key = $2 - position WHERE event_id = ANY($1::text[])", events, _ASIDE
    )
    await connection.execute(
        """
        UPDATE log SET position = CASE effect WHEN 0 THEN new_position ELSE position END,
                       sort_key = new_key
        FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS given (moved, new_position, new_key)
        WHERE event_id = moved
        """,
        events,
        positions,
        keys,
    )


async def coming(connection: Connection, room_id: RoomId, mxid: Mxid) -> EventId | None:
    """Return the entry by which somebody came into a room last."""
    event_id = await connection.fetchval(
        """
        SELECT event_id FROM log WHERE room_id = $1 AND state_key = $2 AND effect > 0
        ORDER BY position DESC LIMIT 1
        """,
        room_id,
        mxid,
    )
    return EventId(event_id) if event_id else None


async def take_effect(
    connection: Connection, event_id: EventId, position: Position, effect: int
) -> None:
    """Let an entry say, at a new position, that somebody came or went."""
    await connection.execute(
        "UPDATE log SET position = $2, effect = $3 WHERE event_id = $1", event_id, position, effect
    )


def _columns(rows: Sequence[Row]) -> list[list[object]]:
    return [
        [row.position for row in rows],
        [row.event_id for row in rows],
        [row.room_id for row in rows],
        [row.tenant for row in rows],
        [row.sort_key for row in rows],
        [row.type for row in rows],
        [row.sender for row in rows],
        [row.state_key for row in rows],
        [row.timestamp for row in rows],
        [row.content for row in rows],
        [row.client_txn_id for row in rows],
        [row.counted for row in rows],
        [row.effect for row in rows],
        [row.redacted_by for row in rows],
        [row.source for row in rows],
        [row.line for row in rows],
        [row.about for row in rows],
        [row.related for row in rows],
    ]
