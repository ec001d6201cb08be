"""Alone or among others: who may work on a database beside whom."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from openmeet_bridge.storage import instance
from openmeet_bridge.storage.database import AWAY
from openmeet_bridge.storage.instance import InstanceLock, is_served

HOLDERS = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance, "_POLL", 0.01)


@pytest.mark.parametrize("shared", [(False, False), (False, True), (True, False)])
async def test_the_second_waits_until_the_first_has_ended(
    database_url: str, shared: tuple[bool, bool]
) -> None:
    first, second = (InstanceLock(database_url, shared=one) for one in shared)
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await first.release()
    await asyncio.wait_for(waiting, 60)
    await second.release()
    await second.release()


async def test_those_who_share_it_work_side_by_side(database_url: str) -> None:
    first, second = (InstanceLock(database_url, shared=True) for _ in range(2))
    operator = await asyncpg.connect(database_url)
    for lock in (first, second):
        await asyncio.wait_for(lock.acquire(), 60)
    for lock in (first, second):
        assert await is_served(operator)
        await lock.release()
    assert not await is_served(operator)
    await operator.close()


async def test_other_databases_have_other_locks(database_url: str, empty_database_url: str) -> None:
    locks = [InstanceLock(database_url), InstanceLock(empty_database_url)]
    for lock in locks:
        await asyncio.wait_for(lock.acquire(), 60)
    for lock in locks:
        await lock.release()


async def test_a_lock_that_was_lost_is_taken_again(database_url: str) -> None:
    lock = InstanceLock(database_url)
    await lock.acquire()
    operator = await asyncpg.connect(database_url)
    before = await operator.fetchval(HOLDERS)
    assert await operator.fetchval("SELECT pg_terminate_backend($1, 10000)", before)
    connection = None
    while connection is None:  # until the end of the old one is noticed, it is taken for good
        connection = await lock.connection()
        try:
            assert connection is not None
            await connection.execute("SELECT 1")
        except AWAY:
            await lock.release()
            connection = None
    assert await operator.fetchval(HOLDERS) not in (None, before)
    await lock.release()
    await operator.close()
