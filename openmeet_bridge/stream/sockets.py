"""The sockets of streams: descriptors that are written to at once, and are all watched as one.

A stream's connection is taken from the HTTP server that has read its request, and from then on is
a descriptor and one small object: no transport, no task, no timer. One epoll set holds them all,
and the event loop watches that set as if it were a single socket.

What a socket does not take at once waits here, as references to bytes that other readers share.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Final, Protocol

_QUIET = select.EPOLLIN | select.EPOLLRDHUP
_AT_ONCE = 256
_READ = 16 * 1024
_PIECES = 64
_HIGH_WATER = 64 * 1024

_NOT_SENT = 32 * 1024
"""Bytes that the kernel takes beyond what it can send: a reader who stands still costs no more."""

_UNANSWERED_MS = 30_000
_ABORT: Final = struct.pack("ii", 1, 0)
_OPTIONS = (
    (socket.TCP_NODELAY, 1),
    (socket.TCP_NOTSENT_LOWAT, _NOT_SENT),
    (socket.TCP_USER_TIMEOUT, _UNANSWERED_MS),
)


class Owner(Protocol):
    """Whose socket it is."""

    def heard(self, data: bytes) -> None:
        """Take what the client has sent."""

    def hung_up(self) -> None:
        """Note that the client has gone. Nothing is written any more."""


class _Nobody:
    def heard(self, data: bytes) -> None:
        """Take no notice: the stream has ended, and its last words are on their way."""

    def hung_up(self) -> None:
        """Take no notice."""


_NOBODY = _Nobody()


class Socket:
    """The connection of one stream.

    Attributes:
        fd: The descriptor to write to at once; -1 while bytes wait, and after the end: then
            :meth:`write` knows what to do.
        owner: Gets what the client sends.
        behind_since: Since when bytes wait, in seconds of the monotonic clock; 0 where none do.
    """

    __slots__ = (
        "_drained",
        "_ending",
        "_hushed",
        "_number",
        "_rest",
        "_rest_bytes",
        "_sealed",
        "_sockets",
        "behind_since",
        "fd",
        "owner",
    )

    def __init__(self, sockets: Sockets, number: int, owner: Owner) -> None:
        self.fd = self._number = number
        self.owner = owner
        self.behind_since = 0.0
        self._sockets = sockets
        self._rest: deque[bytes] | None = None
        self._rest_bytes = 0
        self._drained: Callable[[], None] | None = None
        self._ending = self._hushed = self._sealed = False

    @property
    def closed(self) -> bool:
        """Whether the connection is no more."""
        return self._number < 0

    @property
    def sealed(self) -> bool:
        """Whether nothing more is taken that is written."""
        return self._sealed or self._number < 0

    def write(self, data: bytes) -> None:
        """Hand bytes to the socket; what it does not take waits. After the end they vanish."""
        if self.fd >= 0:
            try:
                sent = os.write(self.fd, data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.fail()
                return
            if sent < len(data):
                self.keep(data, sent)
        elif self._number >= 0 and not self._sealed:
            self._add(data)

    def keep(self, data: bytes, sent: int) -> None:
        """Keep what the socket has not taken of what was written to it."""
        self._rest = deque()
        self.fd = -1
        self.behind_since = time.monotonic()
        self._sockets.behind.add(self)
        self._add(data[sent:] if sent else data)
        self._watch()

    def _add(self, data: bytes) -> None:
        if self._rest is not None and data:
            self._rest.append(data)
            self._rest_bytes += len(data)

    def buffered(self) -> int:
        """Return how many bytes the socket has not taken yet."""
        return self._rest_bytes

    async def drain(self) -> None:
        """Wait until the socket has taken what was written, if that is much.

        Raises:
            ConnectionResetError: The reader has gone.
        """
        if self._rest_bytes > _HIGH_WATER:
            taken = asyncio.get_running_loop().create_future()
            self._drained = lambda: None if taken.done() else taken.set_result(None)
            await taken
        if self._number < 0:
            raise ConnectionResetError("the client has gone")

    def hush(self, hushed: bool) -> None:
        """Read nothing from the client for a while, or again."""
        if hushed is not self._hushed and self._number >= 0:
            self._hushed = hushed
            self._watch()

    def seal(self) -> None:
        """Take nothing more that is written."""
        self._sealed, self.fd = True, -1

    def end(self, linger: float) -> None:
        """End the connection when all is written that waits, and the client has read it.

        Args:
            linger: Seconds that it has for that.
        """
        if self._number < 0 or self._ending:
            return
        self.owner, self._ending = _NOBODY, True
        self.seal()
        self.hush(False)
        if self._rest is None:
            self._shut()
        self.abort_in(linger)

    def abort_in(self, seconds: float) -> None:
        """End the connection after a while, if it has not ended before."""
        self._sockets.loop.call_later(seconds, self.abort)

    def abort(self) -> None:
        """End the connection now. What waits is lost, in the kernel too."""
        if self._number >= 0:
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._number)) as one:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            self._close()

    def fail(self) -> None:
        """Note that the client has gone."""
        if self._number >= 0:
            self._close()
            self.owner.hung_up()

    def ready(self, events: int) -> None:
        """Do what the kernel says can be done."""
        if events & select.EPOLLOUT:
            self._flush()
        if events & ~select.EPOLLOUT and self._number >= 0:
            self._listen()

    def _listen(self) -> None:
        try:
            data = os.read(self._number, _READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.owner.heard(data)
        else:
            self.fail()

    def _flush(self) -> None:
        rest = self._rest
        try:
            while rest:
                sent = os.writev(self._number, list(islice(rest, _PIECES)))
                self._rest_bytes -= sent
                while sent:
                    piece = rest.popleft()
                    if len(piece) > sent:
                        rest.appendleft(piece[sent:])
                        break
                    sent -= len(piece)
        except BlockingIOError:
            return
        except OSError:
            self.fail()
            return
        self._caught_up()

    def _caught_up(self) -> None:
        self._rest = None
        self.behind_since = 0.0
        self._sockets.behind.discard(self)
        if self._ending:
            self._shut()
        elif not self._sealed:
            self.fd = self._number
        self._watch()
        self._tell_drained()

    def _shut(self) -> None:
        # Not closed: what the client has sent and nobody read would reset the connection, and take
        # from it what it has not read yet.
        with contextlib.suppress(OSError):
            one = socket.socket(fileno=self._number)
            try:
                one.shutdown(socket.SHUT_WR)
            finally:
                one.detach()

    def _watch(self) -> None:
        wanted = 0 if self._hushed else _QUIET
        self._sockets.watch(self._number, wanted | (select.EPOLLOUT if self._rest else 0))

    def _close(self) -> None:
        self._sockets.forget(self, self._number)
        self.fd = self._number = -1
        self._rest = None
        self._rest_bytes = 0
        self._tell_drained()

    def _tell_drained(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None:
            drained()


class Sockets:
    """All sockets of streams in this process.

    Attributes:
        loop: The event loop on which everything happens.
        behind: Those of which bytes wait.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.behind: set[Socket] = set()
        self._epoll = select.epoll()
        self._sockets: dict[int, Socket] = {}
        self._empty = asyncio.Event()
        self.loop.add_reader(self._epoll.fileno(), self._ready)

    def __len__(self) -> int:
        return len(self._sockets)

    def take(self, transport: asyncio.BaseTransport, owner: Owner = _NOBODY) -> Socket:
        """Take a connection from a transport, which is of no use from then on.

        What the transport was told to write must have been written.

        Raises:
            ConnectionResetError: The client has gone already.
            OSError: There may be no more open files.
        """
        own = transport.get_extra_info("socket")
        if own is None or own.fileno() < 0:
            raise ConnectionResetError("the client has gone already")
        with socket.socket(fileno=os.dup(own.fileno())) as one:
            taken = self.adopt(one, owner)
        transport.abort()  # type: ignore[attr-defined]  # (every socket's transport has it)
        return taken

    def adopt(self, one: socket.socket, owner: Owner = _NOBODY) -> Socket:
        """Take a connection over, whose socket does not block and is of no use from then on.

        Raises:
            OSError: It cannot be watched; it is the caller's still.
        """
        for option, value in _OPTIONS:
            with contextlib.suppress(OSError):  # not of TCP
                one.setsockopt(socket.IPPROTO_TCP, option, value)
        self._epoll.register(one.fileno(), _QUIET)
        number = one.detach()
        taken = self._sockets[number] = Socket(self, number, owner)
        return taken

    def watch(self, number: int, events: int) -> None:
        """Look out for these events of a socket."""
        self._epoll.modify(number, events)

    def forget(self, one: Socket, number: int) -> None:
        """Let go of a socket that has ended."""
        del self._sockets[number]
        self.behind.discard(one)
        self._epoll.unregister(number)
        os.close(number)
        if not self._sockets:
            self._empty.set()

    async def settle(self, seconds: float) -> None:
        """Wait until those that are ending have ended, for so long at most; then close."""
        self._empty.clear()
        if self._sockets:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._empty.wait()
        self.close()

    def close(self) -> None:
        """End all connections, and watch nothing more."""
        for one in list(self._sockets.values()):
            one.abort()
        self.loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _ready(self) -> None:
        for number, events in self._epoll.poll(0, _AT_ONCE):
            # One that has ended meanwhile gave its number back, perhaps to another.
            one = self._sockets.get(number)
            if one is not None:
                one.ready(events)
