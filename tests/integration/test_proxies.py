"""OpenMeet's web app through the proxies that docker/ has examples for: nginx and Caddy."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import socketio
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from ..support.bridge import HERE
from ..support.chat import Chat, chat_at
from ..support.databases import Databases
from ..support.proxies import API, BACKEND, BRIDGE, CHAT, Proxy, caddy, nginx, self_signed
from ..support.streams import sse

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "move-the-web-app.md"
SECONDS = 30.0


class Everywhere(AbstractResolver):
    """All names are on this machine."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host="127.0.0.1", port=port, family=2, proto=0, flags=0)
        ]

    async def close(self) -> None:
        return None


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for both names with its key, signed by itself."""
    return self_signed(tmp_path_factory.mktemp("certificate") / "both.pem")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(certificate: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that finds the names here and believes the certificate."""
    connector = aiohttp.TCPConnector(
        resolver=Everywhere(), ssl=ssl.create_default_context(cafile=str(certificate))
    )
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chat(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Chat]:
    listen = {"public_socket": str(tmp_path_factory.mktemp("run") / "public.sock")}
    async with chat_at(
        tmp_path_factory.mktemp("chat"),
        databases.create(),
        send_wait=30,
        blocks={"listen": listen},
    ) as chat:
        yield chat


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backend() -> AsyncIterator[str]:
    """Everything else of OpenMeet's, as far as it matters: it says what it was asked, and by whom.

    Yields its address.
    """

    async def answer(request: web.Request) -> web.Response:
        size = len(await request.read())
        kept = {name: value for name, value in request.headers.items() if name[:2] in ("X-", "Ho")}
        return web.json_response({"backend": request.raw_path, "size": size, "headers": kept})

    app = web.Application(client_max_size=64 << 20)
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def proxy(
    request: pytest.FixtureRequest,
    chat: Chat,
    backend: str,
    certificate: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxy]:
    """A running proxy, from the example: one by the UNIX socket, one by TCP."""
    folder = tmp_path_factory.mktemp(request.param)
    settings = chat.world.settings
    with ExitStack() as stack:
        if request.param == "nginx":
            bridge = f"unix:{settings.changes['listen']['public_socket']}"
            upstreams = {BACKEND: backend, BRIDGE: bridge}
            yield stack.enter_context(nginx(folder, upstreams, certificate))
        else:
            upstreams = {BACKEND: backend, BRIDGE: f"127.0.0.1:{settings.public}"}
            yield stack.enter_context(caddy(folder, upstreams))


async def asked(
    browser: aiohttp.ClientSession, url: str, method: str = "GET", **more: Any
) -> tuple[int, Any]:
    """Asks; returns status and JSON."""
    async with browser.request(method, URL(url, encoded=True), **more) as answer:
        is_json = answer.content_type == "application/json"
        return answer.status, await (answer.json() if is_json else answer.text())


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/api/chat", "Tenant ID is required"),
        ("/api/chat/event/caf%C3%A9/messages?limit=1", "Tenant ID is required"),
        ("/api/matrix/events", "Tenant ID is required"),
        ("/api/matrix/messages/!a%2Fb:here", "Tenant ID is required"),
        ("/api/matrix/nothing", "Cannot GET /api/matrix/nothing"),
    ],
)
async def test_chat_goes_to_the_bridge(
    browser: aiohttp.ClientSession, proxy: Proxy, path: str, message: str
) -> None:
    _, body = await asked(browser, proxy.url(API) + path)
    assert body["message"] == message
    assert set(body) == {"statusCode", "message", "path", "timestamp"}


@pytest.mark.parametrize(
    "path",
    ["/", "/api/v1/auth/me", "/api/events/x", "/api/chatter", "/api/matrix2/x", "/socket.iox"],
)
async def test_everything_else_goes_to_openmeet(
    browser: aiohttp.ClientSession, proxy: Proxy, path: str
) -> None:
    url = f"{proxy.url(API)}{path}?a=%2F"
    lie = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "gopher"}
    status, body = await asked(browser, url, headers=lie)
    assert (status, body["backend"]) == (200, f"{path}?a=%2F")
    assert body["headers"]["X-Forwarded-For"] == "127.0.0.1"
    assert body["headers"]["X-Forwarded-Proto"] == proxy.scheme
    assert body["headers"]["X-Forwarded-Host"] == f"{API}:{proxy.port}"
    assert body["headers"]["Host"] == f"{API}:{proxy.port}"


