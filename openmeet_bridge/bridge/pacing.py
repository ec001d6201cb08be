"""Pacing: not more of a homeserver at once than it likes to do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from ..matrix.errors import RateLimited

T = TypeVar("T")

_TRIES = 10


async def few_at_once(
    items: Iterable[T], do: Callable[[T], Awaitable[None]], at_once: int = 5
) -> None:
    """Do something with each, in their order; begin nothing more once one has failed.

    Raises:
        Exception: The first that one of them raised, when all that were begun have ended.
    """
    waiting = list(items)[::-1]
    failures: list[Exception] = []

    async def work() -> None:
        while waiting and not failures:
            try:
                await do(waiting.pop())
            except Exception as error:
                failures.append(error)

    await asyncio.gather(*(work() for _ in range(min(at_once, len(waiting)))))
    if failures:
        raise failures[0]


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask the homeserver, and where it says "not so fast", again when it is time.

    For work of many calls, which would never end if one such answer sent it back to its start.

    Raises:
        RateLimited: It said so ten times.
    """
    for _ in range(_TRIES - 1):
        try:
            return await ask()
        except RateLimited as error:
            await asyncio.sleep(error.retry_after_ms / 1000 + random.uniform(0, 0.1))  # noqa: S311
    return await ask()
