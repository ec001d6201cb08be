"""Lines to endpoints: how each fares, and how much it can be given."""

from __future__ import annotations

import random
from typing import Final

from ..core.webhooks import Endpoint
from ..openmeet.webhook_client import Answer

AT_ONCE: Final = 4
"""Attempts that are made at one endpoint at the same time."""

FAILURES_IN_A_ROW: Final = 3
"""From so many on the endpoint itself seems to be away: it is tried with one event at a time."""

_LONGEST_REST = 60.0


class Line:
    """The line to one endpoint.

    Attributes:
        running: Attempts that are being made.
        failures: Attempts that failed since one was taken.
        gone: It answered that it wants nothing any more; so it is until the bridge starts anew.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.running = 0
        self.failures = 0
        self.gone = False
        self._rests_until = 0.0

    def free(self, now: float) -> int:
        """Return how many attempts may be begun."""
        if self.gone or now < self._rests_until:
            return 0
        return (1 if self.failures >= FAILURES_IN_A_ROW else AT_ONCE) - self.running

    def note(self, answer: Answer, now: float) -> bool:
        """Take note of an answer; return whether it shows that the endpoint is back."""
        if answer.problem is None:
            back, self.failures = self.failures >= FAILURES_IN_A_ROW, 0
            return back
        self.failures += 1
        self.gone = self.gone or answer.gone
        rest = answer.retry_after or 0.0
        if self.failures >= FAILURES_IN_A_ROW:
            rest = max(rest, growing(self.failures - FAILURES_IN_A_ROW, 1.0, _LONGEST_REST))
        self._rests_until = max(self._rests_until, now + rest)
        return False


def growing(times: int, first: float, longest: float) -> float:
    """Return a pause that doubles each time up to a longest, with jitter, in seconds."""
    pause = min(longest, first * 2.0 ** min(times, 30))
    return pause * random.uniform(0.5, 1.0)  # noqa: S311  (jitter, not a secret)
