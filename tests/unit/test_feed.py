"""The feed: whatever the bus says, and while the database is away, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from openmeet_bridge.core.entry import LogEntry
from openmeet_bridge.core.errors import Unavailable
from openmeet_bridge.core.ids import Position
from openmeet_bridge.stream import feed as feed_module
from openmeet_bridge.stream.bus import LocalBus
from openmeet_bridge.stream.feed import Feed
from openmeet_bridge.stream.hub import Hub

from ..support.log_entries import said
from ..support.waiting import eventually


class Log:
    """A log that can go away; every third position is of a room of nobody's."""

    def __init__(self) -> None:
        self.head = 0
        self.away = False
        self.looks = 0

    async def after(self, position: Position, limit: int) -> tuple[list[LogEntry], Position]:
        self.looks += 1
        if self.away:
            raise Unavailable("The database is away.")
        shown = [said(n) for n in range(position + 1, self.head + 1) if n % 3]
        batch = shown[:limit]
        full = len(batch) == limit
        return batch, batch[-1].position if full else Position(self.head)


class Seen(Hub):
    """A hub that notes what it was given."""

    def __init__(self) -> None:
        super().__init__("0badcafe", Position(0))
        self.seen: list[int] = []
        self.largest = 0

    def dispatch(self, batch: list[LogEntry], position: Position) -> None:  # type: ignore[override]
        self.seen += [logged.position for logged in batch]
        self.largest = max(self.largest, len(batch))
        super().dispatch(batch, position)


class World:
    def __init__(self, poll: float) -> None:
        self.log, self.hub, self.bus = Log(), Seen(), LocalBus()
        self.feed = Feed(self.log.after, self.hub, self.bus, poll=poll, batch=4)

    async def level(self, head: int) -> None:
        async def there() -> bool:
            return self.hub.position == head

        await eventually(there, f"the hub is at {head}")
        assert self.hub.seen == [n for n in range(1, head + 1) if n % 3]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A feed that only the bus wakes."""
    made = World(3600.0)
    running = asyncio.create_task(made.feed.run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_step_says_whether_there_may_be_more() -> None:
    world = World(3600.0)
    assert not await world.feed.step()
    world.log.head = 8
    assert await world.feed.step()
    assert world.hub.position == 5
    assert not await world.feed.step()
    assert world.hub.position == 8
    await world.level(8)


async def test_what_is_more_than_a_batch_comes_in_batches(world: World) -> None:
    world.log.head = 50
    world.bus.grown(Position(50))
    await world.level(50)
    assert world.hub.largest == 4


async def test_one_word_for_many_and_many_for_one(world: World) -> None:
    for head in (3, 7, 20):
        world.log.head = head
        world.bus.grown(Position(head))
        world.bus.grown(Position(head))
        await world.level(head)


async def test_a_lost_word_is_made_good_by_looking_now_and_then() -> None:
    world = World(0.01)
    running = asyncio.create_task(world.feed.run())
    for head in (4, 11):
        world.log.head = head
        await world.level(head)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_while_the_database_is_away_the_feed_waits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "_RETRY", 0.005)
    world.log.away = True
    world.bus.grown(Position(6))

    async def tried() -> bool:
        return world.log.looks >= 3

    await eventually(tried, "three looks")
    world.log.head, world.log.away = 6, False
    await world.level(6)


async def test_the_database_going_away_in_the_middle_loses_nothing() -> None:
    world = World(3600.0)
    world.log.head = 20
    assert await world.feed.step()
    world.log.away = True
    with pytest.raises(Unavailable):
        await world.feed.step()
    world.log.away = False
    while await world.feed.step():
        pass
    await world.level(20)
