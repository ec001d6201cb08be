"""Admission: whether there is room for one more stream, and what is said where there is none.

It is asked twice. Before anybody looks at a token, it costs microseconds to send somebody away;
only looked at, nothing is taken then, so that nobody without a token can use up what is for others.
What is counted for a user, and the turn itself, is taken when it is known who it is.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final

import structlog

from ..core.errors import LimitExceeded
from ..core.ids import Mxid
from ..core.rates import Rate, Rates
from ..stream.hub import Hub
from ..stream.reasons import CloseReason
from ..telemetry import STREAMS_REFUSED
from .asking import Asking
from .peers import Peers
from .stream_limits import StreamLimits

log = structlog.get_logger(__name__)

_FULL: Final = (2.0, 10.0)
"""Seconds, from and to, after which to come back where there is no room."""

_TOO_FAST: Final = (1.0, 6.0)
"""The same where all come at once: spread over these, the others get in."""

_ADDRESS_FULL: Final = (5.0, 15.0)
_JITTER: Final = 1.0
_TELL_EVERY: Final = 60.0
_NOBODYS: Final = 0.0


class Admission:
    """Lets streams in.

    Args:
        hub: Has the streams that are open.
        limits: How many there may be.
        peers: Tells from where requests come.
        clock: Seconds, of a clock that never goes back.
    """

    def __init__(
        self,
        hub: Hub,
        limits: StreamLimits,
        peers: Peers,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hub = hub
        self._limits = limits
        self._peers = peers
        self._clock = clock
        self._addresses: dict[str, int] = {}
        self._rate = Rate(limits.connects_per_second, 2 * limits.connects_per_second)
        self._restored = _NOBODYS
        self._users = Rates(Rate(limits.connects_per_user, 2 * limits.per_user))
        self._told_at = -_TELL_EVERY

    @property
    def addresses(self) -> int:
        """Return from how many addresses streams are open."""
        return len(self._addresses)

    @property
    def room(self) -> int:
        """Return how many more streams there may be."""
        return max(0, self._limits.streams - self._hub.count)

    def address(self, request: Asking) -> str | None:
        """Return what the streams of a request's client are counted by; None: they are not."""
        return self._peers.address(request)

    def arrive(self, request: Asking) -> None:
        """Look whether a stream could begin for whoever asks.

        Raises:
            LimitExceeded: As :meth:`look`.
        """
        address = self.address(request)
        try:
            self.look(address)
        except LimitExceeded:
            if self._is_full(address):
                self._tell_of_proxy(request)
            raise

    def look(self, address: str | None) -> None:
        """Look whether a stream could begin.

        Raises:
            LimitExceeded: It could not: 503 where the process takes no more at the moment, 429
                where the address has too many.
        """
        self._check_house()
        self._check_address(address)
        if self._rate.wait(self._restored, self._clock()):
            raise too_fast()

    def admit(self, mxid: Mxid, address: str | None) -> None:
        """Take a turn for a stream of a user's; their oldest goes where they have too many.

        Raises:
            LimitExceeded: As :meth:`look`; or 429 where the user comes back too often.
        """
        self._check_house()
        self._check_address(address)
        now = self._clock()
        wait = self._users.take(mxid, now)
        if wait:
            text = "You open streams too fast."
            raise _refusal("user_rate", text, 429, (wait, wait + _JITTER))
        if self._rate.wait(self._restored, now):
            raise too_fast()
        self._restored = self._rate.took(self._restored, now)
        if self._hub.streams_of(mxid) >= self._limits.per_user:
            self._hub.close_oldest(mxid, CloseReason.TOO_MANY_STREAMS)

    def entered(self, address: str | None) -> None:
        """Note that a stream has begun."""
        if address is not None:
            self._addresses[address] = self._addresses.get(address, 0) + 1

    def left(self, address: str | None) -> None:
        """Note that a stream has ended."""
        if address is not None:
            count = self._addresses.pop(address) - 1
            if count:
                self._addresses[address] = count

    def _check_house(self) -> None:
        if self._hub.closing:
            text = "The bridge is about to end. Come back in a moment."
            raise _refusal("closing", text, 503, _FULL)
        if self._hub.count >= self._limits.streams:
            text = "The bridge takes no more streams at the moment."
            raise _refusal("full", text, 503, _FULL)

    def _check_address(self, address: str | None) -> None:
        if self._is_full(address):
            text = "Too many streams are open from your address."
            raise _refusal("address", text, 429, _ADDRESS_FULL)

    def _is_full(self, address: str | None) -> bool:
        return address is not None and (self._addresses.get(address, 0) >= self._limits.per_address)

    def _tell_of_proxy(self, request: Asking) -> None:
        """Let the operator know what it may come from; a spoofed header makes few lines."""
        now = self._clock()
        if now - self._told_at >= _TELL_EVERY and self._peers.is_unknown_proxy(request):
            self._told_at = now
            log.warning(
                "streams.address_full",
                address=request.remote,
                hint="if this is your proxy, name it in listen.trusted_proxies",
            )


def too_fast() -> LimitExceeded:
    """Return what is said where too many want to be let in at once."""
    text = "Too many open streams at the same time. Come back in a moment."
    return _refusal("process_rate", text, 503, _TOO_FAST)


def _refusal(reason: str, text: str, status: int, between: tuple[float, float]) -> LimitExceeded:
    STREAMS_REFUSED.labels(reason).inc()
    # Not all at the same moment again.
    retry = round(1000 * random.uniform(*between))  # noqa: S311
    return LimitExceeded(text, status=status, retry_after_ms=retry)
