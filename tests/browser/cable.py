"""The cable between a browser and the bridge, which a test may cut."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from tests.support.loop_thread import LoopThread, accept_no_more, loop_thread

_CHUNK = 1 << 16


class Cable:
    """Passes bytes on in both directions. Make one with :func:`cable`.

    Attributes:
        url: Where the browser finds the bridge.
    """

    def __init__(self, target: str, thread: LoopThread) -> None:
        parts = urlsplit(target)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._thread = thread
        self._whole = True
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = thread.run(asyncio.start_server(self._take, self._host, 0))
        self.url = f"http://{self._host}:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Breaks all connections without a word, and every new one."""
        self._whole = False
        self._thread.run(self._break())

    def mend(self) -> None:
        """Lets connections through again."""
        self._whole = True

    def close(self) -> None:
        """Ends it."""
        self._whole = False
        self._thread.run(self._end())

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self._whole:
                with suppress(asyncio.CancelledError):  # asyncio would log it as a mistake
                    await self._join(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pass_on(reader, far_writer))
                both.create_task(_pass_on(far_reader, writer))
        finally:
            far_writer.transport.abort()

    async def _end(self) -> None:
        await accept_no_more(self._server.sockets)
        self._server.close()
        await self._break()

    async def _break(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):  # the one or the other has gone
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


@contextmanager
def cable(target: str) -> Iterator[Cable]:
    """A cable to an address, for the length of the block."""
    with loop_thread() as thread:
        made = Cable(target, thread)
        try:
            yield made
        finally:
            made.close()
