"""Fetching pictures: no larger, slower or further away than allowed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from unittest.mock import AsyncMock

import pytest
from aiohttp.abc import ResolveResult

from openmeet_bridge.openmeet.pictures import PictureProblem, PictureStore
from openmeet_bridge.openmeet.public_addresses import NotPublic, PublicResolver, is_public

from ..support.picture_server import File, PictureServer, picture_server


@pytest.fixture
async def server() -> AsyncIterator[PictureServer]:
    async with picture_server() as server:
        yield server


@pytest.fixture
async def store() -> AsyncIterator[PictureStore]:
    """One that may go anywhere: the server of the tests is on loopback."""
    async with PictureStore(max_bytes=1000, timeout=5, allow_private_addresses=True) as store:
        yield store


async def problem(store: PictureStore, url: str) -> PictureProblem:
    with pytest.raises(PictureProblem) as caught:
        await store.fetch(url)
    return caught.value


async def test_a_file_and_its_version(server: PictureServer, store: PictureStore) -> None:
    url = server.put("a.png", b"bytes", etag='"1"')
    fetched = await store.fetch(url)
    assert (fetched.data, fetched.etag) == (b"bytes", '"1"')
    assert (await store.fetch(url, '"1"')).data is None
    assert (await store.fetch(url, '"0"')).data == b"bytes"


async def test_a_file_that_is_too_large(server: PictureServer, store: PictureStore) -> None:
    assert (await store.fetch(server.put("just", b"x" * 1000))).data == b"x" * 1000
    found = await problem(store, server.put("more", b"x" * 1001))
    assert "larger than 1000 bytes" in found.reason
    assert not found.passing


async def test_redirects_are_followed_but_not_for_ever(
    server: PictureServer, store: PictureStore
) -> None:
    server.put("3", b"found")
    for number in range(3):
        server.files[str(number)] = File(status=302, location=f"/{number + 1}")
    assert (await store.fetch(f"{server.url}/0")).data == b"found"
    server.files["round"] = File(status=301, location="/round")
    assert "redirects" in (await problem(store, f"{server.url}/round")).reason
    assert server.asked["round"] == 4


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://example.org/a", "gopher://x", "", "http://[", "//"]
)
async def test_a_redirect_elsewhere_is_refused(
    server: PictureServer, store: PictureStore, location: str
) -> None:
    server.files["away"] = File(status=302, location=location)
    assert not (await problem(store, f"{server.url}/away")).passing


@pytest.mark.parametrize("url", ["file:///etc/passwd", "no address", "data:,x", "http://", "//x/y"])
async def test_what_is_no_web_address_is_refused(store: PictureStore, url: str) -> None:
    assert not (await problem(store, url)).passing


@pytest.mark.parametrize(
    ("status", "passing"), [(404, False), (403, False), (429, True), (500, True), (503, True)]
)
async def test_errors_of_the_server(
    server: PictureServer, store: PictureStore, status: int, passing: bool
) -> None:
    server.files["gone"] = File(status=status)
    assert (await problem(store, f"{server.url}/gone")).passing is passing


async def test_a_server_that_is_slow_or_away(server: PictureServer) -> None:
    server.files["slow"] = File(hold=asyncio.Event())
    async with PictureStore(max_bytes=9, timeout=0.2, allow_private_addresses=True) as store:
        assert (await problem(store, f"{server.url}/slow")).passing
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
            assert (await problem(store, f"http://127.0.0.1:{port}/")).passing


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "10.0.0.1",
        "169.254.169.254",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "2130706433",  # 127.0.0.1 in other words
        "0x7f.1",
    ],
)
async def test_machines_of_the_operator_are_out_of_reach(server: PictureServer, host: str) -> None:
    port = server.url.rpartition(":")[2]
    server.put("a", b"secret")
    async with PictureStore(max_bytes=99, timeout=5) as store:
        await problem(store, f"http://{host}:{port}/a")
    assert not server.asked


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d822", True),
        ("2002:7f00:1::", False),
        ("::ffff:10.0.0.1", False),
        ("localhost", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


def _result(host: str) -> ResolveResult:
    return ResolveResult(hostname="x", host=host, port=80, family=2, proto=0, flags=0)


async def test_what_was_checked_is_what_is_connected_to() -> None:
    resolver = PublicResolver()
    resolver._resolver.resolve = AsyncMock(  # type: ignore[method-assign]
        side_effect=[[_result("10.0.0.1"), _result("93.184.216.34")], [_result("10.0.0.1")]]
    )
    assert [one["host"] for one in await resolver.resolve("x")] == ["93.184.216.34"]
    with pytest.raises(NotPublic):
        await resolver.resolve("x")
    await resolver.close()
