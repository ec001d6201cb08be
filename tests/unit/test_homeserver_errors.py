"""What the client makes of a homeserver, or a proxy, that does not answer as it should."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from mautrix.errors import MForbidden

from openmeet_bridge.matrix.errors import (
    HomeserverError,
    HomeserverUnavailable,
    PingFailed,
    RateLimited,
    Refused,
    TokenRefused,
)
from openmeet_bridge.matrix.homeserver import Homeserver
from openmeet_bridge.matrix.transport import Timeouts

TOKEN = "as-token-that-must-stay-secret"
GHOST = "@om_a_b:localhost"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Fake:
    """A homeserver that answers every request the same way and remembers them."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.answer: Answer = _json(200, {})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        return await self.answer(request)


def _json(status: int, body: Any, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return answer


def _raw(status: int, text: str, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers=headers, content_type="text/html")

    return answer


@pytest.fixture
async def fake() -> Fake:
    return Fake()


@pytest.fixture
async def timeouts() -> Timeouts:
    return Timeouts()


@pytest.fixture
async def client(fake: Fake, timeouts: Timeouts) -> AsyncIterator[Homeserver]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.handle)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        yield Homeserver(session, str(server.make_url("/base/")), TOKEN, timeouts=timeouts)


async def _send(client: Homeserver) -> object:
    content = {"msgtype": "m.text", "body": "a secret message"}
    return await client.send_event("!r", "m.room.message", "t1", content, GHOST, "BRIDGE")


