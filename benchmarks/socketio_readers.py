"""Many sockets of Socket.IO over WebSocket, read by one thread that does nothing but count."""

from __future__ import annotations

import socket
import time

from openmeet_bridge.config import Address

from .readers import Readers
from .wire import Connection, bearer, request

PATH = "/socket.io/?EIO=4&transport="
GREETING = b"connection_confirmed"
MARKS = 2
"""A message comes as ``matrix-event`` and as ``matrix-message``."""

_UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "YmVuY2htYXJrLXJlYWRlcg==",
}
_READ = 1 << 16
_OPENED = b'"sid"'
_PING = b"\x81\x012"
_PATIENCE = 20.0


def frame(text: bytes) -> bytes:
    """Return a short text as a client's frame (RFC 6455, 5.2), masked with zeros."""
    return bytes([0x81, 0x80 | len(text)]) + bytes(4) + text


_ENTER = frame(b"40/matrix,")
_PONG = frame(b"3")


def opening(token: str) -> bytes:
    """Return the request that opens a socket."""
    return request("GET", f"{PATH}websocket", {**_UPGRADE, **bearer(token)})


class SocketIoReaders(Readers):
    """Open sockets in the namespace ``/matrix``."""

    def __init__(self) -> None:
        super().__init__(greeting=GREETING, marks=MARKS)
        self._entered: set[int] = set()

    def _take(self, number: int, data: bytes) -> None:
        if number not in self._entered and _OPENED in data:
            self._entered.add(number)
            self._sockets[number].sendall(_ENTER)
        elif _PING in data:
            self._sockets[number].sendall(_PONG)
        super()._take(number, data)


def deaf_websocket(address: Address, token: str) -> socket.socket:
    """Return a socket that is in the namespace, with small buffers; nobody reads it."""
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    opened.settimeout(_PATIENCE)
    opened.connect((address.host, address.port))
    opened.sendall(opening(token))
    _read_until(opened, _OPENED)
    opened.sendall(_ENTER)
    _read_until(opened, GREETING)
    return opened


def deaf_polling(address: Address, token: str) -> Connection:
    """Return the connection of a client that is in the namespace by polling; it polls no more."""
    connection = Connection(address)
    headers = bearer(token)
    said = connection.ask(request("GET", f"{PATH}polling", headers))
    sid = said.partition(_OPENED)[2].split(b'"')[1].decode()
    path = f"{PATH}polling&sid={sid}"
    connection.ask(request("POST", path, headers, b"40/matrix,"))
    deadline = time.monotonic() + _PATIENCE
    while GREETING not in connection.ask(request("GET", path, headers)):
        if time.monotonic() > deadline:
            raise RuntimeError("a poll is not answered as it should")
    return connection


def _read_until(opened: socket.socket, wanted: bytes) -> None:
    got = b""
    while wanted not in got:
        data = opened.recv(_READ)
        if not data:
            raise ConnectionError(f"the bridge hung up after {got[-200:]!r}")
        got += data
