"""Why a stream ends, and whether the client should come back."""

from __future__ import annotations

from enum import StrEnum


class CloseReason(StrEnum):
    """Reasons for which the bridge closes a stream."""

    TOKEN_EXPIRED = "token_expired"  # noqa: S105  (a reason, not a secret)
    SLOW_READER = "slow_reader"
    SHUTDOWN = "shutdown"
    TOO_MANY_STREAMS = "too_many_streams"
    LIFETIME = "lifetime"
    IDLE = "idle"
    TOO_MANY_MESSAGES = "too_many_messages"
    REMOVED = "removed"

    @property
    def reconnect(self) -> bool:
        """Whether opening the stream again at once, with the cursor, makes sense."""
        return self in _BACK

    @property
    def stay_away(self) -> bool:
        """Whether a client that comes back by itself must be kept from it.

        After ``idle`` it need not: one stream in two hours costs nothing, and a client that cannot
        tell when its user is there again would show them less than what there is.
        """
        return not self.reconnect and self is not CloseReason.IDLE

    @property
    def ws_code(self) -> int:
        """WebSocket close code (RFC 6455, 7.4; 4000 and above are the application's own)."""
        return _WS_CODES[self]


_BACK = frozenset(
    {
        CloseReason.SLOW_READER,
        CloseReason.SHUTDOWN,
        CloseReason.TOKEN_EXPIRED,
        CloseReason.LIFETIME,
    }
)

_WS_CODES = {
    CloseReason.TOKEN_EXPIRED: 4001,
    CloseReason.SLOW_READER: 1013,
    CloseReason.SHUTDOWN: 1012,
    CloseReason.TOO_MANY_STREAMS: 4008,
    CloseReason.LIFETIME: 4009,
    CloseReason.IDLE: 4010,
    CloseReason.TOO_MANY_MESSAGES: 4011,
    CloseReason.REMOVED: 4003,
}
