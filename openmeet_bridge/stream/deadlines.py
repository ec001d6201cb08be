"""Deadlines: when streams must end, thousands of them with one timer a second."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from .subscriber import Subscriber


class Deadlines:
    """Ends streams when their time is over, to the second and never early.

    Args:
        over: Called with a stream whose time is over.
    """

    def __init__(self, over: Callable[[Subscriber], None]) -> None:
        self._over = over
        self._due: dict[int, set[Subscriber]] = {}

    def set(self, subscriber: Subscriber, seconds: float) -> None:
        """Let a stream end after a while; what was said before holds no longer."""
        self.clear(subscriber)
        loop = asyncio.get_running_loop()
        second = math.ceil(loop.time() + seconds)
        due = self._due.get(second)
        if due is None:
            due = self._due[second] = set()
            loop.call_at(second, self._pass, second)
        due.add(subscriber)
        subscriber.due = due

    def clear(self, subscriber: Subscriber) -> None:
        """Let a stream live on."""
        if subscriber.due is not None:
            subscriber.due.discard(subscriber)

    def _pass(self, second: int) -> None:
        for subscriber in list(self._due.pop(second)):
            self._over(subscriber)
