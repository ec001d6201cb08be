"""Pages of a room with a million messages: at its end, and at any depth.

Measured is :meth:`Timeline.page` with all that belongs to it: membership, who may read what, the
lines, what has become of them, who has read how far.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import asyncpg

from openmeet_bridge.bridge.history import History
from openmeet_bridge.bridge.pages import Place
from openmeet_bridge.bridge.timeline import Timeline
from openmeet_bridge.core.cursor import order_text
from openmeet_bridge.core.ids import EventId, RoomId
from openmeet_bridge.matrix.homeserver import Homeserver
from openmeet_bridge.storage.database import Connection, Database
from openmeet_bridge.storage.embedded import EmbeddedPostgres

from . import chat_database, world
from .chat_database import ONE_LONG_ROOM, QUICK, ChatDatabase
from .loop import on_loop
from .report import Report
from .samples import percentile

_TARGET_MS = 10.0
_CALLS = 300
_LIMIT = 50
_DEPTHS = 97
_COLUMNS = (
    "page of 50",
    "everybody: p50 ms",
    "p99 ms",
    "kept from newcomers: p50 ms",
    "p99 ms",
    "target ms",
    "",
)

Where = Callable[[asyncpg.Record], Place]
"""From a line somewhere in the room to a place there."""

_PLACES: dict[str, Where] = {
    "the end": lambda _: Place(),
    "before": lambda line: Place(before=order_text(line["sort_key"])),
    "after": lambda line: Place(after=order_text(line["sort_key"])),
    "around": lambda line: Place(around=EventId(line["event_id"])),
    "at a time": lambda line: Place(at=line["timestamp"]),
}


def run(home: Path, postgres: EmbeddedPostgres, *, quick: bool) -> list[Report]:
    """Measure."""
    made = chat_database.make(postgres, QUICK if quick else ONE_LONG_ROOM)
    calls = 20 if quick else _CALLS
    return [on_loop(_measure(made, calls))]


async def _measure(made: ChatDatabase, calls: int) -> Report:
    room_id, connection = made.rooms[0], await asyncpg.connect(made.dsn)
    try:
        count = await connection.fetchval("SELECT count(*) FROM log WHERE counted AND room_id = $1",
                                          room_id)  # fmt: skip
        lines = await _depths(connection, room_id)
        open_room = await _times(made, lines, calls)
        await _restrict(connection, room_id, "joined")
        restricted = await _times(made, lines, calls)
        await _restrict(connection, room_id, "shared")
    finally:
        await connection.close()
    report = Report(f"Pages of a room with {count:,} messages", _COLUMNS)
    for name, one in open_room.items():
        other = restricted[name]
        median, worst = percentile(one, 0.5), percentile(one, 0.99)
        met = "met" if worst < _TARGET_MS else "missed"
        report.rows.append(
            (name, median, worst, percentile(other, 0.5), percentile(other, 0.99), _TARGET_MS, met)
        )
    report.notes = [
        "Each call at another depth of the room, from its beginning to its end. The target is for",
        "the p99 of the room that is open to everybody who is in.",
    ]
    return report


async def _depths(connection: Connection, room_id: RoomId) -> list[asyncpg.Record]:
    """Return lines of a room at all depths."""
    return await connection.fetch(
        """
        SELECT line.* FROM (
            SELECT min(sort_key) AS low, max(sort_key) AS high FROM log WHERE room_id = $1
        ) AS room, generate_series(1, $2) AS part
        CROSS JOIN LATERAL (
            SELECT event_id, sort_key, timestamp FROM log
            WHERE room_id = $1 AND line
                AND sort_key >= low + (high - low) / ($2 + 1) * (1 + (part * 31) % $2)
            ORDER BY sort_key LIMIT 1
        ) AS line
        """,
        room_id,
        _DEPTHS,
    )


async def _times(
    made: ChatDatabase, lines: list[asyncpg.Record], calls: int
) -> dict[str, list[float]]:
    """Return how long pages take (ms)."""
    database = Database(made.dsn, size=1)
    # The log has the room from its beginning: nobody is asked for more.
    history = History(database, cast("Homeserver", None), world.NAMING.bot)
    timeline = Timeline(database, history)
    found: dict[str, list[float]] = {}
    try:
        for name, where in _PLACES.items():
            places = itertools.cycle([where(line) for line in lines])
            await _read(timeline, made, itertools.islice(places, 20))
            found[name] = await _read(timeline, made, itertools.islice(places, calls))
    finally:
        await database.close()
    return found


async def _read(timeline: Timeline, made: ChatDatabase, places: Iterator[Place]) -> list[float]:
    times = []
    for place in places:
        began = time.perf_counter()
        page = await timeline.page(world.TENANT, made.reader, made.rooms[0], place, limit=_LIMIT)
        times.append((time.perf_counter() - began) * 1000)
        assert page.entries
    return times


async def _restrict(connection: Connection, room_id: RoomId, visibility: str) -> None:
    """Let a room keep its history from newcomers, of whom the reader is none; or from nobody."""
    await connection.execute(
        """
        UPDATE log SET content = convert_to(
            json_build_object('history_visibility', $2::text)::text, 'UTF8')
        WHERE room_id = $1 AND type = 'm.room.history_visibility'
        """,
        room_id,
        visibility,
    )
    await connection.execute(
        "UPDATE portal SET open = $2 WHERE room_id = $1", room_id, visibility == "shared"
    )
