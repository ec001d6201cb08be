"""A load balancer for TCP, as simple as they come: the next one in turn who takes the call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from openmeet_bridge.demo.synapse import HOST

from .ports import free_port

_PIECE = 1 << 16


class Balancer:
    """Hands each connection to one of several ports. Make one with :func:`balancer`.

    It knows of a target only what the connection says: one that is frozen takes calls and does not
    answer, as with any balancer between two of its health checks.

    Attributes:
        port: Where it listens.
        targets: To whom it hands connections.
        shut: Whether it hangs up on everybody.
    """

    def __init__(self, targets: Sequence[int], port: int) -> None:
        self.port = port
        self.targets = list(targets)
        self.shut = False
        self._turn = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Its address, for HTTP."""
        return f"http://{HOST}:{self.port}"

    def cut(self) -> None:
        """Cut all connections, as a balancer does that is restarted."""
        for writer in self._open:
            writer.transport.abort()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection, and pass on what is said until either side hangs up."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        try:
            inner = None if self.shut else await self._connect()
            if inner is not None:
                await self._pass(reader, writer, *inner)
        except asyncio.CancelledError:
            return  # the end of all; asyncio would complain of a handler that was cancelled
        finally:
            writer.transport.abort()
            self._open.discard(writer)
            self._tasks.discard(task)

    async def close(self) -> None:
        """End all connections."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for _ in self.targets:
            self._turn = (self._turn + 1) % len(self.targets)
            with contextlib.suppress(OSError):
                return await asyncio.open_connection(HOST, self.targets[self._turn])
        return None

    async def _pass(
        self,
        outer_in: asyncio.StreamReader,
        outer: asyncio.StreamWriter,
        inner_in: asyncio.StreamReader,
        inner: asyncio.StreamWriter,
    ) -> None:
        self._open.add(inner)
        ways = [
            asyncio.create_task(_copy(outer_in, inner)),
            asyncio.create_task(_copy(inner_in, outer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._open.discard(inner)
            inner.transport.abort()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(_PIECE):
            target.write(data)
            await target.drain()


@asynccontextmanager
async def balancer(targets: Sequence[int], port: int | None = None) -> AsyncIterator[Balancer]:
    """Run one for the length of the block.

    Args:
        targets: Ports on loopback.
        port: Where to listen; a free port when None.
    """
    made = Balancer(targets, port or free_port())
    server = await asyncio.start_server(made.handle, HOST, made.port)
    try:
        yield made
    finally:
        server.close()
        await made.close()
