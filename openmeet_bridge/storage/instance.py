"""Alone or among others: the lock that says which kind of bridges work on a database.

A bridge whose bus reaches only its own process must be alone: another one's readers would hear
nothing of what it does. It holds the lock for itself, and a second one waits until it has ended.
Bridges with a bus that reaches them all share the lock, so that none of the first kind comes in
between.
"""

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
            LIMIT 1
            """,
            _LOCK,
        )
    )


class InstanceLock:
    """Held while this process serves, on a connection of its own.

    Args:
        dsn: The database.
        shared: Whether others who share it may work beside this one.
    """

    def __init__(self, dsn: str, *, shared: bool = False) -> None:
        self._dsn = dsn
        self.shared = shared
        self._take = "pg_try_advisory_lock_shared" if shared else "pg_try_advisory_lock"
        self._connection: Connection | None = None
        self._held = False

    async def acquire(self) -> None:
        """Wait until the lock is free, and take it."""
        said = False
        while await self.connection() is None:
            if not said:
                log.warning("instance.waiting", reason="another bridge serves this database")
                said = True
            await asyncio.sleep(_POLL)

    async def connection(self) -> Connection | None:
        """Return the connection that holds the lock; both are taken anew where they were lost.

        Returns:
            None where somebody else has the lock by now.

        Raises:
            OSError: One of ``AWAY``: the database cannot be reached.
        """
        if self._connection is not None and self._connection.is_closed():
            await self.release()
        if self._connection is None:
            self._connection = await asyncpg.connect(self._dsn, timeout=10)
        if not self._held:
            self._held = bool(await self._connection.fetchval(f"SELECT {self._take}($1)", _LOCK))
        return self._connection if self._held else None

    async def release(self) -> None:
        """Let the next one work."""
        connection, self._connection = self._connection, None
        self._held = False
        if connection is not None:
            try:
                await connection.close(timeout=2)
            except AWAY:
                connection.terminate()
