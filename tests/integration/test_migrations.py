"""Migrations: from nothing to the newest, by many at once, and never over what is newer."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from openmeet_bridge.core.errors import Unavailable
from openmeet_bridge.storage import event_log, migrations
from openmeet_bridge.storage.database import Database


async def test_from_nothing_to_the_newest(empty_database_url: str) -> None:
    assert await migrations.current(empty_database_url) is None
    assert await migrations.upgrade_async(empty_database_url) == migrations.newest()
    assert await migrations.current(empty_database_url) == migrations.newest()
    assert await migrations.upgrade_async(empty_database_url) == migrations.newest()


async def test_many_at_once_do_it_once(empty_database_url: str) -> None:
    done = await asyncio.gather(
        *(asyncio.to_thread(migrations.upgrade, empty_database_url) for _ in range(3))
    )
    assert done == [migrations.newest()] * 3


async def test_every_database_has_an_epoch_of_its_own(
    database_url: str, empty_database_url: str
) -> None:
    await migrations.upgrade_async(empty_database_url)
    epochs = []
    for url in (database_url, empty_database_url):
        database = Database(url)
        async with database.connection() as connection:
            head = await event_log.head(connection)
        await database.close()
        assert head.position == 0
        epochs.append(head.epoch)
    assert len(epochs[1]) == 8
    assert int(epochs[1], 16) >= 0


async def test_a_newer_database_is_left_alone(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await connection.close()
    with pytest.raises(Unavailable, match="9999"):
        await migrations.upgrade_async(database_url)
    assert await migrations.current(database_url) == "9999"


async def test_nobody_at_home() -> None:
    for work in (migrations.current, migrations.upgrade_async):
        with pytest.raises(Unavailable):
            await work("postgresql://nobody@127.0.0.1:1/nothing")
