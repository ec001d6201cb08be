"""An allowance: how often each of many may do something within a while."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable


class Allowance:
    """Counts for each of many what they have done of late. Times are seconds, from any moment on.

    Args:
        window: Within how many seconds.
        kept: Of how many it is known at once; whoever did nothing for the longest is forgotten.
    """

    def __init__(self, window: float, kept: int) -> None:
        self._window = window
        self._kept = kept
        self._done: OrderedDict[Hashable, deque[float]] = OrderedDict()

    def take(self, who: Hashable, most: int, now: float) -> float:
        """Count once more for somebody, where that is not too often; else count nothing.

        Returns:
            0 where it is allowed, else in how many seconds it will be.
        """
        done = self._done.setdefault(who, deque())
        while done and now - done[0] >= self._window:
            done.popleft()
        if len(done) >= most:
            return self._window - (now - done[-most])
        done.append(now)
        self._done.move_to_end(who)
        if len(self._done) > self._kept:
            self._done.popitem(last=False)
        return 0.0
