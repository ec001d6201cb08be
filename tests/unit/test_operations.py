"""Health and metrics: alive is not ready, and what is wrong is named."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from openmeet_bridge.api import middleware, operations
from openmeet_bridge.api.operations import Check, Operations
from openmeet_bridge.bridge.ephemeral import EphemeralEvents
from openmeet_bridge.bridge.inquiries import Inquiries
from openmeet_bridge.core.ids import RoomId

Client = TestClient[web.Request, web.Application]


class Pinged(Inquiries):
    """Has seen one ping."""

    def __init__(self) -> None:
        pass

    def was_pinged(self, transaction_id: str) -> bool:
        return transaction_id == "seen"


class Typed(EphemeralEvents):
    """Has seen one typing notice."""

    def __init__(self) -> None:
        pass

    def last_typing(self, room_id: RoomId) -> int | None:
        return 5 if room_id == "!room/with a slash" else None


def client(checks: Mapping[str, Check]) -> Client:
    app = web.Application()
    middleware.install(app)
    app.add_routes(Operations(checks, Pinged(), Typed()).routes())
    return TestClient(TestServer(app))


async def well() -> str | None:
    return None


async def ill() -> str | None:
    return "The database is away."


async def stuck() -> str | None:
    await asyncio.Event().wait()
    return None


async def test_alive_and_ready() -> None:
    async with client({"database": well, "homeserver": well}) as operator:
        answer = await operator.get("/health/live")
        assert (answer.status, await answer.json()) == (200, {"status": "alive"})
        answer = await operator.get("/health/ready")
        checks = {"database": "ok", "homeserver": "ok"}
        assert (answer.status, await answer.json()) == (200, {"status": "ready", "checks": checks})


async def test_what_is_wrong_is_named_and_the_process_is_alive_all_the_same() -> None:
    async with client({"database": ill, "homeserver": well}) as operator:
        answer = await operator.get("/health/ready")
        body = await answer.json()
        assert (answer.status, body["status"]) == (503, "degraded")
        assert body["checks"] == {"database": "The database is away.", "homeserver": "ok"}
        assert (await operator.get("/health/live")).status == 200


async def test_a_check_that_never_answers_is_a_failed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "_PATIENCE", 0.01)
    async with client({"database": stuck, "homeserver": well}) as operator:
        answer = await operator.get("/health/ready")
        assert answer.status == 503
        assert (await answer.json())["checks"]["database"].startswith("no answer within")


async def test_metrics_are_what_prometheus_reads() -> None:
    async with client({}) as operator:
        answer = await operator.get("/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        text = await answer.text()
    assert "# TYPE openmeet_bridge_streams gauge" in text
    assert "# TYPE openmeet_bridge_ingested_events_total counter" in text


async def test_what_the_doctor_asks() -> None:
    async with client({}) as operator:
        for name, seen in (("seen", True), ("other", False)):
            answer = await operator.get(f"/internal/pings/{name}")
            assert await answer.json() == {"seen": seen}
        for room, last in (("!room%2Fwith%20a%20slash", 5), ("!other", None)):
            answer = await operator.get(f"/internal/typing/{room}")
            assert await answer.json() == {"last_seen_ms": last}
