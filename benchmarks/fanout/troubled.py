"""Readers in trouble beside others: they never read, read a byte a second, or have vanished."""

from __future__ import annotations

from collections.abc import Sequence

from ..process import resident_bytes
from ..report import Report
from .bench import FLOOR, NCHAN, NODE, Bench
from .client import Phase
from .found import Found, Goal
from .layout import ONE_ROOM
from .servers import Server, Starter
from .spread import Spread

_HEALTHY = 100
_OF_EACH = 20
_RATE = 300
_KINDS = ("stall", "trickle", "vanish")
_PAGE = 4096
_COLUMNS = (
    "server", "p99 ms before", "beside", "ratio", "undelivered", "process KiB each",
    "kernel KiB each", "cut",
)  # fmt: skip


def run(bench: Bench) -> Found:
    """Measure."""
    report = Report(
        f"{_HEALTHY} readers at {_RATE} events/s beside {_OF_EACH} each who never read, read a "
        "byte a second, and are gone without a word",
        _COLUMNS,
    )
    found = Found(reports=[report])
    starters = bench.others(FLOOR, NCHAN, NODE) | bench.bridges("sse", "ws")
    for name, starter in starters.items():
        bench.say(f"  {name}")
        ours = name.startswith("bridge")
        visits = [_visit(bench, starter) for _ in range(3 if ours and not bench.quick else 1)]
        middle = sorted(visits, key=lambda row: row[2])[len(visits) // 2]
        report.rows.append((name, *middle))
        if ours:
            found.goals += _goals(name, visits)
    report.notes = [
        "The delays are those of the healthy readers. Memory: growth while the others stood still,",
        "by their number; the kernel's is that of all TCP sockets of the machine. Cut: how many of",
        "them see in the end that the server has let go of them; who has vanished sees nothing.",
    ]
    return found


Row = tuple[float, float, float, int, float, float, int]


def _goals(name: str, visits: Sequence[Row]) -> list[Goal]:
    beside = "healthy readers beside troubled ones: p99 by p99 alone"
    process = "memory of the process for each reader in trouble"
    kernel = "memory of the kernel for each reader in trouble"
    return [
        Goal(beside, name, Spread.of(row[2] for row in visits), 1.2, False, "x"),
        Goal(process, name, Spread.of(row[4] for row in visits), 64.0, False, " KiB"),
        Goal(kernel, name, Spread.of(row[5] for row in visits), 300.0, False, " KiB"),
    ]


def _visit(bench: Bench, starter: Starter) -> Row:
    in_trouble = _OF_EACH * len(_KINDS)
    command = f"open rate={_RATE} secs={2 if bench.quick else 6} warm=0.3 drain=1"
    with (
        bench.running(starter) as server,
        bench.client(server, ONE_ROOM, _HEALTHY + in_trouble) as client,
    ):
        client.do(f"open rate={_RATE} secs=1")
        before = client.do(command)
        process, kernel = _memory(server), _kernel_bytes()
        for place, kind in enumerate(_KINDS):
            client.do(f"{kind} first={place * _OF_EACH} n={_OF_EACH}")
        beside: Phase = client.do(command)
        process, kernel = _memory(server) - process, _kernel_bytes() - kernel
        client.do(f"heal first=0 n={_OF_EACH}")
        end = client.do("idle secs=1")
    each = 1024 * in_trouble
    ratio = beside.p99_us / before.p99_us if before.p99_us else 0.0
    late = (before.p99_us / 1000, beside.p99_us / 1000, ratio)
    return (*late, beside.undelivered, process / each, kernel / each, end.dead)


def _memory(server: Server) -> int:
    return sum(map(resident_bytes, server.pids))


def _kernel_bytes() -> int:
    with open("/proc/net/sockstat", encoding="ascii") as file:
        words = next(line for line in file if line.startswith("TCP:")).split()
    return int(words[words.index("mem") + 1]) * _PAGE
