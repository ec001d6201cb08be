"""A hundred rooms of ten readers: what an event costs counts as much as what a reader costs."""

from __future__ import annotations

from ..report import Report
from .bench import BATCHED, FLOOR, NCHAN, NODE, Bench
from .found import Found, Goal
from .layout import SMALL_ROOMS
from .spread import Spread, ratios, visits

_WINDOW = 200
_COLUMNS = ("server", "deliveries/s", "CPU µs", "client busy", "faults")


def run(bench: Bench) -> Found:
    """Measure."""
    readers = SMALL_ROOMS.readers
    names = (FLOOR, BATCHED, NCHAN, NODE)
    starters = {name: bench.peers[name] for name in names if name in bench.peers}
    starters |= bench.bridges("sse")
    whole = None if bench.quick else bench.whole("sse", [(SMALL_ROOMS, readers)])
    if whole is not None:
        starters["whole-sse"] = whole
    seconds = 0.3 if bench.quick else 0.8
    rounds: list[dict[str, list[float]]] = []
    report = Report(f"{SMALL_ROOMS.rooms} rooms of {readers // SMALL_ROOMS.rooms}", _COLUMNS)
    found = Found(reports=[report])
    with bench.all_running(starters, SMALL_ROOMS, readers) as clients:
        command = f"closed window={_WINDOW} secs={seconds} warm=0.2"
        for client in clients.values():
            client.do(command)  # warm
        phases = {name: [] for name in clients}  # type: ignore[var-annotated]
        for _ in range(2 if bench.quick else 6):
            taken: dict[str, list[float]] = {}
            for name in visits(list(clients), (FLOOR, NCHAN), bench.chance):
                phase = clients[name].do(command)
                phases[name].append(phase)
                taken.setdefault(name, []).append(phase.of_a_core)
            rounds.append(taken)
    for name, all_of_it in phases.items():
        middle = sorted(all_of_it, key=lambda one: one.cpu_us_each)[len(all_of_it) // 2]
        faults = sum(one.faults for one in all_of_it)
        report.rows.append(
            (name, middle.deliveries_s, middle.cpu_us_each, middle.client_share, faults)
        )
    report.notes = [
        f"{_WINDOW} events in flight over all rooms. To a whole bridge they are pushed in",
        "transactions of up to 50, as Synapse does it; to the bridge with its log in memory as",
        "lines, what comes at once being one piece of the log; to the others in a request each,",
        "to the floor as lines.",
    ]
    for name in starters:
        if name.startswith(("bridge", "whole")):
            by_floor = Spread.of(ratios(rounds, name, FLOOR))
            by_nchan = Spread.of(ratios(rounds, name, NCHAN))
            row = "100 rooms of 10, by"
            found.goals.append(Goal(f"{row} the C floor", name, by_floor, 0.6, True, "x"))
            found.goals.append(Goal(f"{row} nchan SSE", name, by_nchan, 2.0, True, "x"))
    return found
