"""The bus, of one process and of many: wakes whoever waits for more than there was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from openmeet_bridge.core.ids import Position
from openmeet_bridge.stream.bus import Bus, LocalBus
from openmeet_bridge.stream.embedded_valkey import EmbeddedValkey

from ..support.shared_bus import Exchange
from ..support.valkey import listening

LONG = 3600.0


@pytest.fixture(params=["local", "shared", "valkey"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    """A bus of each kind."""
    if request.param == "local":
        yield LocalBus()
        return
    if request.param == "shared":
        yield Exchange(by_itself=True).bus()
        return
    server: EmbeddedValkey = request.getfixturevalue("valkey")
    async with listening(server.address, "contract") as listener:
        yield listener.bus


async def wait(bus: Bus, position: int) -> None:
    """Waits for more than a position, after everything was looked for once."""
    await bus.wait(Position(position), 0)
    await bus.wait(Position(position), LONG)


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_news_from_before_the_wait_count(bus: Bus) -> None:
    bus.grown(Position(5))
    await asyncio.wait_for(wait(bus, 4), 60)


async def test_news_wake_all_who_wait(bus: Bus) -> None:
    waiting = [asyncio.create_task(wait(bus, 4)) for _ in range(2)]
    await turns()
    assert not any(one.done() for one in waiting)
    bus.grown(Position(5), {"!room", "@ann:test"})
    await asyncio.wait_for(asyncio.gather(*waiting), 60)


async def test_old_news_are_forgotten(bus: Bus) -> None:
    bus.grown(Position(5))
    waiting = asyncio.create_task(wait(bus, 5))
    await turns()
    assert not waiting.done()
    bus.grown(Position(6))
    await asyncio.wait_for(waiting, 60)


async def test_late_word_of_an_early_position_does_not_lower_the_mark(bus: Bus) -> None:
    bus.grown(Position(9))
    bus.grown(Position(3))
    await asyncio.wait_for(wait(bus, 8), 60)


async def test_patience_ends(bus: Bus) -> None:
    await bus.wait(Position(0), 0)
    await asyncio.wait_for(bus.wait(Position(0), 0.01), 60)


async def test_one_does_not_hear_oneself(bus: Bus) -> None:
    heard: list[bytes] = []
    bus.heard = heard.append
    for _ in range(2):
        bus.begin("!room")
    bus.say("!room", b"hello")
    bus.end("!room")
    bus.say("!room", b"hello again")
    # Once more than it was begun, which does no harm.
    for _ in range(2):
        bus.end("!room")
    bus.grown(Position(5))
    await asyncio.wait_for(wait(bus, 4), 60)
    assert heard == []
    assert not bus.deaf
