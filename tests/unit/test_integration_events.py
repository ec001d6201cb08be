"""Domain events of OpenMeet: whose they are, and what is answered to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from openmeet_bridge.api.endpoint import register
from openmeet_bridge.api.integration_events import ENDPOINTS, IntegrationEvents
from openmeet_bridge.api.middleware import install
from openmeet_bridge.api.signed_events import SignedEvents
from openmeet_bridge.core.hints import subjects
from openmeet_bridge.core.ids import TenantId
from openmeet_bridge.openmeet.tenants import KeySettings, Tenant, Tenants
from openmeet_bridge.openmeet.webhook_signature import sign, signed_headers

NOW = 1_795_000_000
SECRET = "a secret for signing domain events"
LIMIT = 4096
Client = TestClient[web.Request, web.Application]


class Noted:
    """Keeps hints in a list."""

    def __init__(self) -> None:
        self.hints: list[tuple[str, str]] = []

    async def hint(self, tenant: TenantId, event: str, payload: Mapping[str, Any]) -> list[str]:
        found = [str(one) for one in subjects(event, payload)]
        self.hints += [(tenant, one) for one in found]
        return found


@pytest.fixture
def noted() -> Noted:
    return Noted()


@pytest.fixture
async def client(noted: Noted) -> AsyncIterator[Client]:
    keys = KeySettings("HS256", b"x" * 32)
    tenants = Tenants(
        [
            Tenant(TenantId("lake"), "Lake", keys, webhook_secret=SECRET),
            Tenant(TenantId("sea"), "Sea", keys, webhook_secret=f"{SECRET} of the sea"),
        ]
    )
    app = web.Application()
    install(app)
    signed = SignedEvents(tenants, LIMIT, clock=lambda: NOW)
    surface = IntegrationEvents(noted)
    authenticators = {"signature": signed.authenticate}
    register(app, ENDPOINTS, authenticators, surface=surface, body_limit=LIMIT)
    async with TestClient(TestServer(app)) as made:
        yield made


async def send(
    client: Client,
    body: object,
    headers: Mapping[str, str] = {},
    *,
    age: int = 0,
    tenant: str = "lake",
) -> tuple[int, Any]:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    sent = signed_headers(SECRET, "msg_1", NOW - age, raw)
    sent |= {"Content-Type": "application/json", **headers}
    path = f"/api/integration/v1/tenants/{tenant}/events"
    async with client.post(path, data=raw, headers=sent) as answer:
        return answer.status, await answer.json()


def event(name: str = "event.attendee.added", **payload: Any) -> dict[str, Any]:
    return {"event": name, "payload": payload}


async def test_an_event_is_a_hint(client: Client, noted: Noted) -> None:
    added = event(eventId=12, userId=3, status="confirmed", tenantId="lake")
    assert await send(client, added) == (202, {"scheduled": ["meetup/12"]})
    # Somebody who sends it again within five minutes does no harm.
    assert await send(client, added, age=299) == (202, {"scheduled": ["meetup/12"]})
    assert noted.hints == [("lake", "meetup/12")] * 2


async def test_what_says_nothing_is_ignored(client: Client, noted: Noted) -> None:
    status, answer = await send(client, event("billing.paid", id=1))
    assert (status, answer["scheduled"]) == (202, [])
    assert "does not know" in answer["ignored"]
    status, answer = await send(client, event())
    assert (status, answer["scheduled"]) == (202, [])
    assert "payload" in answer["ignored"]
    assert not noted.hints


async def test_an_event_of_another_tenant_is_refused(client: Client, noted: Noted) -> None:
    status, answer = await send(client, event(eventId=12, tenantId="sea"))
    assert (status, list(answer["fields"])) == (400, ["body.payload.tenantId"])
    assert (await send(client, event(eventId=12), tenant="sea"))[0] == 401
    assert (await send(client, event(eventId=12), tenant="lakes"))[0] == 401
    assert not noted.hints


async def test_only_a_good_signature_is_heard(client: Client, noted: Noted) -> None:
    other = sign(SECRET + "?", "msg_1", NOW, msgspec.json.encode(event(eventId=12)))
    cases: list[dict[str, Any]] = [
        {"webhook-signature": other},
        {"webhook-signature": ""},
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": str(NOW + 1)},
        {"webhook-timestamp": "soon"},
    ]
    for headers in cases:
        assert (await send(client, event(eventId=12), headers))[0] == 401, headers
    for age in (301, -301):
        assert (await send(client, event(eventId=12), age=age))[0] == 401
    assert not noted.hints
    # While a secret is being changed there are two signatures.
    raw = msgspec.json.encode(event(eventId=12))
    both = f"{other} {sign(SECRET, 'msg_1', NOW, raw)}"
    assert (await send(client, raw, {"webhook-signature": both}))[0] == 202


async def test_a_stranger_learns_nothing_of_the_body(client: Client) -> None:
    status, answer = await send(client, b"not json", {"webhook-signature": "v1,x"})
    assert (status, answer["errcode"]) == (401, "M_UNKNOWN_TOKEN")
    status, answer = await send(client, b"not json")
    assert (status, answer["errcode"]) == (400, "M_NOT_JSON")
    status, answer = await send(client, {"event": 1})
    assert (status, list(answer["fields"])) == (400, ["body.event"])
    assert (await send(client, b"x" * (LIMIT + 1)))[0] == 413
