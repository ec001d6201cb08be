"""What streams may do, and for how long."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """The limits of the streams of one process.

    Attributes:
        streams: Open streams in all.
        per_user: Open streams of one user.
        per_address: Open streams of one address.
        connects_per_second: Streams that may begin a second; twice as many at once.
        connects_per_user: Streams that one user may begin a second; at once twice as many as one
            may have open, as all of them come back when the bridge has been away.
        idle_after: Seconds for which a stream stays without a sign of its user.
        lifetime: Seconds for which a stream stays at most.
    """

    streams: int = 20_000
    per_user: int = 20
    per_address: int = 1000
    connects_per_second: float = 2000.0
    connects_per_user: float = 1.0
    idle_after: float = 7200.0
    lifetime: float = 86_400.0
