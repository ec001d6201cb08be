"""PostgreSQL: one pool of connections, and one meaning for "the database is away"."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import asyncpg

from ..core.errors import Unavailable

if TYPE_CHECKING:
    # asyncpg's type parameters exist for type checkers only.
    Connection = (
        asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    )
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = asyncpg.Connection
    Pool = asyncpg.Pool

T = TypeVar("T")

AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # The server has said that it ends, and its end of the connection is still to come.
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.QueryCanceledError,
    # Two transactions waited for each other, and this one was ended: nothing of it was kept.
    asyncpg.DeadlockDetectedError,
    ConnectionError,
    TimeoutError,
    OSError,
)
"""What asyncpg raises when PostgreSQL cannot be reached, restarts or goes away under a query."""

UNKEEPABLE = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)
"""What asyncpg raises when PostgreSQL is there, but can never keep what it was given."""

_SETTINGS = {
    "application_name": "openmeet-bridge",
    "jit": "off",
    # Every statement has its index. Plans that were made, and kept, while a table was new and
    # empty would go on reading it from end to end when it is large.
    "enable_seqscan": "off",
    # For the same reason one plan does for all values. To make one anew each time takes longer
    # than all else that a page of a timeline asks of the database.
    "plan_cache_mode": "force_generic_plan",
}

_RETRY_MS = 2000


class Database:
    """The bridge's PostgreSQL database.

    Args:
        dsn: ``postgresql://`` address.
        size: Most connections at once; a caller waits for one at most ``patience`` seconds.
        patience: Longest wait for a connection, and longest time of one statement, in seconds.
    """

    def __init__(self, dsn: str, *, size: int = 10, patience: float = 10.0) -> None:
        self.dsn = dsn
        self._size = size
        self._patience = patience
        self._pool: Pool | None = None
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Connect.

        Raises:
            Unavailable: PostgreSQL does not answer.
        """
        try:
            await self._opened()
        except AWAY as error:
            raise _away(error) from error

    async def close(self) -> None:
        """Close all connections; a statement that still runs is cut off after a moment."""
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        try:
            await asyncio.wait_for(pool.close(), timeout=5)
        except TimeoutError:
            pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection for single statements.

        Raises:
            Unavailable: PostgreSQL is away, or no connection came free in time.
        """
        try:
            pool = await self._opened()
            async with pool.acquire(timeout=self._patience) as connection:
                yield connection
        except AWAY as error:
            raise _away(error) from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend a connection inside a transaction, which ends with the block.

        Raises:
            Unavailable: PostgreSQL is away; nothing of the block was kept.
        """
        async with self.connection() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Connection]:
        """Lend a connection on which every statement sees the database at one moment.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        async with (
            self.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection

    async def _opened(self) -> Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self.dsn,
                    min_size=1,
                    max_size=self._size,
                    timeout=self._patience,
                    command_timeout=self._patience,
                    reset=_keep_as_it_is,
                    server_settings=_SETTINGS,
                )
            return self._pool


async def _keep_as_it_is(connection: object) -> None:
    """Do nothing when a connection is given back.

    The usual reset is one more round trip each time. Nothing here leaves anything behind in a
    session: no settings, no listeners, and transactions end with their block.
    """


def certain(value: T | None, why: str) -> T:
    """Return a value that cannot be missing; ``why`` says why.

    Raises:
        RuntimeError: It is missing all the same: somebody changed the database by hand.
    """
    if value is None:
        raise RuntimeError(f"the database does not hold what it must: {why}")
    return value


def _away(error: BaseException) -> Unavailable:
    kind = type(error).__name__
    return Unavailable(
        f"The database is not available ({kind}). Nothing was changed; try again.",
        retry_after_ms=_RETRY_MS,
    )
