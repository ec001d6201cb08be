"""Vitals: how much waits, and how far behind what is; looked at now and then for the metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from ..core.errors import Unavailable
from ..storage import event_log, jobs, outbox, quarantine, repair_mark
from ..storage.database import Database
from ..stream.hub import Hub
from ..stream.sockets import Sockets
from ..telemetry import (
    JOBS_WAITING,
    LOG_POSITION,
    OUTBOX_PENDING,
    QUARANTINE_SIZE,
    REPAIR_AGE,
    STREAM_ADDRESSES,
    STREAM_BYTES_WAITING,
    STREAM_FRAMES_PARKED,
    STREAM_LAG,
    STREAMS_BEHIND,
)

log = structlog.get_logger(__name__)

_PAUSE = 10.0


class Vitals:
    """Keeps the gauges that the database knows, and those that cost something to count.

    Args:
        database: What is counted.
        hub: How far delivery is.
        sockets: What waits for readers.
        parked: Counts the frames that wait until replays have ended.
        addresses: Counts the addresses from which streams are open.
    """

    def __init__(
        self,
        database: Database,
        hub: Hub,
        sockets: Sockets,
        parked: Callable[[], int],
        addresses: Callable[[], int],
    ) -> None:
        self._database = database
        self._hub = hub
        self._sockets = sockets
        self._parked = parked
        self._addresses = addresses

    async def run(self) -> None:
        """Look for ever. While the database is away, the gauges keep what they showed."""
        while True:
            self.look_at_streams()
            try:
                await self.look()
            except Unavailable as error:
                log.debug("vitals.not_taken", error=str(error))
            await asyncio.sleep(_PAUSE)

    def look_at_streams(self) -> None:
        """Set the gauges of what waits in this process."""
        behind = self._sockets.behind
        STREAMS_BEHIND.set(len(behind))
        STREAM_BYTES_WAITING.set(sum(one.buffered() for one in behind))
        STREAM_FRAMES_PARKED.set(self._parked())
        STREAM_ADDRESSES.set(self._addresses())

    async def look(self) -> None:
        """Set the gauges.

        Raises:
            Unavailable: The database is away.
        """
        async with self._database.connection() as connection:
            head = await event_log.head(connection)
            LOG_POSITION.set(head.position)
            STREAM_LAG.set(max(0, head.position - self._hub.position))
            OUTBOX_PENDING.set(await outbox.pending_total(connection))
            for state, count in (await jobs.counts(connection)).items():
                JOBS_WAITING.labels(state).set(count)
            QUARANTINE_SIZE.set(await quarantine.count(connection))
            REPAIR_AGE.set(await repair_mark.age(connection) or 0)
