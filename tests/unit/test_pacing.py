"""Patience with a homeserver that says "not so fast"."""

from __future__ import annotations

import asyncio

import pytest

from openmeet_bridge.bridge import pacing
from openmeet_bridge.matrix.errors import RateLimited


class Busy:
    """Says no so many times, then yes."""

    def __init__(self, refusals: int) -> None:
        self.left = refusals

    async def ask(self) -> str:
        """Answer, or not."""
        if self.left:
            self.left -= 1
            raise RateLimited("not so fast", retry_after_ms=3000)
        return "yes"


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited each time."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return pauses


async def test_it_waits_as_long_as_it_is_told(slept: list[float]) -> None:
    assert await pacing.patiently(Busy(9).ask) == "yes"
    assert len(slept) == 9
    assert all(3 <= pause <= 3.1 for pause in slept)


async def test_patience_has_an_end(slept: list[float]) -> None:
    with pytest.raises(RateLimited):
        await pacing.patiently(Busy(10).ask)
    assert len(slept) == 9
