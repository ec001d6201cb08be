"""Connections that have just come: what their clients want is looked at, and not yet read.

Who takes a connection over reads everything from its beginning, and need not know of this.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import socket
import stat
from collections.abc import Callable, Iterable
from typing import Any, Final

import structlog

from ..telemetry import CONNECTIONS_DISMISSED, CONNECTIONS_SILENT

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 32
"""Connections that are accepted before the event loop does what else there is."""

_LOOK: Final = 8192
_PATIENCE: Final = 30.0
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE: Final = 1.0

_NOT_HERE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_MODE: Final = 0o660

Met = Callable[[socket.socket, str, bytes], None]
"""Takes a connection over: its socket, the client's address, what it has said first.

On a UNIX socket, clients have no address.
"""


class Arrivals:
    """Accepts connections, and waits until their clients say something.

    Args:
        met: Takes over each of them.
        room: Tells how many may wait; who has waited longest goes when there are more.
        patience: Seconds after which who has said nothing goes.
    """

    def __init__(self, met: Met, room: Callable[[], int], *, patience: float = _PATIENCE) -> None:
        self._met = met
        self._room = room
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll()
        self._listening: set[socket.socket] = set()
        # In the order of their coming.
        self._silent: dict[int, tuple[socket.socket, str, float]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop.add_reader(self._epoll.fileno(), self._ready)

    def __len__(self) -> int:
        """Return how many have said nothing yet."""
        return len(self._silent)

    def accept(self, listening: Iterable[socket.socket]) -> None:
        """Accept what comes on these sockets, which do not block, until the end."""
        for one in listening:
            self._listening.add(one)
            self._loop.add_reader(one, self._accept, one)

    def accept_no_more(self) -> None:
        """Close the sockets that listen. Who was accepted and says something now is still met."""
        while self._listening:
            one = self._listening.pop()
            self._loop.remove_reader(one)
            one.close()
        self._ready(max(1, len(self._silent)))

    def close(self) -> None:
        """Accept no more, and close the connections of those who have said nothing."""
        self.accept_no_more()
        if self._timer is not None:
            self._timer.cancel()
        for number in list(self._silent):
            self._dismiss(number, "closing")
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                one, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self._rest(listening, error)
                return
            one.setblocking(False)
            # Of a UNIX socket it is a text, and an empty one.
            self._look(one, address[0] if address else "")

    def _rest(self, listening: socket.socket, error: OSError) -> None:
        """Accept nothing for a moment: there are no more open files, and nobody would get any."""
        log.error("listener.exhausted", error=error.strerror, seconds=_PAUSE)
        self._loop.remove_reader(listening)
        self._loop.call_later(_PAUSE, self._resume, listening)

    def _resume(self, listening: socket.socket) -> None:
        if listening in self._listening:
            self._loop.add_reader(listening, self._accept, listening)

    def _look(self, one: socket.socket, address: str) -> None:
        """Meet somebody who has just come, or wait until they say something."""
        said = _said(one)
        if said is None:
            self._wait(one, address)
        elif said:
            self._met(one, address, said)
        else:
            one.close()

    def _wait(self, one: socket.socket, address: str) -> None:
        if self._silent and len(self._silent) >= self._room():
            self._dismiss(next(iter(self._silent)), "pushed_out")
        number = one.fileno()
        CONNECTIONS_SILENT.inc()
        self._silent[number] = one, address, self._loop.time() + self._patience
        self._epoll.register(number, select.EPOLLIN | select.EPOLLRDHUP)
        if self._timer is None:
            self._timer = self._loop.call_later(self._patience, self._impatient)

    def _ready(self, most: int = _AT_ONCE) -> None:
        for number, _ in self._epoll.poll(0, most):
            one, address, _ = self._silent[number]
            said = _said(one)
            if said:
                self._forget(number)
                self._met(one, address, said)
            elif said is not None:
                self._dismiss(number, "gone")

    def _impatient(self) -> None:
        """Let go of those who have said nothing for too long, and look again when others have."""
        self._timer = None
        now = self._loop.time()
        for number, (_, _, until) in list(self._silent.items()):
            if until > now:
                self._timer = self._loop.call_at(until, self._impatient)
                return
            self._dismiss(number, "too_long")

    def _dismiss(self, number: int, reason: str) -> None:
        CONNECTIONS_DISMISSED.labels(reason).inc()
        self._forget(number).close()

    def _forget(self, number: int) -> socket.socket:
        one, _, _ = self._silent.pop(number)
        self._epoll.unregister(number)
        CONNECTIONS_SILENT.dec()
        return one


def _said(one: socket.socket) -> bytes | None:
    """Return what a client has said so far; None: nothing yet; empty: it has gone."""
    try:
        return one.recv(_LOOK, socket.MSG_PEEK)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError:
        return b""


def listening_sockets(
    host: str, port: int, *, backlog: int, reuse_port: bool
) -> list[socket.socket]:
    """Return sockets that listen on every address that a host has, and this machine, too.

    Args:
        host: A name or an address; empty for all of this machine's.
        port: The port; 0 for any that is free.
        backlog: How many connections the kernel keeps until they are accepted.
        reuse_port: Whether other processes may listen there too.

    Raises:
        OSError: An address is taken, is not this machine's, or there is none.
    """
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    missing: OSError | None = None
    with contextlib.ExitStack() as opened:
        sockets = []
        for family, _, _, _, address in dict.fromkeys(found):
            try:
                one = _bound(family, address, reuse_port=reuse_port)
            except OSError as error:
                # A name may stand for an address of IPv6, too, on a machine that has none.
                if error.errno not in _NOT_HERE:
                    raise
                missing = error
                continue
            opened.enter_context(one)
            one.listen(backlog)
            sockets.append(one)
        if missing is not None and not sockets:
            raise missing
        opened.pop_all()
    return sockets


def _bound(family: int, address: tuple[Any, ...], *, reuse_port: bool) -> socket.socket:
    with contextlib.ExitStack() as opened:
        one = opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.setblocking(False)
        one.bind(address)
        opened.pop_all()
    return one


def listening_path(path: str, *, backlog: int, replaces: bool) -> socket.socket:
    """Return a UNIX socket that listens at a path, for members of this process's group.

    Args:
        path: Where. What a process that has ended left there is replaced.
        backlog: How many connections the kernel keeps until they are accepted.
        replaces: Whether one that listens there is replaced too: it ends soon.

    Raises:
        OSError: Somebody listens there, something else is there, or it cannot be made there.
    """
    if os.path.lexists(path) and not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise OSError(errno.EEXIST, "there is something that is no socket")
    if not replaces and _is_listening(path):
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    made = f"{path}.new-{os.getpid()}"
    with contextlib.ExitStack() as opened:
        one = opened.enter_context(socket.socket(socket.AF_UNIX))
        one.setblocking(False)
        with contextlib.suppress(FileNotFoundError):  # of one that has crashed just here
            os.unlink(made)
        one.bind(made)
        opened.callback(os.unlink, made)
        # Nobody can connect before it listens.
        os.chmod(made, _MODE)
        one.listen(backlog)
        os.rename(made, path)
        opened.pop_all()
    return one


def _is_listening(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as one:
        one.setblocking(False)
        try:
            one.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except BlockingIOError:  # so many others wait there
            pass
    return True