@pytest.mark.parametrize(
    ("answer", "expected_ms"),
    [
        (_json(429, {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 1234}), 1234),
        (_json(429, {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 12.7}), 12),
        (_json(429, {"errcode": "M_LIMIT_EXCEEDED"}, **{"Retry-After": "7"}), 7000),
        (_json(429, {"errcode": "M", "retry_after_ms": 6500}, **{"Retry-After": "7"}), 7000),
        (_json(429, {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": -5}), 1000),
        (_json(429, {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 1e300}), 3_600_000),
        (_json(429, {"errcode": "M_LIMIT_EXCEEDED"}), 1000),
        (_raw(429, "<html>slow down</html>", **{"Retry-After": "2"}), 2000),
        (_raw(429, "<html>slow down</html>", **{"Retry-After": "soon"}), 1000),
        (_raw(429, "<html>slow down</html>", **{"Retry-After": "9" * 400}), 3_600_000),
        (_raw(429, ""), 1000),
    ],
)
async def test_429_says_when_to_come_back(
    client: Homeserver, fake: Fake, answer: Answer, expected_ms: int
) -> None:
    fake.answer = answer
    with pytest.raises(RateLimited) as caught:
        await _send(client)
    assert caught.value.retry_after_ms == expected_ms
    assert caught.value.retryable


async def test_429_with_a_date(client: Homeserver, fake: Fake) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    fake.answer = _json(429, {"errcode": "M_LIMIT_EXCEEDED"}, **{"Retry-After": later})
    with pytest.raises(RateLimited) as caught:
        await _send(client)
    assert 55_000 < caught.value.retry_after_ms <= 60_000


@pytest.mark.parametrize(
    "answer",
    [
        _json(500, {"errcode": "M_UNKNOWN", "error": "Internal server error"}),
        _json(408, {"errcode": "M_UNKNOWN"}),
        _raw(502, "<html>Bad Gateway</html>"),
        _raw(503, ""),
        _raw(404, "<html>no such host here</html>"),
        _raw(403, "<html>forbidden by the proxy</html>"),
        _json(403, ["not", "an", "object"]),
        _raw(301, "", Location="/elsewhere"),
        _raw(200, "<html>captive portal</html>"),
        _json(200, {"no": "event_id"}),
        _raw(200, ""),
        _raw(200, '{"event_id": "$cut'),
    ],
)
async def test_no_verdict_means_try_again(client: Homeserver, fake: Fake, answer: Answer) -> None:
    fake.answer = answer
    with pytest.raises(HomeserverUnavailable) as caught:
        await _send(client)
    assert caught.value.retryable
    assert len(fake.requests) == 1


@pytest.mark.parametrize("timeouts", [Timeouts(connect=0.2, total=0.2)])
async def test_a_slow_answer_is_given_up(client: Homeserver, fake: Fake) -> None:
    given_up = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        await given_up.wait()
        return web.json_response({})

    fake.answer = answer
    with pytest.raises(HomeserverUnavailable, match="no answer"):
        await _send(client)
    given_up.set()


async def test_a_cut_connection(client: Homeserver, fake: Fake) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.json_response({})

    fake.answer = answer
    with pytest.raises(HomeserverUnavailable):
        await _send(client)


async def test_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with aiohttp.ClientSession() as session:
        with pytest.raises(HomeserverUnavailable, match="send_event: no answer"):
            await _send(Homeserver(session, f"http://127.0.0.1:{port}", TOKEN))


async def test_a_refusal_is_final_and_has_its_reason(client: Homeserver, fake: Fake) -> None:
    fake.answer = _json(403, {"errcode": "M_FORBIDDEN", "error": "You are banned"})
    with pytest.raises(Refused) as caught:
        await _send(client)
    error = caught.value
    assert (error.status, error.errcode, error.message) == (403, "M_FORBIDDEN", "You are banned")
    assert not error.retryable
    assert isinstance(error.__cause__, MForbidden)


async def test_too_large_is_final_whoever_says_it(client: Homeserver, fake: Fake) -> None:
    fake.answer = _raw(413, "<html>Request Entity Too Large</html>")
    with pytest.raises(Refused) as caught:
        await _send(client)
    assert caught.value.errcode == "M_TOO_LARGE"


async def test_a_refused_token_is_told_apart(client: Homeserver, fake: Fake) -> None:
    fake.answer = _json(401, {"errcode": "M_UNKNOWN_TOKEN", "error": "Unrecognised token"})
    with pytest.raises(TokenRefused):
        await client.whoami()


async def test_a_ping_that_did_not_come_back(client: Homeserver, fake: Fake) -> None:
    fake.answer = _json(502, {"errcode": "M_CONNECTION_FAILED", "error": "refused"})
    with pytest.raises(PingFailed) as caught:
        await client.ping("openmeet", "t")
    assert caught.value.errcode == "M_CONNECTION_FAILED"


async def test_identifiers_are_opaque(client: Homeserver, fake: Fake) -> None:
    fake.answer = _json(200, {"event_id": "$e"})
    await client.send_state("!a/b?c#d%20+é:x", "m.x", "@u/v:x", {}, "@om_+&=:x")
    request = fake.requests[0]
    assert request.raw_path == (
        "/base/_matrix/client/v3/rooms/%21a%2Fb%3Fc%23d%2520%2B%C3%A9%3Ax/state/m.x/%40u%2Fv%3Ax"
        "?user_id=@om_%2B%26%3D:x"
    )
    assert request.query["user_id"] == "@om_+&=:x"


@pytest.mark.parametrize("identifier", [".", ".."])
async def test_dot_segments_never_leave(client: Homeserver, fake: Fake, identifier: str) -> None:
    with pytest.raises(Refused):
        await client.join(identifier, GHOST)
    assert fake.requests == []


async def test_the_token_travels_in_the_header_only(client: Homeserver, fake: Fake) -> None:
    fake.answer = _json(200, {"event_id": "$e"})
    await _send(client)
    request = fake.requests[0]
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert dict(request.query) == {"user_id": GHOST, "device_id": "BRIDGE"}
    fake.answer = _json(200, {"versions": ["v1.15"]})
    await client.versions()
    assert "Authorization" not in fake.requests[1].headers


async def test_bytes_are_sent_as_they_are(client: Homeserver, fake: Fake) -> None:
    fake.answer = _json(200, {"event_id": "$e"})
    await client.send_event("!r", "m.x", "t", b'{ "kept":  1 }', GHOST)
    assert fake.bodies == [b'{ "kept":  1 }']
    assert fake.requests[0].content_type == "application/json"


async def test_neither_token_nor_text_is_logged(
    client: Homeserver, fake: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fake.answer = _json(403, {"errcode": "M_FORBIDDEN", "error": "no"})
    with pytest.raises(HomeserverError) as caught:
        await _send(client)
    shown = caplog.text + repr(caught.value) + str(caught.value) + repr(client)
    assert TOKEN not in shown
    assert "a secret message" not in shown


async def test_an_existing_ghost_is_as_good(client: Homeserver, fake: Fake) -> None:
    fake.answer = _json(400, {"errcode": "M_USER_IN_USE", "error": "taken"})
    assert await client.register_ghost("om_a_b") is False
    fake.answer = _json(400, {"errcode": "M_EXCLUSIVE", "error": "not yours"})
    with pytest.raises(Refused):
        await client.register_ghost("somebody")


async def test_events_of_a_sync_keep_their_bytes(client: Homeserver, fake: Fake) -> None:
    event = '{"type":"m.x",  "content":{"n":1.50,"b":"\\u00e9"}}'

    async def answer(request: web.Request) -> web.StreamResponse:
        text = '{"next_batch":"s1","rooms":{"join":{"!r":{"timeline":{"events":[' + event
        return web.Response(text=text + '],"limited":true,"prev_batch":"p"}}}}}')

    fake.answer = answer
    synced = await client.sync(GHOST, since="s0", filter={"room": {}}, timeout_ms=10)
    timeline = synced.rooms.join["!r"].timeline
    assert bytes(timeline.events[0]) == event.encode()
    assert (timeline.limited, timeline.prev_batch, synced.next_batch) == (True, "p", "s1")
    assert fake.requests[0].query["set_presence"] == "offline"
