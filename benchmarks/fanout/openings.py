"""Readers who come and then get nothing: how fast they are let in, and what each of them costs."""

from __future__ import annotations

import time
from contextlib import ExitStack

from ..process import resident_bytes
from ..report import Report
from .bench import BATCHED, NCHAN, NODE, Bench
from .found import Found, Goal
from .layout import ONE_ROOM, RETURNING, Block
from .servers import Server, Starter
from .spread import Spread

_MOST = 10_000
_WHOLE = 2_500
_STEPS = (0.1, 0.25, 0.5, 1.0)
_SETTLE = 1.0
_MEMORY = (
    "server", "readers", "KiB resident each", "at the start, MiB", "let in/s", "CPU µs each",
)  # fmt: skip


def run(bench: Bench) -> Found:
    """Measure."""
    report = Report("Readers on whom nothing happens", _MEMORY)
    found = Found(reports=[report])
    most = bench.most_readers(_MOST // 5 if bench.quick else _MOST)
    bridges = bench.bridges("sse", "ws", "socketio")
    starters = bench.others(BATCHED, NCHAN, "aiohttp-sse", NODE) | bridges
    for name, starter in starters.items():
        bench.say(f"  {name}")
        each = _in_steps(bench, found, name, starter, most)
        if name.startswith("bridge"):
            memory = Spread.of([each])
            what = f"resident memory of each of {most:,} idle readers"
            found.goals.append(Goal(what, name, memory, 2.0, False, " KiB"))
    for name, starter in bridges.items():
        times = 1 if bench.quick else 3
        rates = [_rate(bench, starter, ONE_ROOM, most // 2) for _ in range(times)]
        found.goals.append(_rate_goal(name, rates))
    whole = None if bench.quick else bench.whole("sse", [(RETURNING, _WHOLE)])
    if whole is not None:
        rate = _rate(bench, whole, RETURNING, _WHOLE)
        found.goals.append(_rate_goal("whole-sse", [rate]))
    found.goals += _heartbeats(bench, most)
    report.notes = [
        "Growth of the server's processes from their start, with all readers in one room; the",
        "kernel's own memory for a connection is the same for all. Let in: 128 handshakes at a",
        "time, each reader another user with another token, counted when greeted. The bridge and",
        "Node check tokens; the others let everybody in.",
    ]
    return found


def _in_steps(bench: Bench, found: Found, name: str, starter: Starter, most: int) -> float:
    """Let readers in, a share after another; return KiB for each when all are there."""
    each, here = 0.0, 0
    with ExitStack() as stack:
        server = stack.enter_context(bench.running(starter))
        start = _resident(server)
        seconds = cpu = 0.0
        for share in _STEPS:
            block = Block(here, int(most * share) - here, 0, 1)
            client = stack.enter_context(bench.client(server, block, spin=False))
            connected = client.connected
            here += connected.streams
            seconds += connected.seconds
            cpu += connected.server_cpu
            time.sleep(_SETTLE)
            grown = _resident(server) - start
            each = grown / 1024 / here
            found.point("memory", name, here, grown / (1 << 20))
    row = (name, here, each, start / (1 << 20), here / seconds, cpu * 1e6 / here)
    found.reports[0].rows.append(row)
    return each


def _resident(server: Server) -> int:
    return sum(map(resident_bytes, server.pids))


def _rate(bench: Bench, starter: Starter, block: Block, readers: int) -> float:
    with bench.running(starter) as server, bench.client(server, block, 50, spin=False) as warm:
        _ = warm.connected
        some = Block(block.first_reader + 50, readers - 50, block.first_room, block.rooms)
        with bench.client(server, some, spin=False) as client:
            return client.connected.streams_s


def _rate_goal(name: str, rates: list[float]) -> Goal:
    what = "readers let in a second, tokens checked, nothing to replay"
    return Goal(what, name, Spread.of(rates), 3000.0, True)


def _heartbeats(bench: Bench, most: int) -> list[Goal]:
    """Return what the heartbeats of idle readers cost, over a whole round of them."""
    interval = 5 if bench.quick else 20
    starter = bench.bridge("sse", stream={"heartbeat": interval})
    with (
        bench.running(starter) as server,
        bench.client(server, ONE_ROOM, most, spin=False) as client,
    ):
        _ = client.connected
        time.sleep(_SETTLE)
        share = client.do(f"idle secs={interval}").server_share
    # As if there were as many readers as are asked for, with the usual interval.
    whole = share * 100 * (_MOST / most) * (interval / 20)
    what = f"heartbeats of {_MOST:,} idle readers, of a core"
    return [Goal(what, "bridge-sse", Spread.of([whole]), 1.0, False, " %")]
