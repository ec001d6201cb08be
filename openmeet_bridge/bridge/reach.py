"""Reach: whether the homeserver answers this worker, where repair finds that out in another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from ..matrix.errors import HomeserverError
from ..matrix.homeserver import Homeserver

log = structlog.get_logger(__name__)

_PAUSE = 5.0


class Reach:
    """Asks the homeserver now and then for what costs it nothing.

    Args:
        homeserver: Is asked.
        needed: Whether it must be asked: not where repair runs in this worker.
        back: Called when it answers again.
    """

    def __init__(
        self, homeserver: Homeserver, needed: Callable[[], bool], back: Callable[[], None]
    ) -> None:
        self._homeserver = homeserver
        self._needed = needed
        self._back = back
        self.answers = False
        """Whether it answered when it was last asked."""

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            if self._needed():
                await self.ask()
            await asyncio.sleep(_PAUSE)

    async def ask(self) -> None:
        """Ask once."""
        before = self.answers
        try:
            await self._homeserver.versions()
        except HomeserverError as error:
            self.answers = False
            log.debug("homeserver.away", error=str(error))
            return
        self.answers = True
        if not before:
            self._back()
