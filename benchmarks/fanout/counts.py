"""From ten readers to as many as there may be: whether one more costs as much as the one before."""

from __future__ import annotations

from ..report import Report
from .bench import BATCHED, FLOOR, NCHAN, NODE, Bench
from .client import Phase
from .found import Found, Goal
from .layout import ONE_ROOM, Block
from .servers import Starter
from .spread import Spread

_COUNTS = (10, 100, 1000, 5000, 10_000, 20_000)
_FLAT_FROM = 100
_COLUMNS = ("server", "readers", "1: deliveries/s of a core", "CPU µs", "16: of a core", "CPU µs ")


def run(bench: Bench) -> Found:
    """Measure."""
    found = Found(reports=[Report("Cost of a delivery, by readers in one room", _COLUMNS)])
    starters = bench.others(FLOOR, BATCHED, NCHAN, NODE) | bench.bridges("sse", "ws")
    for name, starter in starters.items():
        bench.say(f"  {name}")
        each = _line(bench, found, name, starter)
        if name.startswith("bridge"):
            what = f"cost of a delivery, dearest by cheapest from {_FLAT_FROM} to {max(each):,}"
            flat = [cost for count, cost in each.items() if count >= _FLAT_FROM]
            ratio = Spread.of([max(flat) / min(flat)] if len(flat) > 1 else [])
            found.goals.append(Goal(what, name, ratio, 1.5, False, "x"))
    found.reports[0].notes = [
        "With ten readers it is the event that costs, not its readers: its JSON, and its place in",
        "the log. Of a core: deliveries in a second of the server's processor time.",
    ]
    return found


def _line(bench: Bench, found: Found, name: str, starter: Starter) -> dict[int, float]:
    """Return the cost of a delivery, one event at a time, by the number of readers."""
    each: dict[int, float] = {}
    wanted = _COUNTS[1:3] if bench.quick else _COUNTS
    for count in dict.fromkeys(map(bench.most_readers, wanted)):
        with (
            bench.running(starter) as server,
            bench.client(server, Block(0, count, ONE_ROOM.first_room, ONE_ROOM.rooms)) as client,
        ):
            one = _best(client.do(_closed(1, bench)), client.do(_closed(1, bench)))
            many = client.do(_closed(16, bench))
        each[count] = one.cpu_us_each
        row = (name, count, one.of_a_core, one.cpu_us_each, many.of_a_core, many.cpu_us_each)
        found.reports[0].rows.append(row)
        found.point("deliveries-1", name, count, one.of_a_core)
        found.point("deliveries-16", name, count, many.of_a_core)
    return each


def _closed(window: int, bench: Bench) -> str:
    return f"closed window={window} secs={0.3 if bench.quick else 0.5} warm=0.6 drain=10"


def _best(*phases: Phase) -> Phase:
    return min(phases, key=lambda one: one.cpu_us_each or float("inf"))
