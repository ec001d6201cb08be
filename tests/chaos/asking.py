"""Requests that are repeated until they are answered, as a patient client does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

import aiohttp

from ..support.openmeet import Answer

T = TypeVar("T")

AWAY = (aiohttp.ClientError, OSError, TimeoutError)
"""What a request meets on a way that is broken."""

PATIENCE = 180.0
_ANSWER = 6.0
_PAUSE = 0.3


async def persist(
    ask: Callable[[], Awaitable[Answer]], what: str, chance: Random, patience: float = PATIENCE
) -> Answer:
    """Ask until there is an answer that is not "later"; return it.

    Args:
        ask: Makes one request, which must be safe to repeat.
        what: What it is, for the error.
        chance: Spreads the repetitions.
        patience: Seconds before giving up.

    Raises:
        AssertionError: There was none in time.
    """
    seen: object = None
    end = asyncio.get_running_loop().time() + patience
    while asyncio.get_running_loop().time() < end:
        try:
            async with asyncio.timeout(_ANSWER):
                answer = await ask()
        except AWAY as error:
            seen = error
        else:
            if answer.status < 500 and answer.status not in (408, 429):
                return answer
            seen = answer
        await asyncio.sleep(_PAUSE * chance.uniform(0.5, 1.5))
    raise AssertionError(f"no answer in {patience:.0f} s: {what}; last: {seen!r}")
