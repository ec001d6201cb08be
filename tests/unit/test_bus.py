"""The bus: wakes whoever waits for more than there was."""

from __future__ import annotations

import asyncio

from openmeet_bridge.core.ids import Position
from openmeet_bridge.stream.bus import LocalBus

LONG = 3600.0


async def test_news_from_before_the_wait_count() -> None:
    bus = LocalBus()
    bus.grown(Position(5))
    await asyncio.wait_for(bus.wait(Position(4), LONG), 60)


async def test_news_wake_who_waits() -> None:
    bus = LocalBus()
    waiting = asyncio.create_task(bus.wait(Position(4), LONG))
    await asyncio.sleep(0)
    assert not waiting.done()
    bus.grown(Position(5))
    await asyncio.wait_for(waiting, 60)


async def test_old_news_are_forgotten() -> None:
    bus = LocalBus()
    bus.grown(Position(5))
    waiting = asyncio.create_task(bus.wait(Position(5), LONG))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    bus.grown(Position(6))
    await asyncio.wait_for(waiting, 60)


async def test_late_word_of_an_early_position_does_not_lower_the_mark() -> None:
    bus = LocalBus()
    bus.grown(Position(9))
    bus.grown(Position(3))
    await asyncio.wait_for(bus.wait(Position(8), LONG), 60)


async def test_patience_ends() -> None:
    await asyncio.wait_for(LocalBus().wait(Position(0), 0.01), 60)
