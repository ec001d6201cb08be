"""Latency against load, and what a steady load costs, alone and beside a thread that computes."""

from __future__ import annotations

import signal
from collections.abc import Iterable

from ..report import Report
from .bench import FLOOR, NCHAN, NODE, Bench
from .client import Client, Phase
from .found import Found, Goal
from .layout import ONE_ROOM
from .servers import signal_all
from .spread import Spread

READERS = 1000
_RATES = (15, 50, 100, 200, 400)
_STEADY = 200
_SATURATED = 0.97
_COLUMNS = ("server", "events/s", "deliveries/s", "core %", "p50 ms", "p99 ms", "faults")


def run(bench: Bench) -> Found:
    """Measure."""
    found = _curves(bench)
    found.add(_steady(bench))
    return found


def _open(rate: float, seconds: float) -> str:
    return f"open rate={rate} poisson=1 secs={seconds} warm=0.5 drain=3"


def _curves(bench: Bench) -> Found:
    report = Report(f"Delay against load, {READERS:,} readers in one room", _COLUMNS)
    found = Found(reports=[report])
    starters = bench.others(FLOOR, NCHAN, NODE) | bench.bridges("sse", "ws")
    seconds = 1.0 if bench.quick else 2.5
    with bench.all_running(starters, ONE_ROOM, READERS) as clients:
        for name, client in clients.items():
            client.do("closed window=1 secs=0.3 warm=0.2")
            for rate in _RATES[::3] if bench.quick else _RATES:
                phase = client.do(_open(rate, seconds))
                report.rows.append(_row(name, rate, phase))
                for what in ("p50", "p99"):
                    delay = getattr(phase, f"{what}_us") / 1000
                    found.point(f"delay-{what}", name, rate * READERS, delay)
                if phase.server_share > _SATURATED or phase.undelivered:
                    break  # more would only fill its buffers
    report.notes = [
        "Events come at random (Poisson), each as if alone; a delay counts from when the event was",
        "due. A server's line ends where it needs its whole core.",
    ]
    return found


def _row(name: str, rate: float, phase: Phase) -> tuple[str | float, ...]:
    return (
        name,
        rate,
        phase.deliveries_s,
        phase.server_share * 100,
        phase.p50_us / 1000,
        phase.p99_us / 1000,
        phase.faults,
    )


def _steady(bench: Bench) -> Found:
    report = Report(f"{_STEADY} events a second to {READERS:,} readers", _COLUMNS)
    found = Found(reports=[report])
    seconds = 1.5 if bench.quick else 3.0
    rounds = 1 if bench.quick else 4
    for name, starter in bench.bridges("sse", "ws").items():
        with (
            bench.running(starter) as server,
            bench.client(server, ONE_ROOM, READERS) as client,
        ):
            alone: list[Phase] = []
            beside: list[Phase] = []
            client.do("closed window=1 secs=0.3 warm=0.2")
            for _ in range(rounds):
                alone.append(client.do(_open(_STEADY, seconds)))
                signal_all(server, signal.SIGUSR1)
                beside.append(client.do(_open(_STEADY, seconds)))
                signal_all(server, signal.SIGUSR2)
        report.rows += [_row(name, _STEADY, _middle(alone))]
        report.rows += [_row(f"{name}, a thread computes", _STEADY, _middle(beside))]
        found.goals += _steady_goals(name, alone, beside)
    whole = None if bench.quick else bench.whole("sse", [(ONE_ROOM, READERS)])
    if whole is not None:
        with bench.running(whole) as server, bench.client(server, ONE_ROOM, READERS) as client:
            client.settle()
            phases = _again(client, _open(_STEADY, seconds), rounds)
        report.rows.append(_row("whole-sse", _STEADY, _middle(phases)))
        found.goals += _share_goals("whole-sse", phases)
    return found


def _again(client: Client, command: str, times: int) -> list[Phase]:
    return [client.do(command) for _ in range(times)]


def _middle(phases: list[Phase]) -> Phase:
    return sorted(phases, key=lambda one: one.p99_us)[len(phases) // 2]


def _share_goals(name: str, phases: Iterable[Phase]) -> list[Goal]:
    phases = list(phases)
    what = f"{_STEADY} events/s to {READERS:,} readers"
    share = Spread.of(one.server_share * 100 for one in phases)
    late = Spread.of(one.p99_us / 1000 for one in phases)
    return [
        Goal(f"{what}: of a core", name, share, 40.0, False, " %"),
        Goal(f"{what}: p99", name, late, 30.0, False, " ms"),
    ]


def _steady_goals(name: str, alone: list[Phase], beside: list[Phase]) -> list[Goal]:
    pairs = zip(alone, beside, strict=True)
    ratio = Spread.of(b.p99_us / a.p99_us for a, b in pairs if a.p99_us)
    what = "the same beside a thread that computes: p99 by p99 alone"
    return [*_share_goals(name, alone), Goal(what, name, ratio, 1.2, False, "x")]
