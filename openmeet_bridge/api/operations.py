"""Operations: health and metrics, for orchestrators and for whoever is called at night."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from ..bridge.ephemeral import EphemeralEvents
from ..bridge.inquiries import Inquiries
from ..core.ids import RoomId

Check = Callable[[], Awaitable[str | None]]
"""Returns None when all is well, else what is wrong."""

_PATIENCE = 5.0


class Operations:
    """The routes for operators.

    Args:
        checks: By name; the bridge is ready when all are well.
        inquiries: Remembers the homeserver's pings, for the doctor.
        ephemeral: Remembers typing notices, for the doctor.
    """

    def __init__(
        self, checks: Mapping[str, Check], inquiries: Inquiries, ephemeral: EphemeralEvents
    ) -> None:
        self._checks = checks
        self._inquiries = inquiries
        self._ephemeral = ephemeral

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/health/live", self._live),
            web.get("/health/ready", self._ready),
            web.get("/metrics", self._metrics),
            web.get("/internal/pings/{transaction_id}", self._ping),
            web.get("/internal/typing/{room_id}", self._typing),
        ]

    async def _live(self, request: web.Request) -> web.Response:
        """The process runs and its event loop turns."""
        return _json({"status": "alive"}, 200)

    async def _ready(self, request: web.Request) -> web.Response:
        """Everything that the bridge depends on answers."""
        names = list(self._checks)
        results = await asyncio.gather(*(self._run(self._checks[name]) for name in names))
        wrong = {name: result for name, result in zip(names, results, strict=True) if result}
        body = {
            "status": "degraded" if wrong else "ready",
            "checks": {name: wrong.get(name, "ok") for name in names},
        }
        return _json(body, 503 if wrong else 200)

    async def _run(self, check: Check) -> str | None:
        try:
            async with asyncio.timeout(_PATIENCE):
                return await check()
        except TimeoutError:
            return f"no answer within {_PATIENCE:.0f} s"

    async def _ping(self, request: web.Request) -> web.Response:
        """Whether a ping of the homeserver has arrived."""
        seen = self._inquiries.was_pinged(request.match_info["transaction_id"])
        return _json({"seen": seen}, 200)

    async def _typing(self, request: web.Request) -> web.Response:
        """When a typing notice of a room came last."""
        last = self._ephemeral.last_typing(RoomId(request.match_info["room_id"]))
        return _json({"last_seen_ms": last}, 200)

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _json(body: object, status: int) -> web.Response:
    encoded = msgspec.json.encode(body)
    return web.Response(body=encoded, status=status, content_type="application/json")
