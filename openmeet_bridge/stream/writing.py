"""Writing the same bytes to many sockets: one system call for each, and nothing else.

The loop is ``map``'s, in C: there is no step of the interpreter between two writes. ``os.write``
lets go of the interpreter's lock. Where another thread computes, each write would wait for that
thread's turn to end: a sweep of a thousand sockets would take as many turns. When that is seen, the
writes are done for a while by a call that keeps the lock: a little slower, and as steady.
"""

from __future__ import annotations

import ctypes
import os
import socket
import time
from collections.abc import Callable, Sequence
from itertools import islice, repeat
from typing import Final

from .subscriber import Subscriber

Short = tuple[Subscriber, int]
"""Who could not be given all, and how many bytes were taken; -1 where the reader has gone."""

_LOOK: Final = 16
"""Writes between two looks at the clock."""

_STALLED: Final = 0.0005
"""Seconds for so many writes in which something else must have run: they take 0.1 ms."""

_COMPUTES: Final = 0.1
"""Part of the time for which other threads must have worked to be what has run."""

_KEEPING: Final = 0.25
"""Seconds for which the lock is kept, before it is tried again without."""

_FLAGS: Final = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL

_send = ctypes.PyDLL(None).send
_send.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int)
_send.restype = ctypes.c_ssize_t


def _others() -> float:
    """Return for how many seconds other threads of this process have worked."""
    return time.process_time() - time.thread_time()


class Writer:
    """Writes to many sockets.

    Args:
        clock: Seconds, of a clock that never goes back.
        others: Seconds for which other threads have worked.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        others: Callable[[], float] = _others,
    ) -> None:
        self._clock = clock
        self._others = others
        self._keeps_until = 0.0
        self._stall = clock(), others()

    @property
    def keeps_lock(self) -> bool:
        """Whether another thread was seen that computes."""
        return self._clock() < self._keeps_until

    def write(self, readers: Sequence[Subscriber], data: bytes) -> Sequence[Short]:
        """Write the same to all; return those who could not be given all of it."""
        numbers = [one.sink.fd for one in readers]
        taken: list[int] = []
        if not self.keeps_lock:
            self._write(numbers, data, taken)
        if len(taken) < len(numbers):
            taken += keeping_lock(numbers[len(taken) :], data)
        size = len(data)
        if taken.count(size) == len(taken):
            return ()
        return [one for one in zip(readers, taken, strict=True) if one[1] != size]

    def _write(self, numbers: Sequence[int], data: bytes, taken: list[int]) -> None:
        """Note how many bytes each socket takes, until another thread is seen that computes."""
        writes = map(os.write, numbers, repeat(data))
        # Whether it computes still is found out with a single write.
        step = 1 if self._keeps_until else _LOOK
        began = self._clock()
        while len(taken) < len(numbers):
            try:
                taken.extend(islice(writes, step))
            except BlockingIOError:
                taken.append(0)
            except OSError:
                # There may be none: it waits already for what it was given before.
                taken.append(-1 if numbers[len(taken)] >= 0 else 0)
            now = self._clock()
            if now - began > _STALLED * step / _LOOK and self._is_held_up(now):
                self._keeps_until = now + _KEEPING
                return
            began, step = now, _LOOK
        self._keeps_until = 0.0

    def _is_held_up(self, now: float) -> bool:
        """Whether it was another thread that has run: it may be another program, too."""
        since, before = self._stall
        worked = self._others()
        self._stall = now, worked
        return worked - before > (now - since) * _COMPUTES


def keeping_lock(numbers: Sequence[int], data: bytes) -> list[int]:
    """Write the same to all, and let no other thread run meanwhile.

    Returns:
        How many bytes each has taken. 0 also where the reader has gone: that is seen when what it
        has not taken is written again.
    """
    taken = map(_send, numbers, repeat(data), repeat(len(data)), repeat(_FLAGS))
    return [max(0, one) for one in taken]
