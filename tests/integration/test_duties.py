"""Duties: one worker has each; another, when that one ends, dies, or was stopped for too long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from openmeet_bridge.app.office import OFFICE, Office
from openmeet_bridge.bridge.duties import Duties
from openmeet_bridge.core.ids import Position
from openmeet_bridge.storage import duties as stored
from openmeet_bridge.storage.database import Connection
from openmeet_bridge.storage.instance import InstanceLock

from ..support.waiting import eventually
from ..support.workers import bury, enter

LEASE = 600.0


class Clock:
    """A clock that stands still until it is put forward."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Place:
    """Workers on one database; all their leases are long, unless a test says otherwise."""

    def __init__(self, dsn: str, operator: Connection) -> None:
        self._dsn = dsn
        self.operator = operator
        self.clock = Clock()
        self._all: list[Duties] = []

    async def worker(self, *, alone: bool = False, begin: bool = True) -> Duties:
        lock = InstanceLock(self._dsn, shared=not alone)
        one = Duties(lock, [OFFICE, "other"], lease=LEASE, renewed=0.05, clock=self.clock)
        self._all.append(one)
        if begin:
            await one.begin()
        return one

    async def end(self) -> None:
        for one in self._all:
            await one.end()


@pytest.fixture
async def place(database_url: str) -> AsyncIterator[Place]:
    operator = await asyncpg.connect(database_url)
    place = Place(database_url, operator)
    yield place
    await place.end()
    await operator.close()


async def test_one_has_them_until_it_gives_them_back(place: Place) -> None:
    first, second = await place.worker(), await place.worker()
    assert first.holds(OFFICE)
    assert first.holds("other")
    assert not second.holds(OFFICE)
    await first.renew()
    assert (first.others, second.others) == (1, 1)
    over = await first.won(OFFICE)
    assert not over.is_set()

    await first.release()
    assert over.is_set()
    assert first.certain()  # it goes on with what needs no duty
    await second.renew()
    assert second.holds(OFFICE)
    await first.renew()
    assert not first.holds(OFFICE)

    gone: list[None] = []
    first.gone = lambda: gone.append(None)
    await second.end()
    await first.renew()
    assert gone
    assert first.others == 0
    assert not first.holds(OFFICE)  # it wants none any more


async def test_who_does_not_renew_is_given_up_and_comes_back_as_another(place: Place) -> None:
    first, second = await place.worker(), await place.worker()
    over, name = await first.won(OFFICE), first.worker
    await bury(place.operator, name)
    await second.renew()
    assert second.holds(OFFICE)
    gone: list[None] = []
    first.gone = lambda: gone.append(None)
    await first.renew()
    assert over.is_set()
    assert not first.holds(OFFICE)
    assert first.worker != name
    assert first.certain()
    assert gone


async def test_one_that_was_stopped_knows_it_before_it_asks(place: Place) -> None:
    first = await place.worker()
    over = await first.won(OFFICE)
    place.clock.now += LEASE
    assert not first.certain()
    assert not first.holds(OFFICE)
    # Nobody has taken its place: it goes on, but whoever worked for it before begins anew.
    await first.renew()
    assert over.is_set()
    assert first.holds(OFFICE)


async def test_time_decides_in_the_database(place: Place) -> None:
    await enter(place.operator, "dead", lease=0)
    await stored.claim(place.operator, "dead", [OFFICE])
    await enter(place.operator, "asleep", lease=600)
    await stored.claim(place.operator, "asleep", ["other"])
    one = await place.worker()
    await one.renew()
    assert one.holds(OFFICE)
    assert not one.holds("other")
    assert not await stored.renew(place.operator, "dead", 1, Position(0))
    standing = await stored.claim(place.operator, "dead", ["third"])
    assert not standing.held
    assert standing.workers == {one.worker, "asleep"}


async def test_who_is_alone_waits_for_nobody(place: Place) -> None:
    await enter(place.operator, "killed a moment ago")
    await stored.claim(place.operator, "killed a moment ago", [OFFICE])
    one = await place.worker(alone=True)
    assert one.holds(OFFICE)
    place.clock.now += 10 * LEASE
    assert one.certain()


async def test_how_far_the_others_are(place: Place) -> None:
    first, second = await place.worker(), await place.worker()
    assert await stored.least_position(place.operator, first.worker) == 0
    second.position = lambda: Position(7)
    await second.renew()
    assert await stored.least_position(place.operator, first.worker) == 7
    await second.end()
    assert await stored.least_position(place.operator, first.worker) is None


async def test_it_stays_in_while_it_runs(place: Place) -> None:
    one = await place.worker()
    running = asyncio.create_task(one.run())
    await place.operator.execute("DELETE FROM worker")
    names = [one.worker]

    async def another() -> bool:
        return one.worker not in names and one.holds(OFFICE)

    await eventually(another, "it is back as another", poll=0.01)
    # Its connection is cut: another is made.
    cut = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
    await place.operator.execute(cut)
    await place.operator.execute("DELETE FROM worker")
    names.append(one.worker)
    await eventually(another, "it is back again", poll=0.01)
    running.cancel()


async def test_the_office_opens_and_closes_with_the_duty(place: Place) -> None:
    runs: list[int] = []

    def loop_of(number: int) -> Callable[[], asyncio.Future[None]]:
        async def loop() -> None:
            runs.append(number)
            try:
                await asyncio.Event().wait()
            finally:
                runs.remove(number)

        return lambda: asyncio.ensure_future(loop())

    both = [await place.worker() for _ in range(2)]
    offices = [
        asyncio.create_task(Office(one, {"loop": loop_of(number)}).run())
        for number, one in enumerate(both)
    ]

    async def until(expected: list[int]) -> None:
        async def so() -> bool:
            return runs == expected

        await eventually(so, f"{expected} run", poll=0.01)

    await until([0])
    await both[0].release()
    await until([])
    await both[1].renew()
    await until([1])
    for office in offices:
        office.cancel()
    await asyncio.gather(*offices, return_exceptions=True)
    assert runs == []
