"""The pool: one meaning for "away", transactions that are whole, snapshots that stand still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from openmeet_bridge.core.errors import Unavailable
from openmeet_bridge.storage.database import Database, certain

PING = "SELECT 1"


@pytest.fixture
async def database(empty_database_url: str) -> AsyncIterator[Database]:
    made = Database(empty_database_url, size=3)
    yield made
    await made.close()


async def count(database: Database) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM one"))


async def make_table(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute("CREATE TABLE one (n integer)")


async def test_a_transaction_is_kept_whole_or_not_at_all(database: Database) -> None:
    await make_table(database)

    async def write_and_fail() -> None:
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO one VALUES (1)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await write_and_fail()
    assert await count(database) == 0
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO one VALUES (1)")
    assert await count(database) == 1


async def test_a_snapshot_stands_still_and_writes_nothing(database: Database) -> None:
    await make_table(database)
    async with database.snapshot() as frozen:
        assert await frozen.fetchval("SELECT count(*) FROM one") == 0
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO one VALUES (1)")
        assert await frozen.fetchval("SELECT count(*) FROM one") == 0
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with database.snapshot() as frozen:
            await frozen.execute("INSERT INTO one VALUES (1)")
    assert await count(database) == 1


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://nobody@127.0.0.1:1/nothing",
        "postgresql://nobody@/nothing?host=/nonexistent",
    ],
)
async def test_nobody_at_home(dsn: str) -> None:
    database = Database(dsn)
    with pytest.raises(Unavailable) as caught:
        await database.open()
    assert (caught.value.status, caught.value.errcode) == (503, "ORG_OPENMEET_UNAVAILABLE")
    assert caught.value.retry_after_ms
    with pytest.raises(Unavailable):
        async with database.connection():
            pass
    await database.close()


async def test_a_connection_that_is_cut_is_replaced(database: Database) -> None:

    async def use_one_that_is_cut() -> None:
        async with database.connection() as connection:
            async with database.connection() as other:
                pid = connection.get_server_pid()
                await other.execute("SELECT pg_terminate_backend($1, 10000)", pid)
            await connection.fetchval(PING)

    with pytest.raises(Unavailable):
        await use_one_that_is_cut()
    async with database.connection() as connection:
        assert await connection.fetchval(PING) == 1


async def test_no_free_connection_is_away_too(empty_database_url: str) -> None:
    database = Database(empty_database_url, size=1, patience=1.0)
    async with database.connection() as connection:
        assert await connection.fetchval(PING) == 1
        with pytest.raises(Unavailable):
            async with database.connection():
                pass
        assert await connection.fetchval(PING) == 1
    await database.close()


async def test_a_statement_that_takes_too_long_is_given_up(empty_database_url: str) -> None:
    database = Database(empty_database_url, patience=1.0)
    with pytest.raises(Unavailable):
        async with database.connection() as connection:
            await connection.execute("SELECT pg_sleep(60)")
    async with database.connection() as connection:
        assert await connection.fetchval(PING) == 1
    await database.close()


async def test_mistakes_of_our_own_are_not_called_away(database: Database) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        async with database.connection() as connection:
            await connection.execute("SELECT * FROM nothing")


async def test_closing_twice_and_opening_again(database: Database) -> None:
    await database.open()
    await database.close()
    await database.close()
    async with database.connection() as connection:
        assert await connection.fetchval(PING) == 1


def test_what_must_be_there() -> None:
    assert certain(0, "zero is something") == 0
    with pytest.raises(RuntimeError, match="for a reason"):
        certain(None, "for a reason")


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):  # the one or the other has gone
        while data := await reader.read(1 << 16):
            writer.write(data)
    writer.close()


async def test_a_server_that_has_said_that_it_ends_is_away(
    empty_database_url: str, tmp_path: Path
) -> None:
    """Its last word is here, and the end of the connection is still on the way."""
    lines: list[asyncio.StreamWriter] = []
    joined: list[asyncio.Future[Any]] = []
    behind = Path(empty_database_url.partition("host=")[2], ".s.PGSQL.5432")

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(behind)
        lines.append(writer)
        joined.append(asyncio.gather(pass_on(reader, far_writer), pass_on(far_reader, writer)))

    server = await asyncio.start_unix_server(join, tmp_path / behind.name)
    async with server:
        database = Database(empty_database_url.replace(str(behind.parent), str(tmp_path)), size=1)
        async with database.connection() as connection:
            assert await connection.fetchval(PING) == 1
        last_word = b"SFATAL\0C57P01\0Mterminating connection\0\0"
        lines[0].write(b"E" + (len(last_word) + 4).to_bytes(4, "big") + last_word)
        await asyncio.sleep(0.1)
        with pytest.raises(Unavailable):
            async with database.connection() as connection:
                await connection.fetchval(PING)
        async with database.connection() as connection:
            assert await connection.fetchval(PING) == 1
        await database.close()
        await asyncio.gather(*joined)
