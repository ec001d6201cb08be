"""Thousands of readers who come back at once, each of them behind, beside others who stay."""

from __future__ import annotations

import json
import re
import time

from openmeet_bridge.config import Address

from .. import world
from ..report import Report
from ..wire import bearer, connect, request
from . import layout
from .bench import Bench
from .client import Connected, Phase
from .found import Found, Goal
from .layout import RETURNING, STAYING
from .servers import Server, Starter
from .spread import Spread

_BEHIND = 50
_LIVE_RATE = 20
_MOST_SECONDS = 120
_TEXT = "We meet at the boat house at nine, and bring the lamps for the way home. " * 4
_COLUMNS = ("bridge", "readers", "all caught up, s", "entries/s", "CPU s", "live p99 ms", "faults")
_CURSOR = re.compile(rb'"cursor":\s?"([^"]+)"')


def run(bench: Bench) -> Found:
    """Measure."""
    count = RETURNING.readers // (5 if bench.quick else 1)
    report = Report(f"Readers who come back at once, each {_BEHIND} entries behind", _COLUMNS)
    found = Found(reports=[report])
    starters = bench.bridges("sse", "ws")
    people = [(RETURNING, count), (STAYING, STAYING.readers)]
    whole = None if bench.quick else bench.whole("sse", people)
    if whole is not None:
        starters["whole-sse"] = whole
    for name, starter in starters.items():
        bench.say(f"  {name}")
        back, live = _visit(bench, starter, count)
        report.rows.append(
            (
                name,
                back.streams,
                back.seconds,
                back.messages / back.seconds,
                back.server_cpu,
                live.p99_us / 1000,
                back.gaps + back.doubles + back.dead + live.faults,
            )
        )
        what = f"{count:,} readers come back, each {_BEHIND} entries behind:"
        late = Spread.of([live.p99_us / 1000])
        found.goals += [
            Goal(f"{what} all caught up", name, Spread.of([back.seconds]), 10.0, False, " s"),
            Goal(f"{what} p99 of live readers", name, late, 250.0, False, " ms"),
        ]
    report.notes = [
        f"{RETURNING.rooms} rooms; {STAYING.readers} readers stay in another, with {_LIVE_RATE}",
        "events a second. Caught up is who has been sent everything that was missed.",
    ]
    return found


def _visit(bench: Bench, starter: Starter, count: int) -> tuple[Connected, Phase]:
    with bench.running(starter) as server:
        assert server.public is not None
        cursor = _cursor(server.public)
        _fill(server, count)
        with bench.client(server, STAYING, spin=False) as live:
            _ = live.connected
            if server.name.startswith("whole"):
                live.settle()
            live.do(f"open rate={_LIVE_RATE} secs=0.5")
            live.begin(f"open rate={_LIVE_RATE} secs={_MOST_SECONDS} warm=0.1 drain=10")
            back = _come_back(bench, server, cursor, count)
            return back, live.stop()


def _come_back(bench: Bench, server: Server, cursor: str, count: int) -> Connected:
    resumed = tuple(
        f"{word}?cursor={cursor}" if word.endswith(("/stream", "/ws")) else word
        for word in server.read
    )
    behind = Server(server.name, server.pids, resumed, (), spin=False)
    more = ("--step", f"messages:{_BEHIND}", "--at-once", str(count))
    with bench.client(behind, RETURNING, count, more=more) as client:
        return client.connected


def _cursor(public: Address) -> str:
    """Return the place in the log at which a stream begins that is opened now."""
    headers = {
        "Accept": "text/event-stream",
        **bearer(world.token(layout.user(STAYING.first_reader))),
    }
    stream = connect(public)
    stream.sendall(request("GET", "/api/v1/stream", headers))
    got = b""
    while (found := _CURSOR.search(got)) is None:
        data = stream.recv(1 << 16)
        if not data:
            raise ConnectionError(f"no cursor: {got[-300:]!r}")
        got += data
    stream.close()
    return found[1].decode()


def _fill(server: Server, count: int) -> None:
    """Say as much in each room as its readers will have missed."""
    assert server.push is not None
    for room in range(RETURNING.first_room, RETURNING.first_room + min(RETURNING.rooms, count)):
        server.push(room, [_event(room, number + 1) for number in range(_BEHIND)])
    time.sleep(1)


def _event(room: int, number: int) -> bytes:
    """Return an event as the load client makes them; its mark counts rooms from the block's."""
    mark = f"~fan:{0:019d}:{number:010d}:{room - RETURNING.first_room:06d}~"
    return json.dumps(
        {
            "type": "m.room.message",
            "room_id": layout.room_id(room),
            "sender": world.mxid(layout.user(RETURNING.first_reader)),
            "event_id": f"$returning-{room:06d}-{number:06d}",
            "origin_server_ts": 1_760_000_000_000 + number,
            "content": {"msgtype": "m.text", "body": f"{mark} {_TEXT}"},
        },
        separators=(",", ":"),
    ).encode()
