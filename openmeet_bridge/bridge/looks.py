"""Looks: what is asked of another database for somebody who waits, and not too often."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import NamedTuple

from ..core.errors import BridgeError
from .turns import Turns

_REMEMBERED = 10_000
_REST_OF_FAILED = 1.0


class _Look(NamedTuple):
    began: float
    error: BridgeError | None


class Looks:
    """Looks at things: one at a time at each, with a rest behind it, shared by all who wait.

    Args:
        rest: Seconds from the beginning of a look at a thing to that of the next.
    """

    def __init__(self, rest: float) -> None:
        self._rest = rest
        self._looks: OrderedDict[Hashable, _Look] = OrderedDict()
        self._turns = Turns()

    async def anew(self, thing: Hashable, look: Callable[[], Awaitable[object]]) -> None:
        """Return when a look has ended that began after this call; it may wait for its time.

        Raises:
            BridgeError: What the look did.
        """
        await self._since(_now(), thing, look)

    async def lately(self, thing: Hashable, look: Callable[[], Awaitable[object]]) -> None:
        """Return when a look has ended that began no longer ago than a rest; raises as above."""
        await self._since(_now() - self._rest, thing, look)

    async def _since(
        self, moment: float, thing: Hashable, look: Callable[[], Awaitable[object]]
    ) -> None:
        async with self._turns.of(thing):
            last = self._looks.get(thing)
            if last is not None:
                rest = self._rest if last.error is None else min(self._rest, _REST_OF_FAILED)
                if last.began >= moment and (last.error is None or _now() < last.began + rest):
                    if last.error is not None:
                        raise _again(last.error)
                    return
                await asyncio.sleep(last.began + rest - _now())
            await self._look(thing, look)

    async def _look(self, thing: Hashable, look: Callable[[], Awaitable[object]]) -> None:
        began, error = _now(), None
        try:
            await look()
        except BridgeError as problem:
            error = problem
            raise
        finally:
            # Also of a look that nobody waits for any more: it has cost as much.
            self._looks[thing] = _Look(began, error)
            self._looks.move_to_end(thing)
            if len(self._looks) > _REMEMBERED:
                self._looks.popitem(last=False)


def _again(error: BridgeError) -> BridgeError:
    # One exception raised for many callers would gather the tracebacks of them all.
    return type(error)(
        error.message,
        errcode=error.errcode,
        status=error.status,
        retry_after_ms=error.retry_after_ms,
        fields=error.fields,
    )


def _now() -> float:
    return asyncio.get_running_loop().time()
