"""Sinks of streams that are no sockets: what is written is handed over in memory."""

from __future__ import annotations


class MemorySink:
    """A sink without a descriptor, which takes everything at once."""

    fd = -1
    behind_since = 0.0

    def write(self, data: bytes) -> None:
        """Take bytes."""

    def keep(self, data: bytes, sent: int) -> None:
        """Never called: there is no descriptor."""
        raise AssertionError("there is no descriptor that could have taken a part")

    def fail(self) -> None:
        """Never called: there is no descriptor."""
        raise AssertionError("there is no descriptor that could fail")

    def buffered(self) -> int:
        """Return how much waits: nothing."""
        return 0

    async def drain(self) -> None:
        """Wait for nothing."""
