"""Writing the same bytes to many sockets: one system call for each, and nothing else.

``os.write`` lets go of the interpreter's lock. Where another thread computes, each write would wait
for that thread's turn to end: a sweep of a thousand sockets would take as many turns. When that is
seen, the writes are done for a while by a call that keeps the lock: a little slower, and as steady.
"""

from __future__ import annotations

import ctypes
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from .subscriber import Subscriber

Short = tuple[Subscriber, int]
"""Who could not be given all, and how many bytes were taken; -1 where the reader has gone."""

_LOOK: Final = 8
"""Writes between two looks at the clock."""

_STALLED: Final = 0.002
"""Seconds for so many writes that only a wait for the lock can explain: they take 0.03 ms."""

_KEEPING: Final = 0.25
"""Seconds for which the lock is kept, before it is tried again without."""

_FLAGS: Final = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL

_libc = ctypes.PyDLL(None, use_errno=True)
_send = _libc.send
_send.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int)
_send.restype = ctypes.c_ssize_t


def send_keeping_lock(fd: int, data: bytes) -> int:
    """Do as ``os.write`` does on a socket, but let no other thread run meanwhile.

    Raises:
        BlockingIOError: The socket takes nothing now.
        OSError: It takes nothing any more.
    """
    sent: int = _send(fd, data, len(data), _FLAGS)
    if sent < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return sent


class Writer:
    """Writes to many sockets.

    Args:
        clock: Seconds, of a clock that never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._keeps_until = 0.0

    @property
    def keeps_lock(self) -> bool:
        """Whether another thread was seen that computes."""
        return self._clock() < self._keeps_until

    def write(self, readers: Sequence[Subscriber], data: bytes) -> Sequence[Short]:
        """Write the same to all; return those who could not be given all of it."""
        short: list[Short] = []
        began = self._clock()
        if began < self._keeps_until:
            _write(readers, data, send_keeping_lock, short)
            return short
        # Whether the other thread still computes is found out with a single write.
        step = 1 if self._keeps_until else _LOOK
        self._keeps_until = 0.0
        for start in range(0, len(readers), _LOOK):
            _write(readers[start : start + step], data, os.write, short)
            now = self._clock()
            if now - began > _STALLED * step / _LOOK and threading.active_count() > 1:
                self._keeps_until = now + _KEEPING
                _write(readers[start + step :], data, send_keeping_lock, short)
                break
            if step < _LOOK:
                _write(readers[start + step : start + _LOOK], data, os.write, short)
                now, step = self._clock(), _LOOK
            began = now
        return short


def _write(
    readers: Sequence[Subscriber],
    data: bytes,
    write: Callable[[int, bytes], int],
    short: list[Short],
) -> None:
    # The loop that runs for every reader of every entry: the usual case does nothing but write.
    size = len(data)
    for reader in readers:
        fd = reader.sink.fd
        sent = 0
        if fd >= 0:
            try:
                sent = write(fd, data)
                if sent == size:
                    continue
            except BlockingIOError:
                pass
            except OSError:
                sent = -1
        short.append((reader, sent))
