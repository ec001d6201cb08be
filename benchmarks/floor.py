"""The floor: a server that does nothing but write the same bytes to every reader.

It has no database, no rooms, no tokens. What one delivery costs here is what the event loop and the
kernel ask for in any case; the bridge's own cost is read as a multiple of it. Run as a program:
``python -m benchmarks.floor PORT BYTES``.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

from openmeet_bridge.app import run_loop

from .world import MARK

_GREETING = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nE\r\nevent: hello\n\n\r\n"
)
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class _Peer(asyncio.Protocol):
    def __init__(self, readers: set[asyncio.Transport], frame: bytes) -> None:
        self._readers = readers
        self._frame = frame
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no common class.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._readers.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, blank, body = self._got.partition(b"\r\n\r\n")
        if not blank:
            return
        if head.startswith(b"GET"):
            self._readers.add(self._transport)
            self._transport.write(_GREETING)
        elif len(body) < int(head.partition(b"Content-Length: ")[2]):
            return
        else:
            self._transport.write(_ANSWER)
            data = self._frame * body.count(MARK)
            for reader in self._readers:
                reader.write(data)
        self._got = b""


async def _serve(port: int, size: int) -> int:
    readers: set[asyncio.Transport] = set()
    frame = MARK + b"." * (size - len(MARK))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Peer(readers, frame), "127.0.0.1", port)
    await server.serve_forever()
    return 0


if __name__ == "__main__":
    run_loop(_serve(int(sys.argv[1]), int(sys.argv[2])))
