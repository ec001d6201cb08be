"""Which core is whose: what is measured has one to itself, what measures has another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


class Cores:
    """The two cores, where there are two.

    Attributes:
        server: For what is measured.
        client: For the load, and for PostgreSQL.
    """

    def __init__(self) -> None:
        self._all = os.sched_getaffinity(0)
        first, *others = sorted(self._all)
        self.server = first
        self.client = others[0] if others else first
        self.apart = bool(others)

    @contextmanager
    def of_server(self) -> Iterator[None]:
        """Start programs on the server's core in the block; they stay there."""
        with self._only(self.server):
            yield

    @contextmanager
    def of_client(self) -> Iterator[None]:
        """Start programs on the client's core in the block; they stay there."""
        with self._only(self.client):
            yield

    @contextmanager
    def _only(self, core: int) -> Iterator[None]:
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {core} if self.apart else self._all)
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)
