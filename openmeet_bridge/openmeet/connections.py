"""Connections to OpenMeet's own database, each into one tenant's schema."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal

import asyncpg

from ..core.errors import NotFound, Unavailable
from ..core.ids import TenantId
from .schema import COLUMNS, Schema, UnusableSchema, schema_name

if TYPE_CHECKING:
    # asyncpg's type parameters exist for type checkers only.
    Connection = (
        asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    )
    Pool = asyncpg.Pool[asyncpg.Record]

_MISSING = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.InsufficientPrivilegeError,
)
_AWAY = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)


class Connections:
    """A few connections, made when they are needed.

    Args:
        dsn: ``postgresql://`` address.
        tenants: Whose schemas may be entered.
        patience: Longest wait for a connection and longest time of one statement, in seconds.
        size: How many there are at most.
        writing: Whether the sessions can write. Else nothing in them can, whatever the rights.
    """

    def __init__(
        self,
        dsn: str,
        tenants: Collection[TenantId],
        *,
        patience: float,
        size: int = 2,
        writing: bool = False,
    ) -> None:
        self._dsn = dsn
        self._tenants = tenants
        self._patience = patience
        self._size = size
        self._writing = writing
        self._pool: Pool | None = None
        self._opening = asyncio.Lock()
        self._schemas: dict[TenantId, Schema] = {}

    async def close(self) -> None:
        """Close all connections."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            try:
                await asyncio.wait_for(pool.close(), timeout=5)
            except TimeoutError:
                pool.terminate()

    def forget(self, tenant: TenantId) -> None:
        """Look at a tenant's columns again: OpenMeet may have been updated."""
        self._schemas.pop(tenant, None)

    @asynccontextmanager
    async def session(self, tenant: TenantId) -> AsyncIterator[tuple[Connection, Schema]]:
        """Enter a tenant's schema for the length of the block: one transaction, of one moment.

        Raises:
            Unavailable: The database is away, or (:class:`UnusableSchema`) lacks what is needed.
            NotFound: There is no such tenant.
            InvalidParam: The tenant's id cannot be part of a schema's name.
        """
        if tenant not in self._tenants:
            raise NotFound(f"There is no tenant {tenant!r}.")
        name = schema_name(tenant)
        try:
            pool = await self._opened()
            async with (
                pool.acquire(timeout=self._patience) as connection,
                connection.transaction(isolation=self._isolation, readonly=not self._writing),
            ):
                if self._writing:
                    # Where the role is read-only by default, and a pooler drops what we ask for.
                    await connection.execute("SET TRANSACTION READ WRITE")
                yield connection, await self._schema(connection, tenant, name)
        except UnusableSchema:
            self.forget(tenant)
            raise
        except _MISSING as error:
            self.forget(tenant)
            raise UnusableSchema(
                f"What is needed in the schema {name!r} of OpenMeet's database cannot be used: "
                f"{error}."
            ) from error
        except _AWAY as error:
            raise _away(error) from error

    @property
    def _isolation(self) -> Literal["read_committed", "repeatable_read"]:
        # Whoever writes meets what others write: the newest row counts.
        return "read_committed" if self._writing else "repeatable_read"

    async def _schema(self, connection: Connection, tenant: TenantId, name: str) -> Schema:
        if tenant not in self._schemas:
            columns: dict[str, set[str]] = {}
            for table, column in await connection.fetch(COLUMNS, name):
                columns.setdefault(table, set()).add(column)
            found = Schema(name, {table: frozenset(of) for table, of in columns.items()})
            found.check()
            self._schemas[tenant] = found
        return self._schemas[tenant]

    async def _opened(self) -> Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._dsn,
                    min_size=0,
                    max_size=self._size,
                    timeout=self._patience,
                    command_timeout=self._patience + 5,
                    server_settings=_settings(self._patience, self._writing),
                )
            return self._pool


def _settings(patience: float, writing: bool) -> dict[str, str]:
    milliseconds = str(round(patience * 1000))
    return {
        "application_name": "openmeet-bridge",
        "default_transaction_read_only": "off" if writing else "on",
        "statement_timeout": milliseconds,
        "idle_in_transaction_session_timeout": milliseconds,
        "timezone": "UTC",
        "jit": "off",
    }


def _away(error: BaseException) -> Unavailable:
    reason = str(error) or type(error).__name__
    return Unavailable(f"OpenMeet's database is not available ({reason}).", retry_after_ms=5000)
