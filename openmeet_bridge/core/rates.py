"""Rates: so many a second in the long run, and some more at once."""

from __future__ import annotations

from itertools import islice
from typing import Final

_ROUNDING: Final = 0.01
"""Parts of one turn by which sums of many fractions may be wrong."""


class Rate:
    """A rate of which one number is kept for each who is held to it.

    That number is the moment at which all that was taken is given back. In the beginning, and
    whenever it is past, it is as good as none. (It is the generic cell rate algorithm of ITU-T
    I.371, which admits the same as a bucket of tokens.)

    Args:
        per_second: How many in the long run.
        at_once: How many after a long pause.
    """

    __slots__ = ("_each", "_slack")

    def __init__(self, per_second: float, at_once: float) -> None:
        self._each = 1 / per_second
        self._slack = max(0.0, at_once - 1 + _ROUNDING) * self._each

    def wait(self, restored: float, now: float) -> float:
        """Return in how many seconds the next one may come; 0 where it may now."""
        return max(0.0, restored - self._slack - now)

    def took(self, restored: float, now: float) -> float:
        """Return when all is given back after one more was taken."""
        return max(restored, now) + self._each


class Rates:
    """The same rate for each of many.

    Of who has taken nothing for long nothing is kept, and of so many at most: who was forgotten
    for others may take again.

    Args:
        rate: The rate.
        most: Of how many something is kept.
    """

    def __init__(self, rate: Rate, most: int = 20_000) -> None:
        self._rate = rate
        self._most = most
        self._restored: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._restored)

    def take(self, name: str, now: float) -> float:
        """Take one where that is possible, and return 0; else the seconds to wait."""
        restored = self._restored.pop(name, 0.0)
        wait = self._rate.wait(restored, now)
        # Put at the end: the first ones are those who have been quiet the longest.
        self._restored[name] = restored if wait else self._rate.took(restored, now)
        self._forget(now)
        return wait

    def _forget(self, now: float) -> None:
        for name in list(islice(self._restored, 2)):
            if self._restored[name] <= now or len(self._restored) > self._most:
                del self._restored[name]
