"""Turns: of all workers exactly one sends what waits for a room.

A worker takes a room's turn with its first attempt to send something there, and gives it back with
the last (``outbox.mark_sent``); the statements that it needs anyway do that, so that it costs
nothing more to be one of several. A turn is worth as much
as its worker: when that is there no more, the next one who has something for the room takes it.

Somebody who comes in vain leaves a call. What they have was committed before, but whoever has the
turn may have looked before that; so nobody gives a turn back that has been called for.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from ..core.ids import RoomId
from .database import Connection, certain
from .outbox import COLUMNS, Message, message


class Attempt(Enum):
    """What became of the wish to send a message."""

    MADE = auto()
    """It is noted: send it."""
    NEEDLESS = auto()
    """There is nothing to send: it was taken back, or is settled."""
    ANOTHERS = auto()
    """It is another worker's turn, or this one is not entered any more."""


@dataclass(frozen=True, slots=True)
class Next:
    """What is to be sent next in a room.

    Attributes:
        message: The oldest that waits; None where none does.
        called: There was none, but somebody has called for the turn: look again.
    """

    message: Message | None
    called: bool


async def pending_rooms(connection: Connection, worker: str) -> list[RoomId]:
    """Return the rooms that have something to send, and are not another worker's turn."""
    rows = await connection.fetch(
        """
        SELECT room_id FROM (SELECT DISTINCT room_id FROM outbox WHERE state = 'pending') AS room
        WHERE NOT EXISTS (
            SELECT FROM room_turn JOIN worker ON worker.id = room_turn.worker
            WHERE room_turn.room_id = room.room_id AND worker.id <> $1
        )
        """,
        worker,
    )
    return [RoomId(row["room_id"]) for row in rows]


async def next_pending(connection: Connection, room_id: RoomId, worker: str) -> Next:
    """Return what waits the longest in a room; where nothing does, give the room's turn back."""
    found = await connection.fetchrow(
        f"""
        WITH next AS MATERIALIZED (
            SELECT {COLUMNS} FROM outbox WHERE room_id = $1 AND state = 'pending'
            ORDER BY id LIMIT 1
        ), freed AS (
            DELETE FROM room_turn
            WHERE room_id = $1 AND worker = $2 AND NOT called AND NOT EXISTS (SELECT FROM next)
            RETURNING room_id
        )
        SELECT next.*, EXISTS (SELECT FROM room_turn WHERE room_id = $1 AND worker = $2)
                       AND NOT EXISTS (SELECT FROM freed) AS kept
        FROM (VALUES (1)) AS always LEFT JOIN next ON true
        """,  # noqa: S608  (constant column list)
        room_id,
        worker,
    )
    columns = dict(certain(found, "a join with one row on its left has one"))
    kept = bool(columns.pop("kept"))
    if columns["id"] is not None:
        return Next(message(columns), called=False)
    if kept:
        await _answer(connection, room_id, worker)
    return Next(None, called=kept)


async def _answer(connection: Connection, room_id: RoomId, worker: str) -> None:
    """Note that a call was heard: what is looked at after this shows what it was about."""
    await connection.execute(
        "UPDATE room_turn SET called = false WHERE room_id = $1 AND worker = $2", room_id, worker
    )


async def attempt(connection: Connection, asked: Message, worker: str) -> Attempt:
    """Take a room's turn, or keep it, and note that an attempt to send is made, before it is."""
    row = await connection.fetchrow(
        """
        WITH turn AS (
            INSERT INTO room_turn AS held (room_id, worker)
            SELECT $2, id FROM worker WHERE id = $3
            ON CONFLICT (room_id) DO UPDATE SET
                worker = CASE WHEN EXISTS (SELECT FROM worker WHERE id = held.worker)
                              THEN held.worker ELSE excluded.worker END,
                called = held.worker <> excluded.worker
                         AND EXISTS (SELECT FROM worker WHERE id = held.worker)
            RETURNING worker
        ), noted AS (
            UPDATE outbox SET attempts = attempts + 1,
                              first_attempt_at = coalesce(first_attempt_at, now())
            WHERE id = $1 AND state = 'pending' AND EXISTS (SELECT FROM turn WHERE worker = $3)
            RETURNING id
        )
        SELECT EXISTS (SELECT FROM turn WHERE worker = $3) AS mine,
               EXISTS (SELECT FROM noted) AS noted
        """,
        asked.id,
        asked.room_id,
        worker,
    )
    found = certain(row, "a query without a table has a row")
    if not found["mine"]:
        return Attempt.ANOTHERS
    return Attempt.MADE if found["noted"] else Attempt.NEEDLESS


async def forget_dead(connection: Connection) -> None:
    """Drop the turns of workers that are there no more, in rooms where nothing waits."""
    await connection.execute(
        """
        DELETE FROM room_turn
        WHERE NOT EXISTS (SELECT FROM worker WHERE worker.id = room_turn.worker)
        """
    )
