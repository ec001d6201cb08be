"""Questions asked together: each is answered once, by an answer that is not older than it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from openmeet_bridge.bridge.together import Together
from openmeet_bridge.core.errors import Unavailable


class Oracle:
    """Answers with the square, when it is let to; nothing for odd ones."""

    def __init__(self) -> None:
        self.asked: list[Sequence[int]] = []
        self.away = False
        self.speaks = asyncio.Event()
        self.speaks.set()

    async def ask(self, numbers: Sequence[int]) -> Mapping[int, int]:
        self.asked.append(numbers)
        await self.speaks.wait()
        if self.away:
            raise Unavailable("The oracle is away.")
        return {one: one * one for one in numbers if not one % 2}


@pytest.fixture
async def oracle() -> Oracle:
    return Oracle()


async def all_of(together: Together[int, int], *numbers: int) -> list[int | None]:
    return list(await asyncio.gather(*map(together.get, numbers)))


async def test_what_is_asked_at_once_is_asked_together(oracle: Oracle) -> None:
    together = Together(oracle.ask, most=4, at_once=1)
    assert await all_of(together, 2, 3, 4, 4, 6, 8, 10) == [4, None, 16, 16, 36, 64, 100]
    assert oracle.asked == [[2, 3, 4, 6], [8, 10]]
    assert not together._asking


async def test_an_answer_under_way_is_too_old_for_who_asks_now(oracle: Oracle) -> None:
    together = Together(oracle.ask, at_once=1)
    oracle.speaks.clear()
    first = asyncio.create_task(together.get(2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert oracle.asked == [[2]]
    second = asyncio.create_task(together.get(2))
    await asyncio.sleep(0)
    oracle.speaks.set()
    assert [await first, await second] == [4, 4]
    assert oracle.asked == [[2], [2]]


async def test_who_goes_takes_no_answer_from_others(oracle: Oracle) -> None:
    together = Together(oracle.ask, at_once=1)
    oracle.speaks.clear()
    goes, stays = (asyncio.create_task(together.get(2)) for _ in range(2))
    await asyncio.sleep(0)
    goes.cancel()
    oracle.speaks.set()
    assert await stays == 4


async def test_a_failure_is_everybodys_and_the_next_question_is_new(oracle: Oracle) -> None:
    together = Together(oracle.ask, at_once=1)
    oracle.away = True
    for answer in await asyncio.gather(*map(together.get, (2, 4)), return_exceptions=True):
        assert isinstance(answer, Unavailable)
    oracle.away = False
    assert await together.get(2) == 4
