"""One bridge at a time: the lock that says who works on a database."""

from __future__ import annotations

import asyncio

import asyncpg
import structlog

from .database import AWAY, Connection

log = structlog.get_logger(__name__)

_LOCK = 0x6F6D6269
_POLL = 1.0


async def is_served(connection: Connection) -> bool:
    """Whether a bridge works on this database at this moment; the lock is not touched."""
    # A lock on one bigint is shown as its upper and lower half, with 1 for "one key".
    return bool(
        await connection.fetchval(
            """
            SELECT true FROM pg_locks
            WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = $1::bigint::oid
                  AND objsubid = 1
                  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            """,
            _LOCK,
        )
    )


class InstanceLock:
    """Held while this process serves. A second process waits until the first has ended.

    Two at once would do no harm to what is kept (every write is idempotent), but they would send
    the messages of a room side by side, and so out of order.

    Args:
        dsn: The database.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: Connection | None = None

    async def acquire(self) -> None:
        """Wait until nobody else holds the lock, and take it."""
        said = False
        while not await self._try():
            if not said:
                log.warning("instance.waiting", reason="another bridge serves this database")
                said = True
            await asyncio.sleep(_POLL)

    async def keep(self) -> None:
        """Keep the lock for ever, and take it again when the database was restarted."""
        while True:
            await asyncio.sleep(_POLL * 5)
            try:
                if self._connection is not None:
                    await self._connection.execute("SELECT 1")
                    continue
            except AWAY:
                pass
            await self._drop()
            try:
                await self.acquire()
            except AWAY as error:
                log.warning("instance.lock_lost", error=str(error))

    async def release(self) -> None:
        """Let the next one work."""
        await self._drop()

    async def _try(self) -> bool:
        if self._connection is None:
            self._connection = await asyncpg.connect(self._dsn, timeout=10)
        return bool(await self._connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK))

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close(timeout=2)
            except AWAY:
                connection.terminate()
