"""A clock that stands until it is moved."""

from __future__ import annotations


class Clock:
    """Seconds, as :func:`time.monotonic` and :func:`time.time` give them."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        """Lets time go by."""
        self.now += seconds
