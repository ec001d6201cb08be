"""What happens to clients a constant while later: to thousands of them with one timer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Final

import structlog

log = structlog.get_logger(__name__)

_ROUNDS: Final = 256
"""Into so many rounds the while is divided: so few clients at once keep nobody else waiting."""


class Later:
    """Calls back, a constant while after it was asked to; never before that, and soon after.

    Session ids are what it keeps, and nobody is ever taken out: whether a client is there still,
    and whether it is still to happen to it, is looked at when the time has come.

    Args:
        seconds: The while.
        over: Called with a session id, and a time that is the one at which it was due or later.
    """

    def __init__(self, seconds: float, over: Callable[[str, float], None]) -> None:
        self._seconds = seconds
        self._over = over
        self._rounds: deque[tuple[float, list[str]]] = deque()

    def add(self, sid: str) -> float:
        """Call back for a client; return when, in seconds of the event loop's clock."""
        due = asyncio.get_running_loop().time() + self._seconds
        # The while is always the same, so that nobody is ever due before those who came first.
        if self._rounds and due <= self._rounds[-1][0]:
            self._rounds[-1][1].append(sid)
        else:
            self._rounds.append((due + self._seconds / _ROUNDS, [sid]))
            if len(self._rounds) == 1:
                self._wait()
        return due

    def _wait(self) -> None:
        # In no client's context: the next one may be another's.
        asyncio.get_running_loop().call_at(self._rounds[0][0], self._pass, context=Context())

    def _pass(self) -> None:
        now, sids = self._rounds.popleft()
        if self._rounds:
            self._wait()
        for sid in sids:
            try:
                self._over(sid, now)
            except Exception:
                # A mistake of ours; it must not be the end of the others.
                log.exception("socketio.timer_failed")
