"""The list of rooms of somebody who is in 500 of them: how long the database takes, and all of it.

The database's time is that of every statement of one call, from asking to the last row, those that
begin and end the transaction too. All of it is the call with what is done with the rows, and the
answer as JSON. The lowest decile says what it takes when nobody else wants the processors: on a
busy machine it is steadier than the median.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from openmeet_bridge.api.rooms import listing
from openmeet_bridge.bridge.room_lists import RoomLists
from openmeet_bridge.bridge.unread import UnreadState
from openmeet_bridge.core.ids import Position
from openmeet_bridge.storage.database import Database
from openmeet_bridge.storage.embedded import EmbeddedPostgres
from openmeet_bridge.stream.broadcast import Broadcast
from openmeet_bridge.stream.bus import LocalBus
from openmeet_bridge.stream.hub import Hub

from . import chat_database, world
from .chat_database import QUICK, ChatDatabase, Size
from .loop import on_loop
from .report import Report
from .samples import percentile

_TARGET_MS = 20.0
_CALLS = 200

_MARKS = {
    "typical: every tenth room unread": "CASE WHEN number % 10 = 0 THEN 3 ELSE 0 END",
    "99 unread in every room": "99",
    "more than 100 unread in every room": "150",
}


class _Watch:
    """How long the statements of a call took (ms), and how many there were."""

    def __init__(self) -> None:
        self.database = 0.0
        self.statements = 0

    def note(self, query: Any) -> None:
        self.database += query.elapsed * 1000
        self.statements += 1


def run(home: Path, postgres: EmbeddedPostgres, *, quick: bool) -> list[Report]:
    """Measure."""
    made = chat_database.make(postgres, QUICK if quick else Size())
    return [on_loop(_measure(made, 20 if quick else _CALLS))]


async def _measure(made: ChatDatabase, calls: int) -> Report:
    columns = (
        *("case", "rooms", "statements"),
        *("database p10 ms", "database p50 ms", "database p99 ms", "target ms", ""),
        *("all p10 ms", "all p50 ms", "all p99 ms", "totals p50 ms", "KB"),
    )
    report = Report("The list of rooms", columns)
    for case, offset in _MARKS.items():
        await _set_marks(made, offset)
        report.rows.append((case, *await _case(made, calls)))
    report.notes.append("The target is for the database's p50. Totals are `GET /unread`.")
    return report


async def _case(made: ChatDatabase, calls: int) -> tuple[str | float | int, ...]:
    database = Database(made.dsn, size=1)
    lists = RoomLists(database, world.NAMING)
    unread = UnreadState(database, Broadcast(Hub("0badcafe", Position(0)), LocalBus()))
    in_database, in_all, totals = [], [], []
    rooms, size, watch = 0, 0, _Watch()
    try:
        for _ in range(calls):
            began = time.perf_counter()
            found, cursor = await lists.rooms(world.TENANT, made.reader)
            size = len(msgspec.json.encode(listing(found, cursor)))
            in_all.append((time.perf_counter() - began) * 1000)
            rooms = len(found)
            began = time.perf_counter()
            await unread.totals(world.TENANT, made.reader)
            totals.append((time.perf_counter() - began) * 1000)
        async with database.connection() as connection:  # the only one that there is
            connection.add_query_logger(watch.note)
        for _ in range(calls):
            watch.database, watch.statements = 0.0, 0
            await lists.rooms(world.TENANT, made.reader)
            await asyncio.sleep(0.001)  # what was watched is told a moment later
            in_database.append(watch.database)
    finally:
        await database.close()
    database_ms = _spread(in_database)
    return (
        *(rooms, watch.statements, *database_ms, _TARGET_MS),
        "met" if database_ms[1] < _TARGET_MS else "missed",
        *(*_spread(in_all), percentile(totals, 0.5), size // 1000),
    )


def _spread(samples: Sequence[float]) -> tuple[float, float, float]:
    """Return the lowest decile, the median, and what 99 of 100 stay below."""
    return percentile(samples, 0.1), percentile(samples, 0.5), percentile(samples, 0.99)


async def _set_marks(made: ChatDatabase, offset: str) -> None:
    """Let the reader have read every room, but for as many messages as SQL says by its number."""
    connection = await asyncpg.connect(made.dsn)
    try:
        await connection.execute(
            f"""
            INSERT INTO read_mark (room_id, mxid, event_id, sort_key, timestamp)
            SELECT mine.room_id, mine.mxid, log.event_id, log.sort_key, log.timestamp
            FROM (
                SELECT room_id, mxid, row_number() OVER (ORDER BY room_id) AS number
                FROM room_member WHERE mxid = $1
            ) AS mine
            CROSS JOIN LATERAL (
                SELECT event_id, sort_key, timestamp FROM log
                WHERE log.room_id = mine.room_id AND log.counted
                ORDER BY sort_key DESC LIMIT 1 OFFSET {offset}
            ) AS log
            ON CONFLICT (room_id, mxid) DO UPDATE SET
                event_id = excluded.event_id, sort_key = excluded.sort_key
            """,  # noqa: S608  (constants only)
            made.reader,
        )
        await connection.execute("VACUUM ANALYZE read_mark")
    finally:
        await connection.close()
