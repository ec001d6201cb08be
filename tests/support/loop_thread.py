"""An event loop of its own: Playwright's synchronous interface occupies the test's thread."""

from __future__ import annotations

import asyncio
import socket
import threading
from asyncio.trsock import TransportSocket
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs coroutines in a thread. Make one with :func:`loop_thread`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def run(self, work: Coroutine[Any, Any, T], seconds: float = 30.0) -> T:
        """Runs to its end and returns what it returns; raises what it raises."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)


async def accept_no_more(sockets: Iterable[TransportSocket | socket.socket]) -> None:
    """Lets those who were accepted just now be met, before their server is closed.

    asyncio forgets to close the connection of somebody whom it has accepted and who is met after
    the closing.
    """
    for one in sockets:
        asyncio.get_running_loop().remove_reader(one)
    # One turn to make the connection known to the server, one to make it known to the protocol,
    # and one in which a task of it may begin.
    for _ in range(3):
        await asyncio.sleep(0)


@contextmanager
def loop_thread() -> Iterator[LoopThread]:
    """A loop for the length of the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield LoopThread(loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()
