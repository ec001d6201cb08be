"""Housekeeping: what is kept only for a while, is not kept for ever.

Events of rooms that are nobody's on OpenMeet wait a while in the log, because a room's first event,
which says whose it is, may come late. What is never claimed is dropped: with Matrix accounts that
people had before the bridge, the homeserver pushes their other rooms too, which are none of the
bridge's business. What people sent is dropped from the outbox when it has been settled for long.
"""

from __future__ import annotations

import asyncio

import structlog

from ..core.errors import Unavailable
from ..core.ids import Mxid
from ..storage import jobs, outbox, strangers
from ..storage.database import Database
from ..telemetry import STRANGERS_DROPPED

log = structlog.get_logger(__name__)

UNCLAIMED_SECONDS = 3600.0
DONE_SECONDS = 7 * 86_400.0
_PAUSE = 300.0
_AT_ONCE = 5000


class Housekeeping:
    """Drops what nobody needs any more.

    Args:
        database: Where it is.
        bot: In whose rooms events are always wanted.
        outbox_kept: How long what was sent, or failed, stays in the outbox, in seconds.
    """

    def __init__(
        self, database: Database, bot: Mxid, *, outbox_kept: float = 30 * 86_400.0
    ) -> None:
        self._database = database
        self._bot = bot
        self._outbox_kept = outbox_kept

    async def run(self) -> None:
        """Look now and then, for ever."""
        while True:
            try:
                await self.tidy()
            except Unavailable as error:
                log.debug("housekeeping.not_done", error=str(error))
            await asyncio.sleep(_PAUSE)

    async def tidy(self) -> None:
        """Drop everything that is due, in small pieces.

        Raises:
            Unavailable: The database is away.
        """
        full = True
        while full:
            full = await self._drop_strangers() == _AT_ONCE
        full = True
        while full:
            full = await self._drop_sent() == _AT_ONCE
        async with self._database.connection() as connection:
            await jobs.forget_done(connection, ("compare",), DONE_SECONDS)

    async def _drop_sent(self) -> int:
        async with self._database.connection() as connection:
            return await outbox.forget(connection, self._outbox_kept, _AT_ONCE)

    async def _drop_strangers(self) -> int:
        async with self._database.transaction() as connection:
            dropped = await strangers.drop(connection, self._bot, UNCLAIMED_SECONDS, _AT_ONCE)
        STRANGERS_DROPPED.inc(dropped)
        return dropped
