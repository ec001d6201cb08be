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

AT_ONCE: Final = 0.5
"""Two moments that are not further apart may be the same one, told from process to process."""


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

    Streams and words may be those of several processes; what clients have told others than this
    one is noted by :meth:`hear`.

    Attributes:
        streams: How many streams are open, in all processes.
        active_at: Until when they were certainly there.
        life_at: When there was the last sign of life.
        idle_words: How many clients have said here since then that they are idle.
        idle_at: When the last of them did.
        idle_elsewhere: How many clients have told other processes so since then.
        stays_idle: Whether they were idle when a stream was lost, and with it perhaps who said so:
            they are until the next sign of life.
    """

    __slots__ = (
        "_left_as",
        "_lost_at",
        "_most",
        "_patience",
        "active_at",
        "idle_at",
        "idle_elsewhere",
        "idle_words",
        "life_at",
        "stays_idle",
        "streams",
    )

    def __init__(self, patience: Patience, now: float) -> None:
        self._patience = patience
        self.active_at = self.life_at = self.idle_at = now
        self.streams = 0
        self.idle_words = self.idle_elsewhere = 0
        self.stays_idle = False
        self._left_as: State = ONLINE
        self._most = 0
        self._lost_at = now - patience.offline

    def count(self, streams: int, now: float, *, ours: bool = True) -> None:
        """Note how many streams are open.

        A new stream is a sign of life, but for one that takes the place of one that was lost: a
        connection that comes back says nothing of who sits before it.

        Args:
            streams: How many.
            now: When.
            ours: Whether the change was in this process. Of another, it says itself what was a
                sign of life.
        """
        back = now - self._lost_at < self._patience.offline
        if streams < self.streams:
            self.stays_idle = self.state(now) == IDLE
            if streams == 0:
                self._left_as = self.state(now)
                if self._left_as == ONLINE:
                    self.active_at = now
            self._most = max(self.streams, self._most if back else 0)
            self._lost_at = now
        elif ours and streams > self.streams and not (back and streams <= self._most):
            self.active(now)
        self.streams = streams

    def active(self, now: float) -> None:
        """Note a sign of life."""
        self.active_at = self.life_at = now
        self.idle_words = self.idle_elsewhere = 0
        self.stays_idle = False

    def idle(self, now: float) -> None:
        """Note that one client is idle."""
        if self.state(now) == ONLINE:
            self.active_at = now
        self.idle_words += 1
        self.idle_at = now

    def hear(self, life_at: float, idle_at: float | None, now: float) -> None:
        """Note what another process knows.

        Args:
            life_at: When there was the last sign of life there.
            idle_at: When a client last said there that it is idle; None where none has since then.
            now: The present.
        """
        if life_at > self.life_at + AT_ONCE:
            self.life_at = life_at
            self.active_at = max(self.active_at, life_at)
            self.stays_idle = False
            if self.idle_at < life_at:
                self.idle_words = 0
        if idle_at is not None and idle_at > self.active_at and self.state(now) == ONLINE:
            self.active_at = idle_at

    def state(self, now: float) -> State:
        """Return whether the person is there."""
        if self.streams == 0:
            return self._left_as if now - self._lost_at < self._patience.offline else OFFLINE
        quiet = now - self.active_at >= self._patience.idle
        words = self.idle_words + self.idle_elsewhere
        return IDLE if quiet or self.stays_idle or words >= self.streams else ONLINE

    def seen_at(self, now: float) -> float:
        """Return when the person was last active, as far as anybody can know."""
        return now if self.streams and self.state(now) == ONLINE else self.active_at
