"""The bus of many processes, over Valkey or Redis pub/sub.

Nothing is kept there: who does not listen at the moment does not hear. That is no loss, because the
log is the truth. While this process is deaf, whoever waits for the log looks for itself, often; and
whenever it begins to hear, or hears of one topic more, everybody who follows the log looks once.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable, Collection, Sequence
from typing import Final

import msgspec
import structlog

from ..core.ids import Position
from ..telemetry import BUS_CONNECTS, BUS_DEAF, BUS_HEARD, BUS_SAID
from .backlog import Backlog
from .bus import EVERYBODY, WHOLE_LOG
from .bus_messages import SENDER_BYTES, VERSION, Message, Wakeup, Word, decode, encode
from .lanes import Topics, by_lane, lane_of
from .news import News
from .valkey_link import BROKEN, Endpoint, Server
from .valkey_session import Lost, Names, Session

log = structlog.get_logger(__name__)

DEAF_PATIENCE: Final = 1.0
"""Longest wait for the log while nothing is heard, in seconds."""

_BEAT: Final = 1.0
_SHORTEST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
_FLUSH_SECONDS: Final = 1.0


class ValkeyBus:
    """Tells the other processes of a deployment, and hears them.

    Args:
        address: Where the server is; see :class:`~.valkey_link.Server`.
        deployment: What this deployment alone is called on that server: the epoch of its log.
        backlog: What waits to be said.
        beat: Seconds between two beats; three that are not heard mean that nothing is.
        longest_pause: Seconds between two attempts to connect, at most.

    Attributes:
        heard: Called with what another process has said.

    Raises:
        ValueError: The address cannot be read.
    """

    heard: Callable[[bytes], None]

    def __init__(
        self,
        address: str,
        deployment: str,
        *,
        backlog: Backlog | None = None,
        beat: float = _BEAT,
        longest_pause: float = _LONGEST_PAUSE,
    ) -> None:
        self.heard = lambda _: None
        self._server = Server(address)
        self._me = secrets.token_bytes(SENDER_BYTES)
        self._names = Names(f"openmeet-bridge:{VERSION}:{deployment}", self._me)
        self._backlog = Backlog() if backlog is None else backlog
        self._beat = beat
        self._longest_pause = longest_pause
        self._topics = Topics()
        self._news = News()
        self._session: Session | None = None
        self._deaf = True
        self._known: Sequence[Endpoint] = ()
        self._reason = ""
        self._hearing = asyncio.Event()
        BUS_DEAF.set(1)

    @property
    def alone(self) -> bool:
        """There may always be others."""
        return False

    @property
    def deaf(self) -> bool:
        """Whether nothing is heard at the moment."""
        return self._deaf

    async def hears(self) -> None:
        """Wait until everything is heard that is said of the topics begun until now."""
        await self._hearing.wait()

    # The log

    def grown(self, position: Position, topics: Collection[str] = ()) -> None:
        """Wake this process at once, and tell the others whom it concerns."""
        self._news.grown(position)
        self._say(EVERYBODY if not topics else WHOLE_LOG, Wakeup(position))
        for lane, concerned in by_lane(topics).items():
            self._put(lane, Wakeup(position, concerned))

    async def wait(self, position: Position, patience: float) -> None:
        """Wait until the log has grown beyond a position; not for long while deaf."""
        if self._deaf:
            patience = min(patience, DEAF_PATIENCE)
        await self._news.wait(position, patience)

    # What is not in the log

    def say(self, topic: str, payload: bytes) -> None:
        """Tell the other processes that have begun a topic. It may be lost."""
        self._say(topic, Word(topic, payload))

    def look(self) -> None:
        """Wake whoever waits in this process, once."""
        self._news.look()

    def begin(self, topic: str) -> None:
        """Hear from now on what is said of a topic, and that the log grew there."""
        if not self._topics.begin(topic) or self._session is None:
            return
        lane = lane_of(topic)
        if self._session.hears(lane):
            # Until now, what was said of it passed.
            self._news.look()
        else:
            self._session.changed(lane)
            self._hearing.clear()

    def end(self, topic: str) -> None:
        """Hear no more of a topic."""
        if self._topics.end(topic) and self._session is not None:
            self._session.changed(lane_of(topic))

    # The connection

    async def run(self) -> None:
        """Listen and speak for ever, whatever the server does."""
        pause = _SHORTEST_PAUSE
        attempt = 0
        try:
            while True:
                reason = await self._try(self._seed(attempt))
                attempt += 1
                was_heard = not self._deaf
                self._lose(reason)
                BUS_CONNECTS.labels("lost" if was_heard else "failed").inc()
                pause = _SHORTEST_PAUSE if was_heard else min(pause * 2, self._longest_pause)
                # So that many processes do not come back in the same moment.
                await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - not a secret
        finally:
            self._lose()

    async def close(self) -> None:
        """Say what is still to be said, if somebody takes it; to be called before the loop ends."""
        if self._deaf:
            return
        try:
            async with asyncio.timeout(_FLUSH_SECONDS):
                await self._backlog.drained()
        except TimeoutError:
            log.info("bus.unsaid", messages=len(self._backlog))

    async def _try(self, seed: Endpoint | None) -> str:
        """Listen and speak until that breaks; return why."""
        self._session = Session(
            self._server,
            self._names,
            self._me,
            self._topics,
            self._backlog,
            heard=self._receive,
            level=self._level,
            beat=self._beat,
        )
        try:
            await self._session.run(seed)
        except (*BROKEN, Lost, ValueError) as error:
            self._known = self._session.endpoints or self._known
            return str(error) if isinstance(error, Lost) else f"{type(error).__name__}: {error}"
        finally:
            self._session = None
        return "ended"

    def _seed(self, attempt: int) -> Endpoint | None:
        """Return where to begin: the configured address, and in turn what its cluster had."""
        seeds = (None, *self._known)
        return seeds[attempt % len(seeds)]

    def _level(self) -> None:
        if self._deaf:
            log.info("bus.heard")
            BUS_CONNECTS.labels("heard").inc()
            self._deaf = False
            self._reason = ""
            BUS_DEAF.set(0)
        if self._session is not None and self._session.whole:
            self._hearing.set()
        # What was committed until now has not been heard of; it is found in the log.
        self._news.look()

    def _lose(self, reason: str = "") -> None:
        if reason and reason != self._reason:
            log.warning("bus.deaf", reason=reason)
        self._reason = reason
        self._deaf = True
        BUS_DEAF.set(1)
        self._hearing.clear()
        # Whoever waits with much patience waits anew, with less.
        self._news.stir()

    # Messages

    def _say(self, topic: str, message: Message) -> None:
        self._put(lane_of(topic), message)

    def _put(self, lane: int, message: Message) -> None:
        BUS_SAID.labels(type(message).__name__.lower()).inc()
        self._backlog.put(self._names.of_lane(lane), encode(self._me, message))

    def _receive(self, data: bytes) -> None:
        if data.startswith(self._me):
            return
        try:
            message = decode(data)
        except msgspec.DecodeError:
            BUS_HEARD.labels("unreadable").inc()
            return
        match message:
            case Wakeup(position, topics) if self._concerns(topics):
                BUS_HEARD.labels("wakeup").inc()
                self._news.grown(position)
            case Word(topic, payload) if topic in self._topics:
                BUS_HEARD.labels("word").inc()
                self.heard(payload)
            case _:
                BUS_HEARD.labels("passed").inc()

    def _concerns(self, topics: Collection[str]) -> bool:
        return not topics or any(topic in self._topics for topic in topics)
