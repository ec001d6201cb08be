"""Transactions: how soon they are acknowledged, and how many events a second can be kept.

Acknowledged means committed: the time holds a write to the disk. A message goes to one of twenty
rooms; nobody reads. One connection, one transaction at a time, as Synapse pushes.
"""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

from openmeet_bridge.storage.embedded import EmbeddedPostgres

from . import house, world
from .house import House
from .process import cpu_seconds
from .report import Report
from .samples import percentile
from .wire import Connection

_ROOMS = 20
_MEMBERS = 10
_BREATH = 0.01
_CHANGES = ("edit", "reaction", "redaction")
_TARGETS_MS = {1: 6.0, 100: 15.0}


def run(home: Path, postgres: EmbeddedPostgres, *, quick: bool) -> list[Report]:
    """Measure."""
    with house.running(house.plan(home), postgres) as bridge:
        _furnish(bridge)
        connection = Connection(bridge.homeserver)
        _acknowledge(bridge, connection, 10, 30)  # warm
        reports = [
            _times(bridge, connection, quick),
            _rates(bridge, connection, quick),
            _changes(bridge, connection, quick),
        ]
        connection.close()
    return reports


def _furnish(bridge: House) -> None:
    for number in range(_ROOMS):
        events = world.room_events(world.room_id(number), range(1, _MEMBERS + 1))
        bridge.push(world.encoded(events))


def _times(bridge: House, connection: Connection, quick: bool) -> Report:
    columns = ("events", "transactions", "median ms", "p90 ms", "p99 ms", "target ms", "")
    report = Report("Time to acknowledge a transaction", columns)
    for size in (1, 100):
        times = _acknowledge(bridge, connection, size, 30 if quick else 300)
        median, target = percentile(times, 0.5), _TARGETS_MS[size]
        tail = percentile(times, 0.9), percentile(times, 0.99)
        verdict = "met" if median < target else "missed"
        report.rows.append((str(size), len(times), median, *tail, target, verdict))
    report.notes.append("The target is for the median on an idle machine.")
    return report


def _acknowledge(bridge: House, connection: Connection, size: int, count: int) -> list[float]:
    times = []
    for _ in range(count):
        sent = bridge.transaction(_messages(size))
        time.sleep(_BREATH)
        began = time.perf_counter()
        connection.ask(sent)
        times.append((time.perf_counter() - began) * 1000)
    return times


def _rates(bridge: House, connection: Connection, quick: bool) -> Report:
    columns = ("events each", "transactions", "events/s", "bridge CPU µs/event")
    report = Report("Events kept a second, one transaction after the other", columns)
    for size, count in ((1, 1500), (10, 600), (100, 200)):
        transactions = [
            bridge.transaction(_messages(size)) for _ in range(count // 10 if quick else count)
        ]
        cpu, began = cpu_seconds(bridge.pid), time.perf_counter()
        for sent in transactions:
            connection.ask(sent)
        took, cpu = time.perf_counter() - began, cpu_seconds(bridge.pid) - cpu
        events = size * len(transactions)
        report.rows.append((str(size), len(transactions), events / took, cpu * 1e6 / events))
    report.notes.append("CPU is the bridge's own process, without PostgreSQL's.")
    return report


def _changes(bridge: House, connection: Connection, quick: bool) -> Report:
    columns = ("events", "events/s", "bridge CPU µs/event", "CPU, message = 1")
    report = Report("What changes other events, in transactions of ten", columns)
    first = 0.0
    for kind in ("message", *_CHANGES, "all of them"):
        # The targets are in the log, each is changed about three times.
        targets = _messages(30 if quick else 600)
        for start in range(0, len(targets), 100):
            connection.ask(bridge.transaction(targets[start : start + 100]))
        kinds = _CHANGES if kind == "all of them" else (kind,)
        events = [
            _event(random.choice(kinds), random.choice(targets))
            for _ in range(90 if quick else 2000)
        ]
        sent = [bridge.transaction(events[at : at + 10]) for at in range(0, len(events), 10)]
        cpu, began = cpu_seconds(bridge.pid), time.perf_counter()
        for one in sent:
            connection.ask(one)
        took, cpu = time.perf_counter() - began, cpu_seconds(bridge.pid) - cpu
        first = first or cpu / len(events)
        rate = len(events) / took
        report.rows.append((kind, rate, cpu * 1e6 / len(events), cpu / len(events) / first))
    return report


def _event(kind: str, target: bytes) -> bytes:
    found = json.loads(target)
    room_id, sender = found["room_id"], found["sender"]
    if kind == "message":
        return world.message(room_id, sender)
    return world.change(kind, room_id, sender, found["event_id"])


def _messages(count: int) -> list[bytes]:
    return [
        world.message(
            world.room_id(random.randrange(_ROOMS)), world.mxid(random.randint(1, _MEMBERS))
        )
        for _ in range(count)
    ]
