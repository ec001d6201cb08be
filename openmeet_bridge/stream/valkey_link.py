"""Links: connections to Valkey or Redis that break where others would quietly be made anew.

redis-py's own pub/sub reconnects behind the caller's back, and what was said meanwhile is lost
without a word. Here a connection that is broken stays broken, and nothing waits for ever unless it
was told to.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.exceptions import RedisError

CONNECT_SECONDS: Final = 3.0
CLIENT_NAME: Final = "openmeet-bridge"

_SCHEMES: Final = {"valkey": "redis", "valkeys": "rediss"}
# The heartbeat finds a dead line sooner than the kernel; this is so that the kernel forgets it too.
_KEEPALIVE: Final = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
_USER_TIMEOUT_MS: Final = 10_000

BROKEN: Final = (RedisError, OSError)
"""What is raised when a link is broken or the server refuses."""

Command = tuple[str | bytes, ...]
Endpoint = tuple[str, int]


class Server:
    """How to reach a server, or the servers of a cluster that all know the same password.

    Args:
        address: ``valkey://[user:password@]host[:port][/db]``, the same with ``valkeys``, ``redis``
            or ``rediss``, or ``unix:///path/to/socket``.

    Raises:
        ValueError: The address has another form. The text does not repeat it: it may be secret.
    """

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        scheme = _SCHEMES.get(parts.scheme, parts.scheme)
        options: dict[str, Any] = dict(parse_url(urlunsplit(parts._replace(scheme=scheme))))
        self._kind: type[AbstractConnection] = options.pop("connection_class", Connection)
        self._options = {**options, **_SETTINGS}
        self.local = scheme == "unix"
        if not self.local:
            self._options |= {"socket_keepalive": True, "socket_keepalive_options": _tcp_options()}

    @property
    def host(self) -> str:
        """The host of the address; empty for a socket of this machine."""
        return str(self._options.get("host", "" if self.local else "localhost"))

    def link(self, endpoint: Endpoint | None = None) -> Link:
        """Return a connection that is not open yet, to the address or to another of its cluster."""
        options = dict(self._options)
        if endpoint is not None:
            options["host"], options["port"] = endpoint
        return Link(self._kind, options)


_SETTINGS: Final[Mapping[str, Any]] = {
    # Two are enough for all that is needed, and every server speaks them.
    "protocol": 2,
    # A listener may hear nothing for long: that is no reason to hang up.
    "socket_timeout": None,
    "socket_connect_timeout": CONNECT_SECONDS,
    "health_check_interval": 0,
    "client_name": CLIENT_NAME,
    "decode_responses": False,
}


def _tcp_options() -> dict[int, int]:
    named = {getattr(socket, name, None): value for name, value in _KEEPALIVE.items()}
    found = {option: value for option, value in named.items() if option is not None}
    user_timeout = getattr(socket, "TCP_USER_TIMEOUT", None)
    return found if user_timeout is None else {**found, user_timeout: _USER_TIMEOUT_MS}


class Link:
    """One connection.

    Args:
        kind: Over what it goes.
        options: What redis-py is told.
    """

    def __init__(self, kind: type[AbstractConnection], options: Mapping[str, Any]) -> None:
        self._connection = kind(**options)

    async def open(self) -> None:
        """Connect and sign in.

        Raises:
            RedisError: The server is away, or refuses.
        """
        await self._connection.connect()  # type: ignore[no-untyped-call]

    async def send(self, commands: Sequence[Command]) -> None:
        """Send commands in one piece; each has an answer that must be received."""
        packed = self._connection.pack_commands(commands)
        await self._connection.send_packed_command(packed, check_health=False)

    async def receive(self) -> Any:
        """Return the next answer, however long it takes.

        Raises:
            RedisError: The connection is broken, or the answer is a refusal.
        """
        return await self._connection.read_response()

    async def ask(self, *command: str | bytes) -> Any:
        """Send one command and return its answer."""
        await self.send([command])
        return await self.receive()

    async def close(self) -> None:
        """Hang up, without waiting for the other side."""
        await self._connection.disconnect(nowait=True)
