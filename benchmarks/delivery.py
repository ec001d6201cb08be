"""Delivery: what one frame costs the bridge, and how many it can deliver."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from openmeet_bridge.config import Address
from openmeet_bridge.demo.synapse import free_port
from openmeet_bridge.storage.embedded import EmbeddedPostgres

from . import house, world
from .house import House
from .load import Outcome, Publisher
from .process import allow_many_files, resident_bytes
from .readers import Readers, opening
from .report import Report
from .samples import slope
from .wire import connect

ROOM = world.room_id(0)
"""Where everybody is."""
AUTHOR = 1
"""Who speaks there, by number."""
_FEW = 50
_COLUMNS = (
    "readers",
    "in flight",
    "events/s",
    "deliveries/s",
    "bridge CPU µs/delivery",
    "CPU µs/event",
    "reader busy",
)


def run(home: Path, postgres: EmbeddedPostgres, *, quick: bool) -> list[Report]:
    """Measure."""
    allow_many_files()
    counts = (10, 100) if quick else (10, 100, 1000)
    seconds = 0.5 if quick else 4.0
    with house.running(house.plan(home), postgres) as bridge:
        furnish(bridge, counts[-1])
        found = {
            wire: {(n, w): _measure(bridge, wire, n, w, seconds) for n in counts for w in (1, 16)}
            for wire in ("sse", "ws")
        }
    frame = round(found["sse"][counts[-1], 1].bytes_each)
    floor = {w: _floor(frame, counts, w, seconds) for w in (1, 16)}
    tables = [_table(wire, outcomes) for wire, outcomes in found.items()]
    return [*tables, _marginal(found, floor), _memory(home, postgres, counts[-1])]


def furnish(bridge: House, count: int) -> None:
    """Write users who are all in one room, :data:`ROOM`."""
    asyncio.run(world.write_users(bridge.dsn, range(1, count + 1)))
    bridge.push(world.encoded(world.room_events(ROOM, range(1, count + 1))))


def _table(wire: str, outcomes: dict[tuple[int, int], Outcome]) -> Report:
    report = Report(f"Delivery over {wire.upper()}", _COLUMNS)
    for (readers, window), found in outcomes.items():
        report.rows.append(
            (
                f"{readers}",
                window,
                found.events / found.seconds,
                found.deliveries / found.seconds,
                found.server_cpu * 1e6 / found.deliveries,
                found.server_cpu * 1e6 / found.events,
                found.client_busy,
            )
        )
    size = next(iter(outcomes.values())).bytes_each
    report.notes = [
        f"One delivery is one message of about {size:.0f} bytes on one stream. CPU is the",
        "bridge's own process and holds all of its work: the transaction, the log, the frame.",
        "Where the reader is busy nearly all the time (1.00), it was the limit of the rate.",
    ]
    return report


def _marginal(found: dict[str, dict[tuple[int, int], Outcome]], floor: dict[int, float]) -> Report:
    """What one reader more costs for each event: the slope of the cost over the readers."""
    columns = ("stream", "in flight", "CPU µs/reader more", "floor µs", "ratio", "fixed µs/event")
    report = Report("What one more reader costs for each event", columns)
    for wire, outcomes in found.items():
        for window, least in floor.items():
            points = _per_event(outcomes, window)
            each = slope(points)
            fixed = points[0][1] - each * points[0][0]
            report.rows.append((wire, window, each, least, each / least, fixed))
    report.notes = [
        "The floor is a bare event loop that writes the same bytes to the same sockets.",
        "Fixed is what an event costs before anybody reads it.",
    ]
    return report


def _per_event(outcomes: dict[tuple[int, int], Outcome], window: int) -> list[tuple[float, float]]:
    return [
        (readers, found.server_cpu * 1e6 / found.events)
        for (readers, one), found in outcomes.items()
        if one == window
    ]


def _measure(bridge: House, wire: str, count: int, window: int, seconds: float) -> Outcome:
    readers = Readers()
    readers.open(bridge.public, _openings(wire, range(1, count + 1)))
    author = world.mxid(AUTHOR)

    def transaction(events: int) -> bytes:
        return bridge.transaction([world.message(ROOM, author) for _ in range(events)])

    publisher = Publisher(bridge.homeserver, readers, transaction)
    try:
        publisher.run(bridge.pid, window=window, seconds=seconds / 8)  # warm
        return publisher.run(bridge.pid, window=window, seconds=seconds)
    finally:
        publisher.close()
        readers.close()
        time.sleep(0.3)  # the bridge notices that they are gone


def _memory(home: Path, postgres: EmbeddedPostgres, count: int) -> Report:
    columns = ("stream", "streams", "KiB resident each")
    report = Report("Memory of a stream on which nothing happens", columns)
    for wire in ("sse", "ws"):
        # A fresh bridge each: a process uses again what earlier streams have left behind.
        with house.running(house.plan(home / wire), postgres) as bridge:
            furnish(bridge, count)
            few, many = Readers(), Readers()
            few.open(bridge.public, _openings(wire, range(1, _FEW)))
            time.sleep(0.5)
            before = resident_bytes(bridge.pid)
            many.open(bridge.public, _openings(wire, range(_FEW, count + 1)))
            time.sleep(0.5)
            grown = resident_bytes(bridge.pid) - before
            report.rows.append((wire, len(many), grown / 1024 / len(many)))
            few.close()
            many.close()
    report.notes = ["Growth of the bridge's process, without the kernel's socket buffers."]
    return report


def _openings(wire: str, numbers: range) -> list[bytes]:
    return [opening(wire, world.token(number)) for number in numbers]


def _floor(size: int, counts: tuple[int, ...], window: int, seconds: float) -> float:
    points = []
    for count in counts:
        with _floor_server(size) as (pid, address):
            readers = Readers()
            readers.open(address, [b"GET / HTTP/1.1\r\n\r\n"] * count)
            publisher = Publisher(address, readers, _plain_transaction)
            publisher.run(pid, window=window, seconds=seconds / 8)
            found = publisher.run(pid, window=window, seconds=seconds / 2)
            points.append((float(count), found.server_cpu * 1e6 / found.events))
            publisher.close()
            readers.close()
    return slope(points)


def _plain_transaction(events: int) -> bytes:
    body = world.MARK * events
    return b"PUT / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@contextmanager
def _floor_server(size: int) -> Iterator[tuple[int, Address]]:
    address = Address("127.0.0.1", free_port())
    command = [sys.executable, "-m", "benchmarks.floor", str(address.port), str(size)]
    process = subprocess.Popen(command)
    try:
        _wait_for(address)
        yield process.pid, address
    finally:
        process.terminate()
        process.wait()


def _wait_for(address: Address) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            connect(address).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
