"""Questions asked together: what many ask at the same moment becomes one question to the database.

After a restart thousands of readers come back within seconds, each with a token to be looked up
and rooms to be read. One statement for sixty of them costs little more than one for one. More are
not asked for at once: all who are answered go on at the same moment, and live readers wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MOST = 64
_AT_ONCE = 2


class Together(Generic[K, V]):
    """Gathers questions while others are answered. No answer is older than its question.

    Args:
        ask: Answers many questions; those that it leaves out have no answer.
        most: As many are asked together.
        at_once: So many times at once.
    """

    def __init__(
        self,
        ask: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]],
        *,
        most: int = MOST,
        at_once: int = _AT_ONCE,
    ) -> None:
        self._ask = ask
        self._most = most
        self._at_once = at_once
        self._waiting: dict[K, asyncio.Future[V | None]] = {}
        self._asking: set[asyncio.Task[None]] = set()

    async def get(self, key: K) -> V | None:
        """Return the answer to a question; whatever asking raises is raised to all who asked."""
        answer = self._waiting.get(key)
        if answer is None:
            answer = self._waiting[key] = asyncio.get_running_loop().create_future()
        if len(self._asking) < self._at_once:
            self._begin()
        # One who goes must not take the answer from others who have asked the same.
        return await asyncio.shield(answer)

    def _begin(self) -> None:
        task = asyncio.create_task(self._ask_all())
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _ask_all(self) -> None:
        while self._waiting:
            keys = list(self._waiting)[: self._most]
            asked = {key: self._waiting.pop(key) for key in keys}
            try:
                answers = await self._ask(keys)
            except BaseException as error:
                _fail(asked.values(), error)
                if not isinstance(error, Exception):
                    raise
                continue
            for key, answer in asked.items():
                if not answer.done():
                    answer.set_result(answers.get(key))


def _fail(answers: Iterable[asyncio.Future[V | None]], error: BaseException) -> None:
    for answer in answers:
        if not answer.done():
            if isinstance(error, asyncio.CancelledError):
                answer.cancel()
            else:
                answer.set_exception(error)
                answer.exception()  # nobody may wait for it any more, and that is no fault
