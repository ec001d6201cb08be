"""Echo: what the bridge has done counts when the homeserver's own events say so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

_PATIENCE = 5.0
_FIRST_POLL = 0.03
_LONGEST_POLL = 0.3


class NotSettled(Exception):
    """All was done, but the log does not show it yet. To be looked at again."""


class Overtaken(Exception):
    """The directory has changed meanwhile, and says something else. To be looked at anew."""


async def echoed(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the log shows what was asked for.

    Args:
        holds: Whether it does.

    Raises:
        NotSettled: It does not, after some seconds.
    """
    deadline = asyncio.get_running_loop().time() + _PATIENCE
    pause = _FIRST_POLL
    while not await holds():
        if asyncio.get_running_loop().time() > deadline:
            raise NotSettled("the homeserver has accepted all, but has not sent it to us yet")
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_POLL)
