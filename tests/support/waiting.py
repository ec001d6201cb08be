"""Ways to wait for what happens elsewhere: quick to notice, patient before giving up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 60.0
POLL = 0.05


async def eventually(
    look: Callable[[], Awaitable[T]], what: str, *, seconds: float = PATIENCE, poll: float = POLL
) -> T:
    """Looks until there is something true to see; returns it.

    Args:
        look: Returns what is seen now. An assertion that fails in it counts as "not yet".
        what: What is waited for, for the error.
        seconds: How long.
        poll: Seconds between looks; more where a look costs much.

    Raises:
        AssertionError: It did not come in time; says what was seen last.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    seen: object = None
    while asyncio.get_running_loop().time() < deadline:
        try:
            found = await look()
        except AssertionError as error:
            seen = error
        else:
            if found:
                return found
            seen = found
        await asyncio.sleep(poll)
    raise AssertionError(f"not within {seconds:.0f} s: {what}; last seen: {seen}")
