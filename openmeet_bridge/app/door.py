"""The public door: streams are let in at once, and whoever wants something else is shown on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable

from ..api.quick_streams import QuickStreams
from ..stream.arrivals import Arrivals, listening_path, listening_sockets

_SETTLE = 2.0
_FEW = 256
"""So many may stand in the door, and as many more as could have a stream: all may come at once."""


class Door:
    """Meets everybody who comes to the public address.

    Args:
        quick: Lets streams in.
        server: Makes the protocol of a connection on which anything may be asked: the HTTP server.
    """

    def __init__(self, quick: QuickStreams, server: Callable[[], asyncio.Protocol]) -> None:
        self._quick = quick
        self._server = server
        self._arrivals = Arrivals(self._met, lambda: _FEW + quick.room)
        self._showing: set[asyncio.Task[None]] = set()
        self._path: tuple[str, int] | None = None

    def open(self, host: str, port: int, *, backlog: int, reuse_port: bool) -> tuple[str, int]:
        """Let people come; return where.

        Args:
            host: Where to listen.
            port: On which port; 0 for any.
            backlog: How many the kernel lets wait.
            reuse_port: Whether other processes listen there too.

        Raises:
            OSError: The address cannot be used.
        """
        sockets = listening_sockets(host, port, backlog=backlog, reuse_port=reuse_port)
        found: tuple[str, int] = sockets[0].getsockname()[:2]
        self._arrivals.accept(sockets)
        return found

    def open_at(self, path: str, *, backlog: int, replaces: bool) -> None:
        """Let a proxy of this machine come by a UNIX socket; see :func:`listening_path`."""
        self._arrivals.accept([listening_path(path, backlog=backlog, replaces=replaces)])
        self._path = path, os.stat(path).st_ino

    async def admit_no_more(self) -> None:
        """Close the door. Whoever has said already what they want gets it, or an answer."""
        self._remove_path()
        self._arrivals.accept_no_more()
        await self._quick.settle(_SETTLE)
        if self._showing:
            await asyncio.wait(self._showing)

    async def close(self) -> None:
        """Let go of everybody who is in the door still."""
        self._arrivals.close()
        await self._quick.stop()
        # Who was refused until now is the HTTP server's, which ends after this.
        if self._showing:
            await asyncio.wait(self._showing)

    def _remove_path(self) -> None:
        """Leave no socket behind, unless it is one that has replaced ours."""
        if self._path is not None:
            path, number = self._path
            self._path = None
            with contextlib.suppress(OSError):
                if os.stat(path).st_ino == number:
                    os.unlink(path)

    def _met(self, one: socket.socket, address: str, said: bytes) -> None:
        if not self._quick.take(one, address, said, self._show_on):
            self._show_on(one)

    def _show_on(self, one: socket.socket) -> None:
        task = asyncio.create_task(self._show(one))
        self._showing.add(task)
        task.add_done_callback(self._showing.discard)

    async def _show(self, one: socket.socket) -> None:
        """Hand a connection to the HTTP server, which reads what is on it."""
        with contextlib.suppress(OSError):  # the client has gone
            await asyncio.get_running_loop().connect_accepted_socket(self._server, one)
