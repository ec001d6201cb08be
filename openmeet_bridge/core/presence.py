"""Presence: whether somebody is there, as their streams and their clients say.

Nothing here knows the time: every question brings its own ``now``, in seconds of one clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

State = Literal["online", "idle", "offline"]

ONLINE: Final = "online"
IDLE: Final = "idle"
OFFLINE: Final = "offline"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long presence waits.

    Attributes:
        idle: Seconds after which somebody is idle of whom no client says that they are active.
        offline: Seconds after their last stream's end after which somebody is gone: a page that
            is loaded again is not seen to go.
    """

    idle: float = 300.0
    offline: float = 10.0


class Attendance:
    """How one person of OpenMeet is there.

    Args:
        patience: How long to wait.
        now: When they came.

    Clients are not told apart. Somebody is idle when as many clients have said so as there are
    streams, and none has said since that they are active: of two windows the one that is looked at
    counts, in whichever order both tell.
    """

    __slots__ = (
        "_idle_words",
        "_left_as",
        "_lost_at",
        "_most",
        "_patience",
        "active_at",
        "streams",
    )

    def __init__(self, patience: Patience, now: float) -> None:
        self._patience = patience
        self.active_at = now
        self.streams = 0
        self._idle_words = 0
        self._left_as: State = ONLINE
        self._most = 0
        self._lost_at = now - patience.offline

    def count(self, streams: int, now: float) -> None:
        """Note how many streams are open.

        A new stream is a sign of life, but for one that takes the place of one that was lost: a
        connection that comes back says nothing of who sits before it.
        """
        back = now - self._lost_at < self._patience.offline
        if streams < self.streams:
            if streams == 0:
                self._left_as = self.state(now)
                if self._left_as == ONLINE:
                    self.active_at = now
            self._most = max(self.streams, self._most if back else 0)
            self._lost_at = now
        elif streams > self.streams and not (back and streams <= self._most):
            self.active(now)
        self.streams = streams

    def active(self, now: float) -> None:
        """Note a sign of life."""
        self.active_at = now
        self._idle_words = 0

    def idle(self, now: float) -> None:
        """Note that one client is idle."""
        if self.state(now) == ONLINE:
            self.active_at = now
        self._idle_words += 1

    def state(self, now: float) -> State:
        """Return whether the person is there."""
        if self.streams == 0:
            return self._left_as if now - self._lost_at < self._patience.offline else OFFLINE
        quiet = now - self.active_at >= self._patience.idle
        return IDLE if quiet or self._idle_words >= self.streams else ONLINE

    def seen_at(self, now: float) -> float:
        """Return when the person was last active, as far as anybody can know."""
        return now if self.streams and self.state(now) == ONLINE else self.active_at
