"""The pulse of a client: it is asked for signs of life, and is taken for gone without them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .socketio_limits import SocketLimits


class Pulse:
    """Asks one client for signs of life, with one timer.

    Args:
        limits: How often, and how long it has to give one.
        ask: Asks for one.
        silent: Called when none is given.
    """

    __slots__ = ("_ask", "_asked", "_limits", "_silent", "_timer")

    def __init__(
        self, limits: SocketLimits, ask: Callable[[], None], silent: Callable[[], None]
    ) -> None:
        self._limits = limits
        self._ask = ask
        self._silent = silent
        self._asked = False
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Ask after a while."""
        self._set(self._limits.ping_interval, self._beat)

    def felt(self) -> None:
        """Note a sign of life. One that nobody has asked for says nothing."""
        if self._asked:
            self._asked = False
            self.begin()

    def end(self) -> None:
        """Ask no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self) -> None:
        self._asked = True
        self._set(self._limits.ping_timeout, self._silent)
        self._ask()

    def _set(self, seconds: float, call: Callable[[], None]) -> None:
        self.end()
        self._timer = asyncio.get_running_loop().call_later(seconds, call)
