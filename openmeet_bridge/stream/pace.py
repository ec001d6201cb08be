"""The pace: under load, how long to gather before the next sweep.

A sweep costs the same whether it brings each reader one frame or ten. While there is time, every
entry is brought at once; where the process is busy and entries come faster than sweeps end, it
waits a little, and each reader gets more of them at once. That bounds the work, whatever the rate.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

PACES: Final = (0.0, 0.010, 0.015, 0.020)
"""Seconds from the beginning of one sweep to that of the next, from none to the most."""

_WINDOW = 0.25
_BUSY = 0.4
_IDLE = 0.2
_GATHERED = 1.15
"""Entries in each sweep below which there is nothing to gain by waiting: they come one by one."""


class Pace:
    """Says how long to wait.

    Args:
        clock: Seconds, of a clock that never goes back.
        cpu: Seconds for which the event loop's thread has worked.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        self._clock = clock
        self._cpu = cpu
        self._level = 0
        self._began, self._worked = clock(), cpu()
        self._swept = self._began
        self._sweeps = self._entries = 0

    def begin(self, entries: int) -> None:
        """Note that a sweep begins, with so many entries."""
        now = self._swept = self._clock()
        self._sweeps += 1
        self._entries += entries
        if now - self._began >= _WINDOW:
            self._judge(now)

    def until_next(self) -> float:
        """Return for how many seconds the next sweep is to wait; nothing where it is due."""
        pace = PACES[self._level]
        return max(0.0, self._swept + pace - self._clock()) if pace else 0.0

    def _judge(self, now: float) -> None:
        worked = self._cpu()
        busy = (worked - self._worked) / (now - self._began)
        gathered = self._entries / self._sweeps
        if busy > _BUSY and gathered > _GATHERED:
            self._level = min(self._level + 1, len(PACES) - 1)
        elif self._level and (busy < _IDLE or gathered <= _GATHERED):
            self._level -= 1
        self._began, self._worked = now, worked
        self._sweeps = self._entries = 0
