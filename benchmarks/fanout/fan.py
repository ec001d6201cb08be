"""A thousand readers in one room: one event at a time, sixteen in flight, and a common load.

All servers are up at once, and each has a short turn in every round, in an order that chance makes:
so a slow minute of the machine is everybody's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ..report import Report
from .bench import BATCHED, BRIDGE, FLOOR, NCHAN, NODE, WHOLE, Bench
from .client import Phase
from .found import Found, Goal
from .layout import ONE_ROOM
from .servers import Starter
from .spread import Spread, ratios, visits

READERS = 1000
_REFERENCES = (FLOOR, BATCHED, NCHAN)
_LOAD = 15_000
_COLUMNS = (
    "server", "1: deliveries/s", "CPU µs", "16: deliveries/s", "CPU µs ", "p50 ms", "p99 ms",
    "client busy", "faults",
)  # fmt: skip

Turn = dict[str, Phase]
Round = dict[str, list[Turn]]


def run(bench: Bench) -> Found:
    """Measure."""
    starters = {**bench.peers, **bench.bridges("sse", "ws", "socketio")}
    starters["bridge-sse-unpaced"] = bench.bridge("sse", unpaced=True)
    whole = bench.whole("sse", [(ONE_ROOM, READERS)])
    if whole is not None:
        starters["whole-sse"] = whole
    rounds = _rounds(bench, starters)
    found = Found(reports=[_report(rounds)], goals=goals(rounds))
    found.visits = [
        {"round": number, "server": name, "phase": what, **msgspec.to_builtins(phase)}
        for number, one in enumerate(rounds)
        for name, turns in one.items()
        for turn in turns
        for what, phase in turn.items()
    ]
    return found


def _rounds(bench: Bench, starters: Mapping[str, Starter]) -> list[Round]:
    rounds: list[Round] = []
    seconds = 0.25 if bench.quick else 0.35
    commands = {
        "one": f"closed window=1 secs={seconds} warm=0.12",
        # The bridge looks every quarter of a second whether it is to gather events.
        "many": f"closed window=16 secs={seconds} warm=0.6",
        "load": f"open rate={_LOAD / READERS} secs={3 * seconds} warm=0.1",
    }
    with bench.all_running(starters, ONE_ROOM, READERS) as clients:
        for client in clients.values():
            client.do(commands["one"])  # warm
            client.do(commands["many"])
        for number in range(1 if bench.quick else 6):
            bench.say(f"  round {number + 1}")
            taken: Round = {}
            for name in visits(list(clients), _REFERENCES, bench.chance):
                turn = {what: clients[name].do(command) for what, command in commands.items()}
                taken.setdefault(name, []).append(turn)
            rounds.append(taken)
    return rounds


def _place(name: str) -> tuple[int, str]:
    """Return what sorts servers: the floor, the others, the bridge."""
    kinds = {"floor": 0, BRIDGE: 2, WHOLE: 3}
    return next((place for kind, place in kinds.items() if name.startswith(kind)), 1), name


def _values(rounds: Sequence[Round], what: str, of: str) -> list[dict[str, list[float]]]:
    return [
        {name: [float(getattr(turn[what], of)) for turn in turns] for name, turns in one.items()}
        for one in rounds
    ]


def _report(rounds: Sequence[Round]) -> Report:
    report = Report(f"{READERS:,} readers in one room", _COLUMNS)
    for name in sorted(rounds[0], key=_place):
        turns = [turn for one in rounds for turn in one.get(name, ())]

        def middle(what: str, of: str, turns: list[Turn] = turns) -> float:
            spread = Spread.of(float(getattr(turn[what], of)) for turn in turns)
            return spread.median if spread else 0.0

        report.rows.append(
            (
                name,
                middle("one", "deliveries_s"),
                middle("one", "cpu_us_each"),
                middle("many", "deliveries_s"),
                middle("many", "cpu_us_each"),
                middle("load", "p50_us") / 1000,
                middle("load", "p99_us") / 1000,
                middle("many", "client_share"),
                sum(phase.faults for turn in turns for phase in turn.values()),
            )
        )
    report.notes = [
        "1: the next event is published when the last reader has the one before. 16: so many are",
        f"always under way. p50 and p99 of the delay are at {_LOAD:,} deliveries a second. CPU is",
        "the server's processor time for one delivery. Events have 600 bytes. The floor is C:",
        "`each` does one send() for each reader and event, `batch` one for all that waits. Neither",
        "the floor nor nchan or aiohttp check tokens; none but the bridge knows who is where.",
        "Over Socket.IO the bridge sends each message under both names that the web app knows.",
        "Where its core is busy and events come fast, the bridge gathers them for 10 to 20 ms;",
        "`unpaced` never does.",
    ]
    return report


def goals(rounds: Sequence[Round]) -> list[Goal]:
    """Return what is asked of the bridge, with what the rounds say of it."""
    one, many = _values(rounds, "one", "of_a_core"), _values(rounds, "many", "of_a_core")
    late = _values(rounds, "load", "p99_us")

    def ratio(values: list[dict[str, list[float]]], name: str, other: str) -> Spread | None:
        return Spread.of(ratios(values, name, other))

    found = []
    ours = [name for name in rounds[0] if name.startswith((BRIDGE, WHOLE))]
    for name in sorted(ours, key=_place):
        if name.endswith("socketio"):
            found.append(
                Goal(
                    "1 in flight, by Node's Socket.IO", name, ratio(one, name, NODE), 1.5, True, "x"
                )
            )
            continue
        by_batched, by_nchan = ratio(many, name, BATCHED), ratio(many, name, NCHAN)
        if name.endswith("unpaced"):
            what = "16 in flight without pacing, by"
            found.append(Goal(f"{what} the batched C floor", name, by_batched, 0.65, True, "x"))
            found.append(Goal(f"{what} nchan SSE", name, by_nchan, 6.0, True, "x"))
            continue
        slow = f"p99 at {_LOAD:,} deliveries/s, by the C floor's"
        found += [
            Goal("1 in flight, by the C floor", name, ratio(one, name, FLOOR), 0.8, True, "x"),
            Goal("1 in flight, by nchan SSE", name, ratio(one, name, NCHAN), 1.35, True, "x"),
            Goal("16 in flight, by the batched C floor", name, by_batched, 1.0, True, "x"),
            Goal("16 in flight, by nchan SSE", name, by_nchan, 6.0, True, "x"),
            Goal(slow, name, ratio(late, name, FLOOR), 1.5, False, "x"),
        ]
    return found
