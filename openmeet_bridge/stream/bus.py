"""The bus: tells every process that the log grew, and passes on what is not in the log.

The log is the truth; what the bus says is only ever a reason to look. Whatever it loses, delays:
the feed looks at the log now and then anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final, Protocol

from ..core.ids import Position
from .news import News

EVERYBODY: Final = "*"
"""The topic that every process has begun."""

WHOLE_LOG: Final = "+"
"""The topic of who follows the whole log: it grew there, whatever else that concerns."""


class Bus(Protocol):
    """What the feed, the hub and ingest need of a bus.

    A topic is the id of a room (``!…``) or of a user (``@…``).

    Attributes:
        heard: Called with what another process has said.
    """

    heard: Callable[[bytes], None]

    @property
    def alone(self) -> bool:
        """Whether there is no other process, nor can be: nothing need be encoded for any."""

    @property
    def deaf(self) -> bool:
        """Whether nothing is heard at the moment: who waits must look for itself."""

    def grown(self, position: Position, topics: Collection[str] = ()) -> None:
        """Say that the log has been committed up to a position, and whom that concerns."""

    async def wait(self, position: Position, patience: float) -> None:
        """Return when the log may hold more than ``position``, or after ``patience`` seconds."""

    def look(self) -> None:
        """Let whoever waits in this process look at the log once: it has more than they know."""

    def say(self, topic: str, payload: bytes) -> None:
        """Tell the other processes that have begun a topic. It may be lost."""

    def begin(self, topic: str) -> None:
        """Hear from now on what is said of a topic, and that the log grew there."""

    def end(self, topic: str) -> None:
        """Hear no more of a topic."""


class LocalBus:
    """The bus of a single process: there is nobody else to tell."""

    heard: Callable[[bytes], None]

    def __init__(self) -> None:
        self.heard = lambda _: None
        self._news = News()

    @property
    def alone(self) -> bool:
        """It always is."""
        return True

    @property
    def deaf(self) -> bool:
        """It never is."""
        return False

    def grown(self, position: Position, topics: Collection[str] = ()) -> None:
        """Wake whoever waits for an earlier position."""
        self._news.grown(position)

    async def wait(self, position: Position, patience: float) -> None:
        """Wait until the log has grown beyond a position."""
        await self._news.wait(position, patience)

    def look(self) -> None:
        """Wake whoever waits, once."""
        self._news.look()

    def say(self, topic: str, payload: bytes) -> None:
        """Tell nobody."""

    def begin(self, topic: str) -> None:
        """Nothing is said here."""

    def end(self, topic: str) -> None:
        """Nothing was said here."""
