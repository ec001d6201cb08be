"""Engine.IO 4 as the web app speaks it: engineio's handshake and routing, with sockets of our own.

engineio gives each client an unbounded queue and up to four tasks, and copies each broadcast for
each of them; it reads a body only as far as it has come, and waits for ever for a client that it
has closed. So it does here what it is good for, which request is whose, and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final

import engineio
import msgspec
from aiohttp import hdrs, web

from ...stream.frames import ws_text
from ...stream.sockets import Sockets
from ...stream.ws_handshake import UpgradeRefused, check_upgrade
from ..asking import Asking, Visit
from .socketio_limits import SocketLimits
from .socketio_pulse import Pulse
from .socketio_said import said_in
from .socketio_socket import TRANSPORT_CLOSE, Common, EngineSocket
from .socketio_strangers import Strangers

QUIET: Final = logging.getLogger("openmeet_bridge.engineio")
"""For the libraries: they log what clients do wrong, and that says nothing."""

QUIET.setLevel(logging.ERROR)
QUIET.addFilter(lambda record: bool(record.exc_info))

MOST_STRANGERS: Final = 1000
"""Clients of whom nobody knows who they are."""

_WEBSOCKET: Final = "websocket"
_NEW_ON_WEBSOCKET: Final = [["websocket"], ["4"], (), ()]

_STOP_SECONDS = 1.0
_RESTART: Final = 1012
_RETRY_AFTER = "5"


class Engine(engineio.AsyncServer):  # type: ignore[misc]  # (it has no types)
    """All clients of Engine.IO.

    Args:
        limits: What each of them may do.
        stream_sockets: Hold the connections of those on WebSocket.
        address: Tells by what the streams of a request's client are counted.
        most_strangers: As many may be there of whom nobody knows who they are.
        options: engineio's own.

    Attributes:
        sockets: The clients, by their session ids.
        closing: Whether no more are taken.
        heard: Called with each message that a client sends.
        left: Called once with each client, when it has gone.
    """

    sockets: dict[str, EngineSocket]
    heard: Callable[[EngineSocket, str], Awaitable[None]]
    left: Callable[[EngineSocket], None]

    def __init__(
        self,
        limits: SocketLimits,
        stream_sockets: Sockets,
        address: Callable[[Asking], str | None],
        most_strangers: int,
        **options: Any,
    ) -> None:
        super().__init__(
            max_http_buffer_size=limits.message_bytes,
            ping_interval=limits.ping_interval,
            ping_timeout=limits.ping_timeout,
            monitor_clients=False,  # they have a pulse here
            http_compression=False,
            **options,
        )
        self.closing = False
        self._limits = limits
        self._address = address
        self._most_strangers = most_strangers
        self._strangers = Strangers(limits.stranger_seconds, self._drop_stranger)
        self._common = Common(
            limits,
            stream_sockets,
            self._strangers,
            Pulse(limits, self.sockets.get),
            self._hear,
            self._gone,
        )
        self._tasks: set[asyncio.Task[Any]] = set()

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        """Answer a request of a client's."""
        if "j" in request.query:  # for browsers of long ago, which ran the answer as a script
            return web.Response(status=400)
        response: web.StreamResponse = await super().handle_request(request)
        return response

    def start_background_task(
        self, target: Callable[..., Coroutine[Any, Any, Any]], *args: Any, **kwargs: Any
    ) -> asyncio.Task[Any]:
        """Run something, and end it at the latest when everything ends."""
        task = asyncio.create_task(target(*args, **kwargs))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """Drop all clients, so that they come back later, and end everything that is under way."""
        self.closing = True
        for socket in list(self.sockets.values()):
            socket.end("server shutting down", code=_RESTART)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _handle_connect(
        self, environ: Mapping[str, Any], transport: str, jsonp_index: int | None = None
    ) -> Any:
        if self._is_full:
            return _unavailable()
        request: web.Request = environ["aiohttp.request"]
        socket = self._welcome(request)
        greeting = self._greeting(socket.sid, transport)
        if transport == "polling":
            socket.connected = True
            socket.post(greeting)
            return self._ok(await socket.poll())
        try:
            return await socket.open_websocket(request, ws_text(greeting))
        finally:
            if not socket.connected:  # it was no WebSocket
                socket.end(TRANSPORT_CLOSE)

    def lets_in(self, asking: Asking) -> bool:
        """Whether a request opens the WebSocket of a new client, and nothing is wrong with it."""
        query = asking.query
        asked = [query.getall(name, ()) for name in ("transport", "EIO", "sid", "j")]
        if asked != _NEW_ON_WEBSOCKET or _WEBSOCKET not in self.transports or self._is_full:
            return False
        try:
            check_upgrade(asking.headers)
        except UpgradeRefused:
            return False
        return bool(asking.headers[hdrs.UPGRADE].lower() == _WEBSOCKET)

    async def open(self, visit: Visit) -> None:
        """Open the WebSocket of a new client, for which :meth:`lets_in` holds.

        Raises:
            ConnectionError: The client has gone.
        """
        socket = self._welcome(visit.asking)
        greeting = self._greeting(socket.sid, _WEBSOCKET)
        try:
            await socket.open(visit, check_upgrade(visit.asking.headers), ws_text(greeting))
        finally:
            if not socket.connected:
                socket.end(TRANSPORT_CLOSE)

    @property
    def _is_full(self) -> bool:
        return self.closing or len(self._strangers) >= self._most_strangers

    def _welcome(self, asking: Asking) -> EngineSocket:
        said = said_in(asking, self._address(asking))
        socket = EngineSocket(self.generate_id(), said, self._common)
        self.sockets[socket.sid] = socket
        socket.begin()
        return socket

    def _greeting(self, sid: str, transport: str) -> bytes:
        greeting = {
            "sid": sid,
            "upgrades": self._upgrades(sid, transport),
            "pingTimeout": int(self._limits.ping_timeout * 1000),
            "pingInterval": int(self._limits.ping_interval * 1000),
            "maxPayload": self._limits.message_bytes,
        }
        return b"0" + msgspec.json.encode(greeting)

    def _hear(self, socket: EngineSocket, text: str) -> Awaitable[None]:
        return self.heard(socket, text)

    def _gone(self, socket: EngineSocket, reason: str) -> None:
        self.sockets.pop(socket.sid, None)
        self.left(socket)

    def _drop_stranger(self, sid: str) -> None:
        socket = self.sockets.get(sid)
        if socket is not None:
            socket.end("never connected")


def _unavailable() -> dict[str, Any]:
    return {
        "status": "503 SERVICE UNAVAILABLE",
        "headers": [("Content-Type", "text/plain"), ("Retry-After", _RETRY_AFTER)],
        "response": b"The bridge takes no more clients at the moment.",
    }
