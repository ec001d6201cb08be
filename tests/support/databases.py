"""A fresh database for each test, copied from one that is migrated once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any, TypeVar

import asyncpg

from openmeet_bridge.storage import migrations
from openmeet_bridge.storage.embedded import EmbeddedPostgres

T = TypeVar("T")
TEMPLATE = "migrated"


class Databases:
    """Makes and drops databases on one server.

    Args:
        server: A running server.
    """

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server
        self._numbers = count(1)
        self._migrated = False

    def create(self) -> str:
        """A fresh migrated database; returns its address."""
        if not self._migrated:
            self._sql(f"CREATE DATABASE {TEMPLATE}")
            in_thread(lambda: migrations.upgrade_async(self._server.dsn_of(TEMPLATE)))
            self._migrated = True
        return self._create(TEMPLATE)

    def create_empty(self) -> str:
        """A fresh database without a single table; returns its address."""
        return self._create("template0")

    def drop(self, dsn: str) -> None:
        """Drops a database, with whoever is still connected to it."""
        name = dsn.partition("@/")[2].partition("?")[0]
        self._sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _create(self, template: str) -> str:
        name = f"test_{next(self._numbers)}"
        # Copied as files: half the time of a copy through the log, which nobody here would read.
        self._sql(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return self._server.dsn_of(name)

    def _sql(self, statement: str) -> None:
        async def run() -> None:
            connection = await asyncpg.connect(self._server.dsn_of("postgres"))
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        in_thread(run)


def in_thread(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs a coroutine to its end on a loop of its own, whatever loop the test has."""
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(asyncio.run(work()))
        except BaseException as error:  # handed to the caller's thread
            failures.append(error)

    thread = threading.Thread(target=run, name="test-database")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]
