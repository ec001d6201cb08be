"""Migrations: from nothing to the newest, by many at once, and never over what is newer."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Connection

from alembic import command
from openmeet_bridge.core.errors import Unavailable
from openmeet_bridge.storage import event_log, migrations
from openmeet_bridge.storage.database import Database

from ..support.house import ghost, house_at


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


async def test_what_was_said_before_is_related_as_if_it_came_now(database_url: str) -> None:
    async with house_at(database_url) as house:
        ann = ghost("ann")
        await house.room(ann)
        said, gone = await house.says(ann, 2)
        for target in (said, gone):
            await house.sends(ann, _about("m.replace", target, new={"body": "b"}))
            await house.sends(ann, _about("m.annotation", target, key="+"), kind="m.reaction")
        await house.sends(ann, _about("m.replace", said), kind="m.room.encrypted")
        await house.sends(ann, _about("m.replace", said))
        await house.sends(ann, {"m.relates_to": [[[]]]})
        await house.sends(ann, {"redacts": gone}, kind="m.room.redaction")
        connection = await asyncpg.connect(database_url)
        now = await _related(connection)
        # What an older version kept of it; and what none of them can read.
        kept = b'{"m.new_content":{},"m.relates_to":{"rel_type":"m.replace","event_id":"%b"}}'
        await _migrate(database_url, "0002")
        await connection.execute(
            "UPDATE log SET content = $1 WHERE type = 'm.room.message' AND content = '{}' "
            "AND redacted_by IS NULL",
            kept % gone.encode(),
        )
        deep = b'{"m.relates_to":' + b"[" * 30_000 + b"]" * 30_000 + b"}"
        await connection.execute(
            "UPDATE log SET content = $1 WHERE position('[[[]]]'::bytea IN content) > 0",
            deep,
        )
        await _migrate(database_url, "head")
        assert await _related(connection) == now
        assert {row[3] for row in now[0]} == {True, False}
        assert len(now[1]) == 5
        await connection.close()


def _about(kind: str, target: str, *, key: str = "", new: Any = None) -> dict[str, Any]:
    about = {"rel_type": kind, "event_id": target} | ({"key": key} if key else {})
    content = {"m.new_content": new} if new else {}
    return {"body": "*", **content, "m.relates_to": about}


async def _related(connection: Any) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """What the log says of events and of what they do to one another."""
    logged = await connection.fetch(
        "SELECT event_id, line, about, related, content = '{}' FROM log ORDER BY position"
    )
    relations = await connection.fetch("SELECT * FROM relation ORDER BY event_id")
    return [tuple(row) for row in logged], [tuple(row) for row in relations]


async def _migrate(url: str, revision: str) -> None:
    def work(lent: Connection) -> None:
        config = migrations._config()
        config.attributes["connection"] = lent
        (command.upgrade if revision == "head" else command.downgrade)(config, revision)

    await migrations._with_connection(url, work)
