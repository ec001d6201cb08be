"""An endpoint of OpenMeet's that takes webhooks, or does not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer

from openmeet_bridge.core.ids import TenantId
from openmeet_bridge.core.webhooks import Endpoint
from openmeet_bridge.openmeet.webhook_signature import verify

from .waiting import eventually

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass(frozen=True)
class Received:
    """A webhook whose signature was good."""

    id: str
    type: str
    timestamp: str
    data: dict[str, Any]


class WebhookEndpoint:
    """A server that keeps what it is told.

    Attributes:
        received: What came, repetitions included.
        answer: What it answers to each; to hang, an answer may be an event that is waited for.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answer: Callable[[Received], web.Response | asyncio.Event] = lambda _: web.Response()
        self.strays: list[str] = []
        """Requests for other addresses: redirects that were followed."""
        self._server: TestServer | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        assert self._server is not None
        return str(self._server.make_url("/hook?token=hidden"))

    def of(self, tenant: TenantId, *events: str) -> Endpoint:
        """Return the configuration of it for a tenant."""
        return Endpoint(tenant, self.url, SECRET, frozenset(events))

    def refuse(self, status: int, **headers: str) -> None:
        """Answer with a status from now on."""
        self.answer = lambda _: web.Response(status=status, headers=headers)

    async def has(self, count: int) -> list[Received]:
        """Wait for so many requests; return all."""

        async def look() -> bool:
            return len(self.received) >= count

        await eventually(look, f"{count} webhooks")
        return self.received

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        assert request.content_type == "application/json"
        message_id = verify(SECRET, request.headers, body, time.time())
        received = Received(message_id, **msgspec.json.decode(body))
        self.received.append(received)
        answer = self.answer(received)
        if isinstance(answer, asyncio.Event):
            await answer.wait()
            return web.Response()
        return answer

    async def _stray(self, request: web.Request) -> web.Response:
        self.strays.append(request.path)
        return web.Response()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[WebhookEndpoint]:
        """Listen for the length of the block."""
        app = web.Application()
        app.router.add_post("/hook", self._take)
        app.router.add_route("*", "/{path:.*}", self._stray)
        self._server = TestServer(app)
        await self._server.start_server()
        try:
            yield self
        finally:
            await self._server.close()
