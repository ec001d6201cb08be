"""Engine.IO 4 as the web app speaks it: engineio's handshake and routing, with sockets of our own.

engineio gives each client an unbounded queue and up to four tasks, and copies each broadcast for
each of them; it reads a body only as far as it has come, and waits for ever for a client that it
has closed. So it does here what it is good for, which request is whose, and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

import engineio
import msgspec
from aiohttp import web

from ...stream.sockets import Sockets
from .socketio_limits import SocketLimits
from .socketio_socket import EngineSocket

QUIET: Final = logging.getLogger("openmeet_bridge.engineio")
"""For the libraries: they log what clients do wrong, and that says nothing."""

QUIET.setLevel(logging.ERROR)
QUIET.addFilter(lambda record: bool(record.exc_info))

MOST_STRANGERS: Final = 1000
"""Clients of whom nobody knows who they are."""

_SAID: Final = ("PATH_INFO", "QUERY_STRING", "HTTP_AUTHORIZATION", "HTTP_X_TENANT_ID")
"""What is kept of a client's first request: all of it would be kept as long as the client stays."""

ADDRESS: Final = "openmeet.address"
"""Where it is kept by what a client's streams are counted."""

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
    """

    sockets: dict[str, EngineSocket]

    def __init__(
        self,
        limits: SocketLimits,
        stream_sockets: Sockets,
        address: Callable[[web.Request], str | None],
        most_strangers: int,
        **options: Any,
    ) -> None:
        super().__init__(
            max_http_buffer_size=limits.message_bytes,
            ping_interval=limits.ping_interval,
            ping_timeout=limits.ping_timeout,
            monitor_clients=False,  # each socket has a timer
            http_compression=False,
            **options,
        )
        self.closing = False
        self._limits = limits
        self._stream_sockets = stream_sockets
        self._address = address
        self._most_strangers = most_strangers
        self._strangers: set[EngineSocket] = set()
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
        if self.closing or len(self._strangers) >= self._most_strangers:
            return _unavailable()
        socket = self._new_socket()
        socket.post(b"0" + msgspec.json.encode(self._greeting(socket.sid, transport)))
        said = {name: environ[name] for name in _SAID if name in environ}
        said[ADDRESS] = self._address(environ["aiohttp.request"])
        await self._trigger_event("connect", socket.sid, said, run_async=False)
        socket.begin()
        if transport == "polling":
            socket.connected = True
            return self._ok(await socket.poll())
        try:
            return await socket.handle_get_request(environ)
        finally:
            if not socket.connected:  # it was no WebSocket
                socket.end("transport close")

    def _new_socket(self) -> EngineSocket:
        socket = EngineSocket(
            self.generate_id(),
            self._limits,
            self._stream_sockets,
            self._strangers,
            self._heard,
            self._gone,
        )
        self.sockets[socket.sid] = socket
        return socket

    def _greeting(self, sid: str, transport: str) -> Mapping[str, Any]:
        return {
            "sid": sid,
            "upgrades": self._upgrades(sid, transport),
            "pingTimeout": int(self._limits.ping_timeout * 1000),
            "pingInterval": int(self._limits.ping_interval * 1000),
            "maxPayload": self._limits.message_bytes,
        }

    async def _heard(self, sid: str, text: str) -> None:
        await self._trigger_event("message", sid, text, run_async=False)

    def _gone(self, socket: EngineSocket, reason: str) -> None:
        self.sockets.pop(socket.sid, None)
        self.start_background_task(
            self._trigger_event, "disconnect", socket.sid, reason, run_async=False
        )


def _unavailable() -> dict[str, Any]:
    return {
        "status": "503 SERVICE UNAVAILABLE",
        "headers": [("Content-Type", "text/plain"), ("Retry-After", _RETRY_AFTER)],
        "response": b"The bridge takes no more clients at the moment.",
    }
