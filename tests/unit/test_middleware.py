"""What every request passes: errors, headers, CORS, ids, the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from structlog.testing import capture_logs
from structlog.typing import EventDict

from openmeet_bridge.api import middleware
from openmeet_bridge.api.cors import Cors
from openmeet_bridge.api.middleware import REQUEST_ID, install
from openmeet_bridge.core.errors import BridgeError, LimitExceeded, Unavailable

ORIGIN = "https://app.example"
ENTERED = web.AppKey("entered", asyncio.Event)
CANCELLED = web.AppKey("cancelled", asyncio.Event)


async def ok(request: web.Request) -> web.Response:
    structlog.get_logger("test").info("inside")
    return web.json_response({"id": request[REQUEST_ID], **structlog.contextvars.get_contextvars()})


async def own_policy(request: web.Request) -> web.Response:
    return web.Response(headers={"Content-Security-Policy": "default-src 'self'"})


async def limited(request: web.Request) -> web.Response:
    raise LimitExceeded("Slow down.", retry_after_ms=1500, fields={"query.a": "b"})


async def unavailable(request: web.Request) -> web.Response:
    raise Unavailable("The database is away.")


async def broken(request: web.Request) -> web.Response:
    raise RuntimeError("the password is hunter2")


async def large(request: web.Request) -> web.Response:
    await request.read()
    return web.Response()


async def moved(request: web.Request) -> web.Response:
    raise web.HTTPFound("/ok")


async def unprocessable(request: web.Request) -> web.Response:
    raise web.HTTPUnprocessableEntity


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"first")
    errors: dict[str, Exception] = {
        "bridge": Unavailable("Away."),
        "bug": RuntimeError("bug"),
        "gone": ConnectionResetError("gone"),
        "http": web.HTTPNotFound(),
    }
    raise errors[request.query["error"]]


async def socket(request: web.Request) -> web.WebSocketResponse:
    response = web.WebSocketResponse()
    await response.prepare(request)
    await response.send_str("first")
    raise RuntimeError("bug")


async def hanging(request: web.Request) -> web.Response:
    request.app[ENTERED].set()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        request.app[CANCELLED].set()
        raise
    return web.Response()


Client = TestClient[web.Request, web.Application]
HANDLERS = (
    ok,
    own_policy,
    limited,
    unavailable,
    broken,
    large,
    moved,
    unprocessable,
    stream,
    socket,
)


@pytest.fixture(autouse=True)
def own_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if nobody had set up logging: a logger that was used before keeps what was set up then."""
    before = structlog.get_config() if structlog.is_configured() else None
    structlog.reset_defaults()
    monkeypatch.setattr(middleware, "_log", structlog.get_logger("openmeet_bridge.api"))
    yield
    if before is not None:
        structlog.configure(**before)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    app = web.Application(client_max_size=10)
    install(app, cors=Cors([ORIGIN]), clock=lambda: 0.0)
    for handler in HANDLERS:
        app.router.add_get(f"/{handler.__name__}", handler)
    app.router.add_post("/large", large)
    async with TestClient(TestServer(app)) as made:
        yield made


@pytest.fixture
def logs() -> Any:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as found:
        yield found


async def ask(client: Client, path: str, method: str = "GET", **kwargs: Any) -> tuple[int, Any]:
    async with client.request(method, path, **kwargs) as answer:
        return answer.status, await answer.json()


async def test_errors_have_one_shape(client: Client) -> None:
    assert await ask(client, "/limited") == (
        429,
        {
            "errcode": "M_LIMIT_EXCEEDED",
            "error": "Slow down.",
            "fields": {"query.a": "b"},
            "retry_after_ms": 1500,
        },
    )
    async with client.get("/limited") as answer:
        assert answer.headers["Retry-After"] == "2"
        assert answer.headers["Cache-Control"] == "no-store"
    assert await ask(client, "/unavailable") == (
        503,
        {"errcode": "ORG_OPENMEET_UNAVAILABLE", "error": "The database is away."},
    )
    status, body = await ask(client, "/large", "POST", data=b"x" * 11)
    assert (status, body["errcode"]) == (413, "M_TOO_LARGE")
    status, body = await ask(client, "/unprocessable")
    assert (status, body["errcode"]) == (422, "M_UNKNOWN")


async def test_unknown_paths_and_methods(client: Client) -> None:
    status, body = await ask(client, "/nowhere")
    assert (status, body["errcode"]) == (404, "M_UNRECOGNIZED")
    async with client.delete("/large") as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET,HEAD,POST"
        body = await answer.json()
        assert body["errcode"] == "M_UNRECOGNIZED"
        assert "GET, HEAD, POST" in body["error"]


async def test_a_redirect_is_no_error(client: Client) -> None:
    async with client.get("/moved", allow_redirects=False) as answer:
        assert answer.status == 302


async def test_a_bug_is_told_with_a_reference_only(client: Client, logs: list[EventDict]) -> None:
    status, body = await ask(client, "/broken", headers={"X-Request-Id": "ref-1"})
    assert (status, body["errcode"]) == (500, "M_UNKNOWN")
    assert body["error"].endswith("Reference: ref-1.")
    assert "hunter2" not in str(body)
    failed = [entry for entry in logs if entry["event"] == "request.failed"]
    assert [(entry["request_id"], entry["exc_info"]) for entry in failed] == [("ref-1", True)]


