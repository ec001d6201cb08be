"""A client of the bridge: requests with an answer, and the head of those that go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, TypeVar

import aiohttp
import msgspec
from aiohttp import hdrs

from .patience import Patience
from .target import Caller, Target
from .trouble import NETWORK, Broken, Refused, from_network, wait_of

T = TypeVar("T")

TRIES: Final = 8
"""As often is asked again where one is told to come back later."""

_BODY = 1 << 22
_REFUSAL = 4096
# Nothing is asked for, so nothing may be compressed; and what comes is looked at as it is.
_UNASKED = (hdrs.ACCEPT_ENCODING,)


@dataclass(frozen=True)
class Answer:
    """An answer with its whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def decoded(self, into: type[T]) -> T:
        """Return the body of what must be a success.

        Raises:
            Refused: It is none.
            Broken: The body has another shape.
        """
        if self.status >= 300:
            raise Refused(self.status, self.headers, self.body)
        try:
            return msgspec.json.decode(self.body, type=into)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Broken("the answer is not the bridge's") from None


class Client:
    """Asks as one caller. Open it with ``async with``.

    Args:
        target: What is asked.
        caller: As whom.

    Attributes:
        waits: How often it was told to come back later, and did.
    """

    def __init__(self, target: Target, caller: Caller) -> None:
        self.target = target
        self.caller = caller
        self.waits = 0
        self.session: aiohttp.ClientSession

    @property
    def patience(self) -> Patience:
        """How long is waited."""
        return self.target.patience

    async def __aenter__(self) -> Client:
        self.session = aiohttp.ClientSession(
            connector=self.target.connector(),
            # By address too: a load balancer may know its clients by a cookie.
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            timeout=aiohttp.ClientTimeout(total=None),
            skip_auto_headers=_UNASKED,
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.session.close()

    @asynccontextmanager
    async def opened(
        self, method: str, path: str, *, headers: Mapping[str, str] = {}, **more: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask, and yield the answer as soon as its head is there; later, where one is told so.

        Raises:
            Trouble: No head of an answer came.
        """
        answer = await self._answer(method, path, {**self.caller.headers, **headers}, more)
        for _ in range(TRIES - 1):
            # The bridge limits how fast one user opens streams, and says when there is room again.
            wait = wait_of(answer.status, answer.headers)
            if wait is None:
                break
            answer.close()
            self.waits += 1
            await asyncio.sleep(wait)
            answer = await self._answer(method, path, {**self.caller.headers, **headers}, more)
        try:
            yield answer
        finally:
            answer.close()

    async def _answer(
        self, method: str, path: str, headers: Mapping[str, str], more: Mapping[str, Any]
    ) -> aiohttp.ClientResponse:
        url = self.target.url(path)
        try:
            async with asyncio.timeout(self.patience.answer):
                return await self.session.request(
                    method, url, headers=headers, allow_redirects=False, **more
                )
        except NETWORK as error:
            raise from_network(error) from error

    async def ask(self, method: str, path: str, **more: Any) -> Answer:
        """Ask, and return the whole answer.

        Raises:
            Trouble: No answer came.
        """
        async with self.opened(method, path, **more) as answer:
            return Answer(answer.status, answer.headers, await self.body_of(answer, _BODY))

    async def body_of(self, answer: aiohttp.ClientResponse, most: int = _REFUSAL) -> bytes:
        """Return the beginning of a body.

        Raises:
            Trouble: It does not come.
        """
        body = b""
        try:
            async with asyncio.timeout(self.patience.answer):
                while len(body) < most and (piece := await answer.content.readany()):
                    body += piece
        except NETWORK as error:
            raise from_network(error) from error
        return body[:most]


async def patiently(attempt: Callable[[], Awaitable[T]]) -> T:
    """Try something, and again as long as one is told to come back later.

    Raises:
        Trouble: It does not work, or not soon enough.
    """
    for _ in range(TRIES - 1):
        try:
            return await attempt()
        except Refused as error:
            if error.wait is None:
                raise
            await asyncio.sleep(error.wait)
    return await attempt()
