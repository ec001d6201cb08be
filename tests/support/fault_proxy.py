"""A proxy on the way between homeserver and bridge, in either direction, that can fail.

Every request passes a rule, which forwards it, refuses it, keeps it waiting, or forwards it and
loses the answer. What was forwarded and answered is noted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from yarl import URL

from openmeet_bridge.demo.synapse import HOST

from .ports import free_port

BODY_BYTES = 64 << 20
_DROPPED_HEADERS = frozenset(
    {"content-length", "content-encoding", "transfer-encoding", "connection", "server", "date"}
)


class Exchange:
    """One request on its way.

    Attributes:
        method: Its method.
        path: Its path, percent-encoded as it came.
        body: What it brings.
        status: What the other side answered; None while it has not.
    """

    def __init__(self, request: web.Request, body: bytes, forward: Forward) -> None:
        self.method = request.method
        self.path = request.raw_path
        self.headers = request.headers
        self.body = body
        self.status: int | None = None
        self._forward = forward

    async def forward(self) -> web.Response:
        """Hands the request to the other side; returns its answer."""
        return await self._forward(self)

    @property
    def is_transaction(self) -> bool:
        """Whether it brings events from the homeserver."""
        return "/transactions/" in self.path

    @property
    def is_message(self) -> bool:
        """Whether it sends a message to the homeserver."""
        return "/send/m.room.message/" in self.path

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events of a transaction."""
        return list(msgspec.json.decode(self.body)["events"]) if self.is_transaction else []


Forward = Callable[[Exchange], Awaitable[web.Response]]
Rule = Callable[[Exchange], Awaitable[web.StreamResponse]]


async def pass_on(exchange: Exchange) -> web.StreamResponse:
    """The rule of every day."""
    return await exchange.forward()


async def refuse(exchange: Exchange) -> web.StreamResponse:
    """The other side cannot take it now: 503, in the shape of the specification."""
    body = {"errcode": "M_UNKNOWN", "error": "refused by the test"}
    return web.json_response(body, status=503)


async def hang(exchange: Exchange) -> web.StreamResponse:
    """Nobody answers."""
    await asyncio.Event().wait()
    raise AssertionError("never reached")


async def lose_answer(exchange: Exchange) -> web.StreamResponse:
    """The other side has it, and its answer never arrives."""
    await exchange.forward()
    raise web.HTTPBadGateway(text="lost by the test")


class FaultProxy:
    """A proxy. Make one with :func:`fault_proxy`.

    Attributes:
        rule: What happens to requests from now on.
        passed: Exchanges that the other side has answered, in the order of the answers.
        port: Where it listens.
    """

    def __init__(self, target: str, port: int) -> None:
        self.rule: Rule = pass_on
        self.passed: list[Exchange] = []
        self.port = port
        self._target = target
        self._session: aiohttp.ClientSession

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.port}"

    def once(self, rule: Rule, match: Callable[[Exchange], bool] = lambda _: True) -> asyncio.Event:
        """Applies a rule to the next request that matches, and forwards everything else.

        Returns:
            Set when that request has come.
        """
        came = asyncio.Event()

        async def only(exchange: Exchange) -> web.StreamResponse:
            if came.is_set() or not match(exchange):
                return await exchange.forward()
            came.set()
            return await rule(exchange)

        self.rule = only
        return came

    def pushed(self) -> list[str]:
        """Ids of the events that came through in transactions and were taken, in that order."""
        taken = (exchange for exchange in self.passed if exchange.status == 200)
        return [event["event_id"] for exchange in taken for event in exchange.events]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Takes a request."""
        return await self.rule(Exchange(request, await request.read(), self._forward))

    async def _forward(self, exchange: Exchange) -> web.Response:
        url = URL(self._target + exchange.path, encoded=True)
        headers = {key: value for key, value in exchange.headers.items() if key != "Host"}
        try:
            async with self._session.request(
                exchange.method, url, data=exchange.body, headers=headers, allow_redirects=False
            ) as answer:
                kept = {
                    key: value
                    for key, value in answer.headers.items()
                    if key.lower() not in _DROPPED_HEADERS
                }
                response = web.Response(
                    status=answer.status, body=await answer.read(), headers=kept
                )
        except aiohttp.ClientError as error:
            raise web.HTTPBadGateway(text=type(error).__name__) from error
        exchange.status = response.status
        self.passed.append(exchange)
        return response


@asynccontextmanager
async def fault_proxy(target: str, port: int | None = None) -> AsyncIterator[FaultProxy]:
    """Runs a proxy for the length of the block.

    Args:
        target: Address of the side that answers.
        port: Where to listen; a free port when None.
    """
    proxy = FaultProxy(target, port or free_port())
    app = web.Application(client_max_size=BODY_BYTES)
    app.router.add_route("*", "/{path:.*}", proxy.handle)
    # Who hangs up ends what waits for them, and nothing is left over at the end of the test.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session:
        proxy._session = session
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, proxy.port, reuse_address=True).start()
            yield proxy
        finally:
            await runner.cleanup()
