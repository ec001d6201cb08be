"""Socket.IO: what thousands of tabs of OpenMeet's web app cost, beside as many plain WebSockets."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from openmeet_bridge.config import Address
from openmeet_bridge.storage.embedded import EmbeddedPostgres

from . import house, readers, socketio_readers, world
from .delivery import AUTHOR, ROOM, furnish
from .house import House
from .load import Outcome, Publisher
from .process import allow_many_files, resident_bytes
from .readers import Readers
from .report import Report
from .samples import percentile
from .socketio_readers import SocketIoReaders, deaf_polling, deaf_websocket
from .wire import Connection, request

_READERS = 2000
_FEW = 50
_WINDOWS = (1, 16)
_ROUNDS = 2
_EVENTS_AT_ONCE = 50
_MOST_EVENTS = 20_000
_CLOSED = 'openmeet_bridge_streams_closed_total{reason="slow_reader"}'

Deafen = Callable[[Address, str], socket.socket | Connection]


@dataclass(frozen=True, slots=True)
class Found:
    """What a run has shown: its cost, and the delay of each delivery in seconds."""

    outcome: Outcome
    delays: list[float]


def run(home: Path, postgres: EmbeddedPostgres, *, quick: bool) -> list[Report]:
    """Measure."""
    allow_many_files()
    count = _READERS // 10 if quick else _READERS
    seconds = 0.5 if quick else 5.0
    found: dict[tuple[str, int], list[Found]] = {}
    with house.running(house.plan(home), postgres) as bridge:
        furnish(bridge, count)
        # In turns, so that a change of the machine touches both.
        for _ in range(1 if quick else _ROUNDS):
            for wire in ("ws", "socketio"):
                for window, one in _measure(bridge, wire, count, seconds).items():
                    found.setdefault((wire, window), []).append(one)
    memory = {wire: _memory(home / wire, postgres, wire, count) for wire in ("ws", "socketio")}
    return [_deliveries(found, count), _memories(memory, count), _deaf(home, postgres)]


def _measure(bridge: House, wire: str, count: int, seconds: float) -> dict[int, Found]:
    opened = _opened(bridge, wire, range(1, count + 1))
    author = world.mxid(AUTHOR)

    def transaction(events: int) -> bytes:
        return bridge.transaction([world.message(ROOM, author) for _ in range(events)])

    publisher = Publisher(bridge.homeserver, opened, transaction)
    found = {}
    try:
        for window in _WINDOWS:
            publisher.run(bridge.pid, window=window, seconds=seconds / 8)  # warm
            opened.delays.clear()
            outcome = publisher.run(bridge.pid, window=window, seconds=seconds)
            found[window] = Found(outcome, list(opened.delays))
    finally:
        publisher.close()
        opened.close()
        time.sleep(0.5)  # the bridge notices that they are gone
    return found


def _opened(bridge: House, wire: str, numbers: range) -> Readers:
    opened = Readers() if wire == "ws" else SocketIoReaders()
    tokens = [world.token(number) for number in numbers]
    if wire == "ws":
        opened.open(bridge.public, [readers.opening("ws", token) for token in tokens])
    else:
        opened.open(bridge.public, [socketio_readers.opening(token) for token in tokens])
    return opened


def _deliveries(found: dict[tuple[str, int], list[Found]], count: int) -> Report:
    columns = (
        "stream",
        "in flight",
        "events/s",
        "deliveries/s",
        "bridge CPU µs/delivery",
        "p50 ms",
        "p99 ms",
        "reader busy",
    )
    report = Report(f"{count:,} tabs in one room", columns)
    for window in _WINDOWS:
        rows = {wire: _row(found[wire, window], window) for wire in ("ws", "socketio")}
        report.rows += [(wire, window, *row) for wire, row in rows.items()]
        ratios = [
            None if a is None or b is None else b / a
            for a, b in zip(rows["ws"], rows["socketio"], strict=True)
        ]
        report.rows.append(("ratio", window, *ratios))
    report.notes = [
        "The same message to every reader. Over Socket.IO each gets it twice, as the web app's",
        "backend has always sent it (matrix-event and matrix-message), in about twice the bytes.",
        "The delay is from publishing to reading, with all readers in one thread: the last of them",
        "waits for the reading of the others.",
    ]
    return report


def _row(found: list[Found], window: int) -> tuple[float | None, ...]:
    outcomes = [one.outcome for one in found]
    seconds = sum(one.seconds for one in outcomes)
    deliveries = sum(one.deliveries for one in outcomes)
    delays = [delay * 1000 for one in found for delay in one.delays]
    alone = window == 1
    return (
        sum(one.events for one in outcomes) / seconds,
        deliveries / seconds,
        sum(one.server_cpu for one in outcomes) * 1e6 / deliveries,
        percentile(delays, 0.5) if alone else None,
        percentile(delays, 0.99) if alone else None,
        sum(one.client_busy * one.seconds for one in outcomes) / seconds,
    )


def _memory(home: Path, postgres: EmbeddedPostgres, wire: str, count: int) -> float:
    # A fresh bridge each: a process uses again what earlier streams have left behind.
    with house.running(house.plan(home), postgres) as bridge:
        furnish(bridge, count)
        few = _opened(bridge, wire, range(1, _FEW))
        time.sleep(0.5)
        before = resident_bytes(bridge.pid)
        many = _opened(bridge, wire, range(_FEW, count + 1))
        time.sleep(0.5)
        grown = resident_bytes(bridge.pid) - before
        each = grown / 1024 / len(many)
        few.close()
        many.close()
    return each


def _memories(memory: dict[str, float], count: int) -> Report:
    report = Report("Memory of a tab on which nothing happens", ("stream", "KiB resident each"))
    report.rows = [*memory.items(), ("ratio", memory["socketio"] / memory["ws"])]
    report.notes = [f"Growth of the bridge's process by {count:,} of them."]
    return report


def _deaf(home: Path, postgres: EmbeddedPostgres) -> Report:
    columns = ("transport", "events until cut", "bridge grew by KiB")
    report = Report("A tab that reads nothing", columns)
    ways: dict[str, Deafen] = {"websocket": deaf_websocket, "polling": deaf_polling}
    for transport, deafen in ways.items():
        with house.running(house.plan(home / f"deaf-{transport}"), postgres) as bridge:
            furnish(bridge, _FEW)
            report.rows.append((transport, *_until_cut(bridge, deafen)))
    report.notes = [
        "It is cut where limits.subscriber_buffer_bytes says; over WebSocket the kernel's buffers",
        "come on top. The growth is the most seen on the way, the reading of the log included.",
    ]
    return report


def _until_cut(bridge: House, deafen: Deafen) -> tuple[int, float]:
    """Publish until a tab that reads nothing is cut; how many events, and the most memory."""
    publisher = Connection(bridge.homeserver)
    author = world.mxid(AUTHOR)
    deaf = deafen(bridge.public, world.token(AUTHOR + 1))
    before = resident_bytes(bridge.pid)
    grown, sent = 0, 0
    while not _has_cut(bridge):
        if sent >= _MOST_EVENTS:
            raise RuntimeError(f"a tab that reads nothing is open after {sent:,} events")
        some = [world.message(ROOM, author) for _ in range(_EVENTS_AT_ONCE)]
        publisher.ask(bridge.transaction(some))
        sent += len(some)
        grown = max(grown, resident_bytes(bridge.pid) - before)
    deaf.close()
    publisher.close()
    return sent, grown / 1024


def _has_cut(bridge: House) -> bool:
    connection = Connection(bridge.operations)
    text = connection.ask(request("GET", "/metrics", {})).decode()
    connection.close()
    counts = [line.split()[-1] for line in text.splitlines() if line.startswith(_CLOSED)]
    return any(float(one) for one in counts)
