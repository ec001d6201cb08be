"""The chat page's files: cached honestly, shut in by a policy, and nothing beside them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.resources import files

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from openmeet_bridge.api import middleware
from openmeet_bridge.api.page import CONTENT_SECURITY_POLICY, Page

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    app = web.Application()
    middleware.install(app)
    app.add_routes(Page().routes())
    async with TestClient(TestServer(app)) as made:
        yield made


async def test_the_page(client: Client) -> None:
    answer = await client.get("/")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert await answer.read() == (files("openmeet_bridge") / "web/index.html").read_bytes()


async def test_every_file_of_the_page_is_served_with_its_type(client: Client) -> None:
    modules = [item.name for item in (files("openmeet_bridge") / "web/page").iterdir()]
    scripts = [name for name in modules if name.endswith(".js")]
    assert scripts
    for name in scripts:
        answer = await client.get(f"/web/page/{name}")
        assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"


async def test_the_policy_allows_no_foreign_script(client: Client) -> None:
    for path in ("/", "/web/index.html"):
        policy = (await client.get(path)).headers.getall("Content-Security-Policy")
        assert policy == [CONTENT_SECURITY_POLICY]
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "default-src 'self'" in CONTENT_SECURITY_POLICY


async def test_a_file_is_asked_for_again_and_not_sent_again(client: Client) -> None:
    first = await client.get("/")
    assert first.headers["Cache-Control"] == "no-cache"
    again = await client.get("/", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    changed = await client.get("/", headers={"If-None-Match": '"older"'})
    assert changed.status == 200


async def test_a_file_has_a_tag_of_its_own(client: Client) -> None:
    html = await client.get("/")
    names = [item.name for item in (files("openmeet_bridge") / "web/page").iterdir()]
    script = next(name for name in names if name.endswith(".js"))
    assert (await client.get(f"/web/page/{script}")).headers["ETag"] != html.headers["ETag"]


async def test_only_the_head(client: Client) -> None:
    answer = await client.head("/")
    assert (answer.status, await answer.read()) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/web/",
        "/web/page",
        "/web/nothing.js",
        "/web/INDEX.HTML",
        "/web/../api/page.py",
        "/web/%2e%2e/api/page.py",
        "/web/..%2fapi%2fpage.py",
        "/web/page/../../api/page.py",
        "/web//etc/passwd",
        "/web/%2fetc%2fpasswd",
        "/web/..%5capi%5cpage.py",
        "/web/index.html%00",
        "/web/./index.html%00.js",
    ],
)
async def test_nothing_else_is_there(client: Client, path: str) -> None:
    answer = await client.get(URL(path, encoded=True))
    assert answer.status == 404
    assert (await answer.json())["errcode"] in ("M_NOT_FOUND", "M_UNRECOGNIZED")


async def test_the_page_is_only_read(client: Client) -> None:
    answer = await client.post("/", data=b"x")
    assert (answer.status, (await answer.json())["errcode"]) == (405, "M_UNRECOGNIZED")
