"""How far back the log goes in rooms whose beginning it does not have, and how it goes on there."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.events import CREATE
from ..core.ids import EventId, Position, RoomId
from ..core.visibility import Visibility
from .database import Connection, certain


@dataclass(frozen=True, slots=True)
class Mark:
    """How far back a room was fetched.

    Attributes:
        token: Where the homeserver goes on; None: it was not asked yet.
        visibility: What held before the oldest that the log has; None where nobody knows.
        began: Sort key from which on the log had the room by itself.
        complete: There is no more, or not for us.
    """

    token: str | None = None
    visibility: Visibility | None = None
    began: int = 0
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Depths:
    """Where that begins which may be put below all that there is.

    Attributes:
        position: The lowest of the log, and never above zero.
        sort_key: The lowest of the room; None where the log has nothing of it.
    """

    position: Position
    sort_key: int | None


async def get(connection: Connection, room_id: RoomId) -> Mark:
    """Return how far back the log has a room; it is complete where it has the room's beginning."""
    row = await connection.fetchrow(
        """
        SELECT history.token, history.visibility, coalesce(history.began, 0) AS began,
               EXISTS (SELECT FROM log WHERE room_id = $1 AND type = $2 AND state_key = '')
               OR coalesce(history.complete, false) AS complete
        FROM (SELECT $1::text AS room_id) AS given LEFT JOIN history USING (room_id)
        """,
        room_id,
        CREATE,
    )
    found = certain(row, "one row is given")
    visibility = found["visibility"] and Visibility(found["visibility"])
    return Mark(found["token"], visibility, found["began"], found["complete"])


async def put(connection: Connection, room_id: RoomId, mark: Mark) -> None:
    """Write how far back a room was fetched."""
    await connection.execute(
        """
        INSERT INTO history (room_id, token, visibility, began, complete)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (room_id) DO UPDATE SET
            token = excluded.token, visibility = excluded.visibility, began = excluded.began,
            complete = excluded.complete
        """,
        room_id,
        mark.token,
        mark.visibility,
        mark.began,
        mark.complete,
    )


async def oldest(connection: Connection, room_id: RoomId, limit: int) -> list[tuple[EventId, int]]:
    """Return the oldest events that the log has of a room, the oldest first, with sort keys."""
    rows = await connection.fetch(
        """
        SELECT event_id, sort_key FROM log WHERE room_id = $1 ORDER BY sort_key LIMIT $2
        """,
        room_id,
        limit,
    )
    return [(row["event_id"], row["sort_key"]) for row in rows]


async def depths(connection: Connection, room_id: RoomId) -> Depths:
    """Return below what older events are to be put. The caller holds the lock of the log."""
    row = await connection.fetchrow(
        """
        SELECT least(0, (SELECT min(position) FROM log)) AS position,
               (SELECT min(sort_key) FROM log WHERE room_id = $1) AS sort_key
        """,
        room_id,
    )
    found = certain(row, "one row is made")
    return Depths(Position(found["position"]), found["sort_key"])