async def test_bodies_have_their_limits(browser: aiohttp.ClientSession, proxy: Proxy) -> None:
    big = b"x" * (1 << 20)
    status, body = await asked(browser, f"{proxy.url(API)}/api/files", "POST", data=big)
    assert (status, body["size"]) == (200, len(big))
    status, _ = await asked(browser, f"{proxy.url(API)}/api/chat/event/x/message", "POST", data=big)
    # Caddy asks the bridge while it reads, and 2.6 takes its own limit for a fault of the bridge's.
    assert status == 413 if proxy.scheme == "https" else status in (401, 413, 502)


async def test_events_come_at_once(
    browser: aiohttp.ClientSession, proxy: Proxy, chat: Chat
) -> None:
    """A few hundred bytes would wait in any buffer for many more."""
    token = HERE.token(chat.ann.number, chat.ann.slug)
    session = f"{proxy.url(API)}/api/v1/session"
    status, _ = await asked(browser, session, "POST", json={"token": token})
    assert status == 200
    query = {"tenantId": HERE.id}
    async with sse(browser, proxy.url(API), params=query, path="/api/matrix/events") as stream:
        await stream.wait("connection_confirmed")
        for text in ("one", "two"):
            said = await chat.says(chat.ben, text)
            await stream.wait("m.room.message", event_id=said)
    browser.cookie_jar.clear()


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_socket_io(
    browser: aiohttp.ClientSession, proxy: Proxy, chat: Chat, transport: str
) -> None:
    client = socketio.AsyncClient(http_session=browser, reconnection=False)
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    client.on("matrix-event", events.put, namespace="/matrix")
    own = {"token": chat.ann.headers()["Authorization"], "tenantId": HERE.id}
    async with asyncio.timeout(SECONDS):
        await client.connect(
            proxy.url(API), auth=own, namespaces=["/matrix"], transports=[transport]
        )
        try:
            assert client.transport() == transport
            joined = await client.call(
                "join-user-rooms", {"userId": chat.ann.mxid}, namespace="/matrix"
            )
            assert [one["id"] for one in joined["rooms"]] == [chat.room.room_id]
            said = await chat.says(chat.ben, "Hello")
            while (await events.get()).get("event_id") != said:
                pass
        finally:
            await client.disconnect()


async def test_the_bridge_under_its_own_name(
    browser: aiohttp.ClientSession, proxy: Proxy, chat: Chat
) -> None:
    """The page's own WebSocket: by cookie, for pages of the same origin only."""
    url = f"{proxy.url(CHAT)}/api/v1/ws"
    headers = {"Cookie": f"openmeet_token={HERE.token(chat.ann.number, chat.ann.slug)}"}
    own = headers | {"Origin": proxy.url(CHAT)}
    async with browser.ws_connect(url, headers=own) as socket:
        assert (await socket.receive_json(timeout=SECONDS))["type"] == "hello"
        said = await chat.says(chat.ben, "Hello")
        while (await socket.receive_json(timeout=SECONDS))["data"].get("event_id") != said:
            pass
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await browser.ws_connect(url, headers=headers | {"Origin": proxy.url(API)})
    assert refusal.value.status == 403
    keys = {"Authorization": f"Bearer {HERE.service_key}"}
    path = f"/api/integration/v1/tenants/{HERE.id}/status"
    assert (await asked(browser, proxy.url(CHAT) + path, headers=keys))[0] == 200


async def test_the_check_list_of_the_guide(
    proxy: Proxy, chat: Chat, certificate: Path, tmp_path: Path
) -> None:
    """Each call of "Move the web app", and what its table says must be in the answer."""
    text = GUIDE.read_text("utf-8")
    (script,) = re.findall(r"^```bash\n(call\(\).*?)^```$", text, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| \d \| (.*) \|$", text, re.MULTILINE)
    wanted = [re.findall(r"`(\".*?)`", row) for row in rows]
    curlrc = f'resolve = "{API}:{proxy.port}:127.0.0.1"\ncacert = "{certificate}"\n'
    (tmp_path / ".curlrc").write_text(curlrc)
    environment = {
        "PATH": os.defpath,
        "HOME": str(tmp_path),
        "OPENMEET": proxy.url(API),
        "TENANT": HERE.id,
        "GROUP": (await chat.ann.rooms())[chat.room.room_id]["slug"],
        "TOKEN": HERE.token(chat.ann.number, chat.ann.slug),
    }
    shell = await asyncio.create_subprocess_exec(
        "bash", "-euc", script, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said = (await shell.communicate())[0].decode()
    assert shell.returncode == 0, said
    answers = said.splitlines()
    assert len(answers) == len(wanted), said
    for answer, pieces in zip(answers, wanted, strict=True):
        assert pieces
        for piece in pieces:
            assert piece.rstrip("…") in answer
    assert chat.ann.mxid in answers[0]
    assert chat.ann.mxid in answers[1]
