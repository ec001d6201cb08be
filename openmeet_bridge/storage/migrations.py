"""Migrations: alembic's revisions, applied by one process at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from alembic import command

from ..core.errors import Unavailable
from .database import AWAY

T = TypeVar("T")

_LOCK = 0x6F6D6272  # "ombr": one process migrates, the others wait for it
_PACKAGED = Path(__file__).parent.parent / "_alembic"
_SOURCE = Path(__file__).parent.parent.parent / "alembic"


def upgrade(dsn: str) -> str:
    """Bring a database to the newest revision and return that revision.

    Raises:
        Unavailable: PostgreSQL does not answer, or is of a version we do not know.
    """
    return asyncio.run(upgrade_async(dsn))


async def upgrade_async(dsn: str) -> str:
    """Like :func:`upgrade`, inside a running event loop."""
    return await _with_connection(dsn, _upgrade)


async def current(dsn: str) -> str | None:
    """Return the database's revision; None where it was never migrated."""
    return await _with_connection(dsn, _current)


def newest() -> str:
    """Return the newest revision that this version of the program knows."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise RuntimeError(f"No migrations in {_location()}")
    return head


def _upgrade(connection: Connection) -> str:
    config = _config()
    config.attributes["connection"] = connection
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        # Most often a newer version of the program has migrated it already.
        raise Unavailable(f"The database cannot be migrated: {error}") from error
    return newest()


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


async def _with_connection(dsn: str, work: Callable[[Connection], T]) -> T:
    # Connected here and lent to SQLAlchemy, which would wrap the errors that tell what is wrong.
    try:
        connection = await asyncpg.connect(dsn, timeout=10)
    except (*AWAY, asyncpg.PostgresError) as error:
        raise Unavailable(f"The database does not answer: {error}") from error

    async def lend() -> Any:
        return connection

    engine = create_async_engine("postgresql+asyncpg://", async_creator=lend, poolclass=NullPool)
    try:
        async with engine.begin() as lent:
            return await lent.run_sync(work)
    finally:
        await engine.dispose()


def _location() -> Path:
    return _PACKAGED if _PACKAGED.is_dir() else _SOURCE


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_location()).replace("%", "%%"))
    return config
