"""One bridge at a time on a database; the next one waits for its turn."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from openmeet_bridge.storage import instance
from openmeet_bridge.storage.instance import InstanceLock

from ..support.waiting import eventually


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance, "_POLL", 0.01)


async def test_the_second_waits_until_the_first_has_ended(database_url: str) -> None:
    first, second = InstanceLock(database_url), InstanceLock(database_url)
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await first.release()
    await asyncio.wait_for(waiting, 60)
    await second.release()
    await second.release()


async def test_other_databases_have_other_locks(database_url: str, empty_database_url: str) -> None:
    locks = [InstanceLock(database_url), InstanceLock(empty_database_url)]
    for lock in locks:
        await asyncio.wait_for(lock.acquire(), 60)
    for lock in locks:
        await lock.release()


async def test_a_lock_that_was_lost_is_taken_again(database_url: str) -> None:
    lock = InstanceLock(database_url)
    await lock.acquire()
    keeping = asyncio.create_task(lock.keep())
    operator = await asyncpg.connect(database_url)
    holders = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
    before = await operator.fetchval(holders)
    assert await operator.fetchval("SELECT pg_terminate_backend($1, 10000)", before)

    async def taken_again() -> bool:
        return await operator.fetchval(holders) not in (None, before)

    await eventually(taken_again, "the lock is held again")
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await lock.release()
    await operator.close()
