"""Many streams, read by one thread that does nothing but count."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Sequence

from openmeet_bridge.config import Address

from .wire import bearer, connect, request
from .world import MARK

_READ = 1 << 18
_PATIENCE = 30.0
_KEEP = len(MARK) - 1
_HEADERS = {
    "sse": {"Accept": "text/event-stream"},
    "ws": {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "YmVuY2htYXJrLXJlYWRlcg==",
    },
}
PATHS = {"sse": "/api/v1/stream", "ws": "/api/v1/ws"}
"""Where the two kinds of stream are."""


def opening(wire: str, token: str) -> bytes:
    """Return the request that opens a stream."""
    return request("GET", PATHS[wire], {**_HEADERS[wire], **bearer(token)})


class Readers:
    """Open streams.

    Args:
        greeting: What a stream that is open has been sent.
        marks: How often :data:`~benchmarks.world.MARK` is in one delivery.

    Attributes:
        received: Bytes read so far.
        published: When the last event was published, by ``time.perf_counter``.
        delays: Seconds from then to each delivery; only while one event is in flight at a time.
    """

    def __init__(self, *, greeting: bytes = b"hello", marks: int = 1) -> None:
        self._greeting = greeting
        self._marks_each = marks
        self._marks = 0
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._tails: dict[int, bytes] = {}
        self._silent: set[int] = set()
        self.received = 0
        self.published = 0.0
        self.delays: list[float] = []

    def __len__(self) -> int:
        return len(self._sockets)

    @property
    def deliveries(self) -> int:
        """Messages read so far, over all streams."""
        return self._marks // self._marks_each

    def open(self, address: Address, requests: Sequence[bytes]) -> None:
        """Open one stream for each request, and wait until all have been greeted.

        Raises:
            RuntimeError: Some were not greeted in time.
        """
        for opened in requests:
            stream = connect(address)
            stream.sendall(opened)
            stream.setblocking(False)
            number = stream.fileno()
            self._sockets[number] = stream
            self._tails[number] = b""
            self._silent.add(number)
            self._epoll.register(number, select.EPOLLIN)
            self.poll(0)
        deadline = time.monotonic() + _PATIENCE
        while self._silent:
            self.poll(0.05)
            if time.monotonic() > deadline:
                raise RuntimeError(f"{len(self._silent)} streams were not opened")

    def watch(self, other: socket.socket) -> None:
        """Let :meth:`poll` tell when a socket that is not a stream can be read."""
        self._epoll.register(other.fileno(), select.EPOLLIN)

    def poll(self, patience: float) -> list[int]:
        """Read what is there; return the numbers of other sockets that can be read.

        Raises:
            ConnectionError: A stream has ended.
        """
        others = []
        for number, _ in self._epoll.poll(patience):
            stream = self._sockets.get(number)
            if stream is None:
                others.append(number)
                continue
            data = stream.recv(_READ)
            if not data:
                raise ConnectionError("a stream has ended")
            self._take(number, data)
        return others

    def close(self) -> None:
        """Hang up everywhere."""
        self._epoll.close()
        for stream in self._sockets.values():
            stream.close()

    def _take(self, number: int, data: bytes) -> None:
        self.received += len(data)
        # A mark may be cut by the end of a read; what is kept is too short to count twice.
        joined = self._tails[number] + data
        found = joined.count(MARK)
        if found:
            self._marks += found
            self.delays.append(time.perf_counter() - self.published)
        self._tails[number] = joined[-_KEEP:]
        if number in self._silent and self._greeting in joined:
            self._silent.discard(number)
