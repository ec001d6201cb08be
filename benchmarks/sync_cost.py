"""What connected users cost the homeserver: with streams of the bridge, and with ``/sync`` each.

OpenMeet's former design kept a Matrix client for everybody who was there, which long-polls the
homeserver. With the bridge the homeserver pushes each event once, whoever reads it.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from openmeet_bridge.demo.synapse import SynapseProcess, free_port
from openmeet_bridge.storage.embedded import EmbeddedPostgres

from . import house, world
from .group import settled_group
from .house import House
from .loop import on_loop
from .process import cpu_seconds
from .readers import PATHS
from .report import Report
from .samples import percentile
from .wire import bearer

_GROUP = "sync-cost"
_USERS = (0, 10, 50, 100)
_PAUSE = 0.25
_PATIENCE = 30.0
_POLL_MS = 10_000
_CLIENT = "/_matrix/client/v3"
_LIMIT = '{"room":{"timeline":{"limit":1}}}'
_COLUMNS = (
    "users", "by", "Synapse CPU ms/message", "idle: of a core %", "first has it, p50 ms",
    "last has it, p50 ms", "most ms",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is measured.

    Attributes:
        http: For everything.
        bridge: The bridge.
        synapse: Its homeserver.
        pid: The homeserver's process.
        as_token: What the bridge shows there.
        room_id: Where everybody is.
    """

    http: aiohttp.ClientSession
    bridge: House
    synapse: str
    pid: int
    as_token: str
    room_id: str

    async def ask(
        self, method: str, path: str, number: int, body: Any = None, **query: str
    ) -> dict[str, Any]:
        """Ask the homeserver something, as a user."""
        params = {"user_id": world.mxid(number), **query}
        headers = bearer(self.as_token)
        async with self.http.request(
            method, f"{self.synapse}{_CLIENT}{path}", params=params, json=body, headers=headers
        ) as answer:
            answer.raise_for_status()
            found: dict[str, Any] = await answer.json()
            return found


class Seen:
    """When which message was seen, by everybody who reads."""

    def __init__(self) -> None:
        self.times: defaultdict[str, list[float]] = defaultdict(list)
        self.ready = 0

    def note(self, text: str) -> None:
        """Note the mark in a text that somebody has been given."""
        _, found, rest = text.partition("~sync:")
        if found:
            self.times[rest.partition("~")[0]].append(time.perf_counter())


Reader = Callable[[Place, int, Seen], Coroutine[Any, Any, None]]


def run(home: Path, postgres: EmbeddedPostgres, *, quick: bool) -> list[Report]:
    """Measure."""
    agreed = house.plan(home)
    synapse = SynapseProcess(
        home / "synapse",
        port=free_port(),
        registrations=[agreed.registration_file],
        server_name=world.SERVER_NAME,
        relaxed=True,
    )
    users = (0, 5) if quick else _USERS
    messages = 5 if quick else 40
    with synapse, house.running(agreed, postgres, synapse.base_url) as bridge:
        room_id = settled_group(bridge, _GROUP, range(1, max(users) + 2))
        rows = on_loop(
            _measure(bridge, synapse, agreed.registration.as_token, room_id, users, messages)
        )
    report = Report("What connected users cost the homeserver", _COLUMNS, rows=rows)
    report.notes = [
        f"{messages} messages in one room of {max(users) + 1}, one every {_PAUSE} s, on the same",
        "Synapse (SQLite). Streams: users on the bridge, none on Synapse, which pushes to the",
        "bridge in every row. Times are from the answer to the send.",
    ]
    return [report]


async def _measure(
    bridge: House,
    synapse: SynapseProcess,
    as_token: str,
    room_id: str,
    users: Sequence[int],
    messages: int,
) -> list[tuple[str | float | None, ...]]:
    assert synapse.pid is not None
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    ways: dict[str, Reader] = {"streams": _stream, "/sync": _sync}
    rows = []
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        place = Place(http, bridge, synapse.base_url, synapse.pid, as_token, room_id)
        await _send_all(place, 3, Seen(), 0)  # warm
        for count in users:
            for name, read in ways.items() if count else (("nobody", _stream),):
                rows.append((count, name, *await _row(place, read, count, messages)))
    return rows


async def _row(place: Place, read: Reader, count: int, messages: int) -> tuple[float | None, ...]:
    seen = Seen()
    async with AsyncExitStack() as stack:
        tasks = [asyncio.create_task(read(place, number, seen)) for number in _readers(count)]
        stack.push_async_callback(_end, tasks)
        await _until(lambda: seen.ready >= count)
        await asyncio.sleep(2)
        before = cpu_seconds(place.pid)
        sent = await _send_all(place, messages, seen, count)
        each = (cpu_seconds(place.pid) - before) / messages * 1000
        idle = await _idle(place)
    late = [(min(seen.times[one]) - at, max(seen.times[one]) - at) for one, at in sent if count]
    if not late:
        return each, idle, None, None, None
    firsts, lasts = ([one[which] * 1000 for one in late] for which in (0, 1))
    return each, idle, percentile(firsts, 0.5), percentile(lasts, 0.5), max(lasts)


def _readers(count: int) -> range:
    # The first user speaks.
    return range(2, count + 2)


async def _idle(place: Place, seconds: float = 4.0) -> float:
    """Return how much of a core Synapse needs while nothing is said, in percent."""
    before = cpu_seconds(place.pid)
    await asyncio.sleep(seconds)
    return (cpu_seconds(place.pid) - before) / seconds * 100


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _send_all(
    place: Place, messages: int, seen: Seen, readers: int
) -> list[tuple[str, float]]:
    """Send messages, wait until everybody has them; return their marks, and when sent."""
    sent = []
    room = quote(place.room_id, safe="")
    for number in range(messages):
        mark = f"{time.monotonic_ns()}-{number}"
        body = {"msgtype": "m.text", "body": f"~sync:{mark}~ {'x' * 200}"}
        await place.ask("PUT", f"/rooms/{room}/send/m.room.message/{mark}", 1, body)
        sent.append((mark, time.perf_counter()))
        await asyncio.sleep(_PAUSE)
    await _until(lambda: all(len(seen.times[mark]) >= readers for mark, _ in sent))
    return sent


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(_PATIENCE):
        while not holds():  # noqa: ASYNC110  (many readers note in one place)
            await asyncio.sleep(0.02)


async def _stream(place: Place, number: int, seen: Seen) -> None:
    """Read a stream of the bridge."""
    url = f"http://{place.bridge.public}{PATHS['sse']}"
    async with place.http.get(url, headers=bearer(world.token(number))) as answer:
        async for line in answer.content:
            if line.startswith(b"event: hello"):
                seen.ready += 1
            seen.note(line.decode())


async def _sync(place: Place, number: int, seen: Seen) -> None:
    """Ask the homeserver again and again, as a Matrix client does."""
    found = await place.ask("GET", "/sync", number, timeout="0", filter=_LIMIT)
    seen.ready += 1
    while True:
        found = await place.ask(
            "GET", "/sync", number,
            since=found["next_batch"], timeout=str(_POLL_MS), set_presence="offline",
        )  # fmt: skip
        with suppress(KeyError):
            for event in found["rooms"]["join"][place.room_id]["timeline"]["events"]:
                seen.note(str(event["content"].get("body", "")))
