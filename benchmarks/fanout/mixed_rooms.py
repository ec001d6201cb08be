"""A small room beside a large one: nobody waits for another room's readers."""

from __future__ import annotations

import time

from ..report import Report
from .bench import FLOOR, NCHAN, NODE, Bench
from .found import Found, Goal
from .layout import BESIDE, ONE_ROOM
from .servers import Starter
from .spread import Spread

_LARGE = 9000
_LOAD = 72_000
_SMALL_RATE = 50
_COLUMNS = ("server", "small alone: p99 ms", "beside: p50 ms", "p99 ms", "large: p99 ms", "core %")

Row = tuple[float, float, float, float, float]


def run(bench: Bench) -> Found:
    """Measure."""
    large = bench.most_readers(_LARGE // 3 if bench.quick else _LARGE)
    report = Report(
        f"{BESIDE.readers} readers at {_SMALL_RATE} events/s beside {large:,} at {_LOAD:,} "
        "deliveries/s",
        _COLUMNS,
    )
    found = Found(reports=[report])
    starters = bench.others(FLOOR, NCHAN, NODE) | bench.bridges("sse", "ws")
    for name, starter in starters.items():
        ours = name.startswith("bridge")
        rows = [_visit(bench, starter, large) for _ in range(2 if ours and not bench.quick else 1)]
        middle = sorted(rows, key=lambda row: row[2])[len(rows) // 2]
        report.rows.append((name, *middle))
        if ours:
            spread = Spread.of(row[2] for row in rows)
            what = f"p99 of a small room beside one at {_LOAD:,} deliveries/s"
            found.goals.append(Goal(what, name, spread, 12.0, False, " ms"))
    report.notes = ["Both rooms are on one server; the two clients share a core."]
    return found


def _visit(bench: Bench, starter: Starter, large: int) -> Row:
    seconds = 2 if bench.quick else 4
    with (
        bench.running(starter) as server,
        bench.client(server, ONE_ROOM, large, spin=False) as many,
        bench.client(server, BESIDE, spin=False) as few,
    ):
        _ = many.connected, few.connected
        alone = few.do(f"open rate={_SMALL_RATE} secs={seconds / 2}")
        many.begin(f"open rate={_LOAD / large} secs={seconds + 1.5} warm=0.2 drain=2")
        time.sleep(0.8)
        beside = few.do(f"open rate={_SMALL_RATE} secs={seconds} warm=0.2")
        all_of_it = many.end()
    return (
        alone.p99_us / 1000,
        beside.p50_us / 1000,
        beside.p99_us / 1000,
        all_of_it.p99_us / 1000,
        all_of_it.server_share * 100,
    )
