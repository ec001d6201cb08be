"""What one client of Socket.IO may do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """What one client may do.

    Attributes:
        message_bytes: Longest message, and longest body of a request.
        buffer_bytes: What may wait for a client that does not read.
        ping_interval: Seconds between two signs of life that are asked for.
        ping_timeout: Seconds that a client has to give one.
        stranger_seconds: Seconds for which a client may stay whom nobody knows.
    """

    message_bytes: int = 64 * 1024
    buffer_bytes: int = 1 << 20
    ping_interval: float = 25.0
    ping_timeout: float = 20.0
    stranger_seconds: float = 15.0
