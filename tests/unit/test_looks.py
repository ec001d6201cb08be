"""Looks at another database: shared by all who wait, and not too often."""

from __future__ import annotations

import asyncio

import pytest

from openmeet_bridge.bridge.looks import Looks
from openmeet_bridge.core.errors import Unavailable


class Place:
    """Something to look at."""

    def __init__(self) -> None:
        self.begun = 0
        self.at_once = 0
        self.most_at_once = 0
        self.away = False

    async def look(self) -> None:
        self.begun += 1
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        await asyncio.sleep(0.01)
        self.at_once -= 1
        if self.away:
            raise Unavailable("away", retry_after_ms=7)


async def test_who_waits_shares_the_next_look() -> None:
    place, looks = Place(), Looks(0.05)
    first = asyncio.create_task(looks.anew("a", place.look))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    # The one that is under way began before they asked: it may have missed what they know.
    await asyncio.gather(first, *(looks.anew("a", place.look) for _ in range(5)))
    assert (place.begun, place.most_at_once) == (2, 1)
    await looks.lately("a", place.look)
    await asyncio.gather(looks.lately("b", place.look), looks.lately("c", place.look))
    assert (place.begun, place.most_at_once) == (4, 2)


async def test_a_failure_is_everybodys_and_passes() -> None:
    place, looks = Place(), Looks(0.02)
    place.away = True
    answers = await asyncio.gather(
        *(looks.lately("a", place.look) for _ in range(3)), return_exceptions=True
    )
    assert [getattr(answer, "retry_after_ms", None) for answer in answers] == [7] * 3
    assert len({id(answer) for answer in answers}) == 3
    assert place.begun == 1
    place.away = False
    await looks.anew("a", place.look)
    await looks.lately("a", place.look)
    assert place.begun == 2


async def test_who_goes_away_leaves_the_next_in_peace() -> None:
    place, looks = Place(), Looks(0.02)
    first = asyncio.create_task(looks.anew("a", place.look))
    await asyncio.sleep(0)
    second = asyncio.create_task(looks.anew("a", place.look))
    await asyncio.sleep(0)
    first.cancel()
    await second
    with pytest.raises(asyncio.CancelledError):
        await first
    assert place.begun == 2
