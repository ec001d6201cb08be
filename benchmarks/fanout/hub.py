"""The bridge with its log in memory, as a program.

``python -m benchmarks.fanout.hub CONFIG PORT [unpaced]``

Everything between the log and the sockets is the bridge's own: the public listener, tokens,
sessions, limits, replay, hub, wires. Instead of a homeserver's transactions it takes lines on PORT,
``NNNNNN {event}``; what comes at once is one piece of the log. It needs no PostgreSQL.

SIGUSR1 starts a thread that computes without a pause, SIGUSR2 ends it.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, cast

import aiohttp
from aiohttp import web

from openmeet_bridge.app import run_loop
from openmeet_bridge.app.door import Door
from openmeet_bridge.app.listeners import public_app
from openmeet_bridge.app.services import Services
from openmeet_bridge.app.serving import spare_what_stays
from openmeet_bridge.app.streams import open_streams
from openmeet_bridge.bridge.identity import Identity
from openmeet_bridge.bridge.streams import Streams
from openmeet_bridge.config import Config, load
from openmeet_bridge.matrix import registration
from openmeet_bridge.storage.database import Database
from openmeet_bridge.storage.event_log import Head
from openmeet_bridge.stream.bus import LocalBus
from openmeet_bridge.stream.feed import Feed
from openmeet_bridge.stream.pace import Pace
from openmeet_bridge.telemetry import setup_logging

from . import layout
from .memory_log import MemoryIdentity, MemoryLog

EPOCH = "0badcafe"
_BACKLOG = 4096
_NOWHERE = "postgresql://127.0.0.1:9/nothing"


class Hub:
    """The parts, put together.

    Args:
        config: The bridge's configuration; its database is not touched.
        http: As the bridge has it.
        pace: How long the feed gathers under load.

    Attributes:
        public: What clients talk to.
        loops: What must run meanwhile.
        step: Delivers one piece of the log.
        close: Ends all streams.
    """

    def __init__(
        self, config: Config, http: aiohttp.ClientSession, pace: Pace | None = None
    ) -> None:
        agreed = registration.load(config.registration, config.homeserver.server_name)
        self.log = MemoryLog()
        self.bus = LocalBus()
        head = Head(self.log.head, EPOCH)
        services = Services(config, agreed, Database(_NOWHERE), http, head)
        services.identity = cast("Identity", MemoryIdentity())
        services.streams = Streams(
            self.log, services.hub, replay_entries=config.limits.replay_entries
        )
        services.open_streams = open_streams(
            config, services.streams, services.hub, services.sockets
        )
        feed = Feed(self.log.after, services.hub, self.bus, pace=pace)
        self.step = feed.step
        self.loops: list[Callable[[], Awaitable[None]]] = [feed.run, services.hub.beat]
        self.close = services.sockets.close
        self.public = public_app(config, services, http)

    def take(self, lines: Iterable[bytes]) -> None:
        """Append lines to the log, and let the feed know."""
        topics = set()
        for line in lines:
            room = int(line[:6])
            self.log.append(room, line[7:])
            topics.add(layout.room_id(room))
        self.bus.grown(self.log.head, topics)


class Unpaced(Pace):
    """Waits for nothing: every event is brought at once, whatever that costs."""

    def until_next(self) -> float:
        """Return that there is nothing to wait for."""
        return 0.0


class Input(asyncio.Protocol):
    """A connection on which lines come.

    Args:
        take: Gets what is whole of them.
    """

    def __init__(self, take: Callable[[Iterable[bytes]], None]) -> None:
        self._take = take
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if lines:
            self._take(lines)


class BusyThread:
    """A thread that computes, as a big answer's JSON or a picture would, but without an end."""

    def __init__(self) -> None:
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start it, if it does not run."""
        if self._thread is None:
            self._ends.clear()
            self._thread = threading.Thread(target=self._compute, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End it, if it runs."""
        if self._thread is not None:
            self._ends.set()
            self._thread.join()
            self._thread = None

    def _compute(self) -> None:
        entries: Any = [{"body": "x" * 200, "order": number} for number in range(20)]
        while not self._ends.is_set():
            for _ in range(50):
                entries = json.loads(json.dumps(entries))


async def _serve(config: Config, port: int, pace: Pace | None) -> int:
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as http:
        hub = Hub(config, http, pace)
        busy = BusyThread()
        loop.add_signal_handler(signal.SIGUSR1, busy.start)
        loop.add_signal_handler(signal.SIGUSR2, busy.stop)
        runner = web.AppRunner(hub.public.app, access_log=None, handler_cancellation=True)
        await runner.setup()
        await loop.create_server(lambda: Input(hub.take), "127.0.0.1", port)
        address = config.listen.public
        door = Door(hub.public.quick, cast("web.Server", runner.server))
        door.open(address.host, address.port, backlog=_BACKLOG, reuse_port=False)
        spare_what_stays()
        await asyncio.gather(*(one() for one in hub.loops))
    return 0


def main() -> None:
    """Run until the program is ended."""
    config = load(Path(sys.argv[1]))
    setup_logging(config.logging.level, as_json=False)
    pace = Unpaced() if "unpaced" in sys.argv[3:] else None
    run_loop(_serve(config, int(sys.argv[2]), pace))


if __name__ == "__main__":
    main()
