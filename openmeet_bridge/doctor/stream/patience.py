"""How long the examination waits for what."""

from __future__ import annotations

from dataclasses import dataclass

_BEATS = 2.6
"""Heartbeats in a watch: two and a half without a byte are a dead connection."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the examination waits, all in seconds.

    Attributes:
        answer: For the head of an answer.
        first: For the first frame of a stream; none by then is none at all.
        at_once: What comes later than this does not come at once.
        quiet: After such a silence a replay is over.
        pause: Between the two halves of a request.
        dropped: Until a client of Socket.IO comes back that was dropped.
        watch: How long streams are watched; None: as their heartbeats want it.
    """

    answer: float = 15.0
    first: float = 10.0
    at_once: float = 3.0
    quiet: float = 1.0
    pause: float = 0.3
    dropped: float = 2.0
    watch: float | None = None

    def watched(self, heartbeat: float) -> float:
        """Return how long streams are watched.

        Args:
            heartbeat: Seconds between two heartbeats, as the bridge promises them.
        """
        return _BEATS * heartbeat + 1 if self.watch is None else self.watch
