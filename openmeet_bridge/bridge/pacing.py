"""Pacing: many like things, a few of them at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


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