@pytest.mark.parametrize("error", ["bridge", "bug", "gone", "http"])
async def test_an_error_in_a_stream_cuts_it(
    client: Client, error: str, logs: list[EventDict]
) -> None:
    async with client.get(f"/stream?error={error}") as answer:
        assert answer.status == 200
        assert await answer.content.readexactly(5) == b"first"
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.content.read()
    events = {entry["event"] for entry in logs}
    assert ("request.failed_midway" in events) == (error == "bug")
    assert await ask(client, "/ok")


async def test_an_error_in_a_websocket_cuts_it(client: Client, logs: list[EventDict]) -> None:
    async with client.ws_connect("/socket") as opened:
        assert await opened.receive_str() == "first"
        assert (await opened.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
    assert "request.failed_midway" in {entry["event"] for entry in logs}


async def test_cancellation_passes(logs: list[EventDict]) -> None:
    app = web.Application()
    install(app)
    app[ENTERED], app[CANCELLED] = asyncio.Event(), asyncio.Event()
    app.router.add_get("/hanging", hanging)
    server = TestServer(app)
    await server.start_server()  # aiohttp's test server cancels handlers of clients that leave
    async with TestClient(server) as client:
        asked = asyncio.create_task(client.get("/hanging"))
        await app[ENTERED].wait()
        asked.cancel()
        async with asyncio.timeout(5):
            await app[CANCELLED].wait()
    assert [entry["status"] for entry in logs if entry["event"] == "request"] == [499]


async def test_security_headers_are_on_every_answer(client: Client) -> None:
    for path in ("/ok", "/nowhere", "/broken", "/stream?error=gone"):
        async with client.get(path) as answer:
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    async with client.get("/own_policy") as answer:
        assert answer.headers["Content-Security-Policy"] == "default-src 'self'"


async def test_cors_knows_exact_origins(client: Client) -> None:
    async with client.get("/nowhere", headers={"Origin": ORIGIN}) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert answer.headers["Vary"] == "Origin"
    for origin in ("https://app.example.evil.example", "http://app.example", "null", "*", ""):
        async with client.get("/ok", headers={"Origin": origin}) as answer:
            assert "Access-Control-Allow-Origin" not in answer.headers
            assert answer.headers["Vary"] == "Origin"


async def test_preflight(client: Client) -> None:
    asks = {"Access-Control-Request-Method": "PUT"}
    async with client.options("/limited", headers={"Origin": ORIGIN, **asks}) as answer:
        assert answer.status == 204
        assert "x-tenant-id" in answer.headers["Access-Control-Allow-Headers"]
        assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    async with client.options("/ok", headers={"Origin": "https://evil.example", **asks}) as answer:
        assert answer.status == 204
        assert not [name for name in answer.headers if name.startswith("Access-Control")]
    assert (await ask(client, "/ok", "OPTIONS"))[0] == 405


async def test_no_cors_without_origins() -> None:
    app = web.Application()
    install(app)
    app.router.add_get("/ok", ok)
    headers = {"Origin": ORIGIN}
    async with TestClient(TestServer(app), headers=headers) as client, client.get("/ok") as answer:
        assert "Vary" not in answer.headers
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_each_request_has_an_id(client: Client, logs: list[EventDict]) -> None:
    async with client.get("/ok", headers={"X-Request-Id": "abc.1"}) as answer:
        assert answer.headers["X-Request-Id"] == "abc.1"
        assert await answer.json() == {"id": "abc.1", "request_id": "abc.1"}
    ids = set()
    for given in ("", "two words", "x" * 65, "a;b"):
        async with client.get("/ok", headers={"X-Request-Id": given}) as answer:
            ids.add(answer.headers["X-Request-Id"])
            assert len(answer.headers["X-Request-Id"]) == 16
    assert len(ids) == 4
    inside = [entry["request_id"] for entry in logs if entry["event"] == "inside"]
    assert inside[0] == "abc.1"
    assert set(inside[1:]) == ids
    assert "request_id" not in structlog.contextvars.get_contextvars()


async def test_what_machines_ask_all_day_is_logged_quietly(logs: list[EventDict]) -> None:
    app = web.Application()
    install(app, quiet=lambda request: request.path == "/limited", clock=lambda: 0.0)
    for handler in (limited, unavailable):
        app.router.add_get(f"/{handler.__name__}", handler)
    async with TestClient(TestServer(app)) as client:
        for path in ("/limited", "/unavailable"):
            await client.get(path)
    levels = {one["path"]: one["log_level"] for one in logs if one["event"] == "request"}
    assert levels == {"/limited": "debug", "/unavailable": "info"}


async def test_the_log_has_no_secrets(client: Client, logs: list[EventDict]) -> None:
    headers = {"Authorization": "Bearer s3cret", "Cookie": "openmeet_token=s3cret"}
    await ask(client, "/ok?ticket=s3cret&access_token=s3cret", headers=headers)
    (line,) = (entry for entry in logs if entry["event"] == "request")
    assert (line["method"], line["path"], line["status"], line["ms"]) == ("GET", "/ok", 200, 0.0)
    assert "s3cret" not in str(logs)
    await ask(client, "/" + "x" * 500)
    assert len(logs[-1]["path"]) == 256


def test_the_base_error_is_an_internal_one() -> None:
    assert (BridgeError("x").status, BridgeError("x").errcode) == (500, "M_UNKNOWN")
