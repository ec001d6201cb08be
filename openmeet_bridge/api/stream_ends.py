"""When streams end by themselves: with their token, after a lifetime, or when nobody is there.

A sign of a user is a request, a stream that begins, what a client says on a WebSocket (a ping or a
text), an event of Socket.IO, and a message in the log. Pongs are none: browsers and libraries send
them for as long as the machine runs, and no page can send a ping unless its program wants to say
something by it. All streams of a user live by the same signs, in whichever window they come.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from aiohttp import web

from ..core.entry import LogEntry
from ..core.ids import Mxid
from ..stream.deadlines import Deadlines
from ..stream.hub import Hub
from ..stream.reasons import CloseReason
from ..stream.subscriber import Subscriber
from .sessions import Session
from .stream_limits import StreamLimits

Authenticate = Callable[[web.Request], Awaitable[Session | None]]

_SPREAD: Final = 0.1
"""Part of a lifetime by which it may be shorter: who came together does not go together."""


class StreamEnds:
    """Ends streams when their time is over.

    Args:
        hub: Has the streams.
        limits: How long they may live.
        now: Seconds since the epoch.
        clock: Seconds, of a clock that never goes back.

    Attributes:
        seen: Tells when another process last had a sign of a user, in seconds of that clock; 0 or
            less where none had.
    """

    seen: Callable[[Mxid], float]

    def __init__(
        self,
        hub: Hub,
        limits: StreamLimits,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hub = hub
        self._limits = limits
        self._now = now
        self._clock = clock
        self._deadlines = Deadlines(self._passed)
        self._signs: dict[Mxid, float] = {}
        self.seen = lambda _: 0.0

    def begin(self, subscriber: Subscriber, token_ends_ms: int) -> None:
        """Let a stream live for a while.

        Args:
            subscriber: The stream, which is in the hub.
            token_ends_ms: When the token behind it does, in milliseconds since the epoch.
        """
        left = max(0.0, token_ends_ms / 1000 - self._now())
        life = self._limits.lifetime * random.uniform(1 - _SPREAD, 1)  # noqa: S311
        subscriber.ends_for = CloseReason.TOKEN_EXPIRED if left <= life else CloseReason.LIFETIME
        now = self._signs[subscriber.mxid] = self._clock()
        subscriber.ends_at = now + min(left, life)
        self._look_later(subscriber, now)

    def sign(self, mxid: Mxid) -> None:
        """Note a sign of a user. Of who has no stream here nothing is kept."""
        if mxid in self._signs:
            self._signs[mxid] = self._clock()

    def happened(self, batch: Iterable[LogEntry]) -> None:
        """Take messages for signs of who sent them, by another process or by Matrix too."""
        for logged in batch:
            entry = logged.entry
            if entry.state_key is None and not logged.changed:
                self.sign(entry.sender.mxid)

    def noting(self, authenticate: Authenticate) -> Authenticate:
        """Return what tells who a request's user is, and takes the request for a sign of theirs."""

        async def note(request: web.Request) -> Session | None:
            caller = await authenticate(request)
            if caller is not None:
                self.sign(caller.mxid)
            return caller

        return note

    def left(self, subscriber: Subscriber) -> None:
        """Forget a stream that is out of the hub."""
        self._deadlines.clear(subscriber)
        if not self._hub.streams_of(subscriber.mxid):
            self._signs.pop(subscriber.mxid, None)

    def _idle_at(self, mxid: Mxid) -> float:
        return max(self._signs.get(mxid, 0.0), self.seen(mxid)) + self._limits.idle_after

    def _look_later(self, subscriber: Subscriber, now: float) -> None:
        # A sign sets no timer: it is looked at when the time would be over without it.
        due = min(subscriber.ends_at, self._idle_at(subscriber.mxid))
        self._deadlines.set(subscriber, max(0.0, due - now))

    def _passed(self, subscriber: Subscriber) -> None:
        now = self._clock()
        if now >= subscriber.ends_at:
            self._hub.close(subscriber, subscriber.ends_for)
        elif now >= self._idle_at(subscriber.mxid):
            self._hub.close(subscriber, CloseReason.IDLE)
        else:
            self._look_later(subscriber, now)
