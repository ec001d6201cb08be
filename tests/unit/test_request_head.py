"""Heads of requests: what is read of them, and what is left to the HTTP server."""

from __future__ import annotations

import asyncio
import random

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from multidict import MultiMapping

from openmeet_bridge.api.request_head import LONGEST, RequestHead, read_head

FIELDS = [
    ("Host", "chat.example:8443"),
    ("Authorization", "Bearer abc.def.ghi"),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"),
    ("accept", "text/event-stream"),
    ("Accept-Encoding", "gzip, deflate;q=0.5"),
    ("Cookie", "a=b; openmeet_token=abc.def-ghi_; empty=;c = d "),
    ("X-Forwarded-For", "192.0.2.1,  198.51.100.2"),
    ("X-FORWARDED-FOR", "203.0.113.3"),
    ("X-Empty", ""),
    ("X-Tenant-Id", "lake"),
    ("X-Odd", "#$%&'*+!^_`|~;:\"<>?@[]{}\\"),
]
TARGETS = [
    "/api/v1/stream",
    "/api/v1/stream?",
    "/api/v1/stream?cursor=0badcafe-12&rooms=!a:b,!c:d&types=timeline",
    "/api/v1/ws?a=1&a=2&b&c=&=d&e=%20+%2B%26&%C3%A4=%E2%82%AC&f=g;h=i&&j==k",
]


def written(target: str = "/api/v1/ws", fields: list[tuple[str, str]] | None = None) -> bytes:
    lines = [f"{name}: {value}" for name, value in FIELDS if fields is None] + [
        f"{name}:{value}" for name, value in fields or []
    ]
    return "\r\n".join([f"GET {target} HTTP/1.1", *lines, "\r\n"]).encode()


def read(data: bytes) -> RequestHead:
    head = read_head(data, "192.0.2.7")
    assert head is not None
    return head


def lowered(headers: MultiMapping[str]) -> list[tuple[str, str]]:
    return [(name.lower(), value) for name, value in headers.items()]


async def test_a_head_is_read_as_the_server_reads_it() -> None:
    known: list[web.BaseRequest] = []

    async def keep(request: web.BaseRequest) -> web.Response:
        known.append(request)
        return web.Response()

    dice = random.Random(7)
    async with RawTestServer(keep) as server:
        for target in TARGETS:
            data = written(target, dice.sample(FIELDS[1:], len(FIELDS) - 1) + FIELDS[:1])
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(data)
            await reader.readline()
            writer.close()
            ours, theirs = read(data), known.pop()
            # It writes names as they are in the standards.
            assert lowered(ours.headers) == lowered(theirs.headers)
            assert list(ours.query.items()) == list(theirs.query.items())
            assert dict(ours.cookies) == dict(theirs.cookies)
            assert (ours.method, ours.path, ours.host) == (
                theirs.method,
                theirs.path,
                theirs.host,
            )
            assert ours.remote == "192.0.2.7"


def test_nothing_follows_a_head() -> None:
    data = written()
    assert read(data).path == "/api/v1/ws"
    for cut in range(len(data)):
        assert read_head(data[:cut], "") is None
    for more in (b"\r\n", b"x", data):
        assert read_head(data + more, "") is None


@pytest.mark.parametrize(
    "data",
    [
        written().replace(b"GET", b"POST"),
        written().replace(b"GET ", b"get "),
        written().replace(b"HTTP/1.1", b"HTTP/1.0"),
        written().replace(b"\r\n", b"\n"),
        written("http://chat.example/api/v1/ws"),
        written("/api/v1/%77s"),
        written("/api/v1/ws#part"),
        written("/api/v1/ws?a=%FF"),
        written("/api/v1/ws?a=\x7f"),
        written("/api/v1/ws?a=\u00e4"),
        written("/api/v1/ws", [("Authorization", "x")]),
        written("/api/v1/ws", [("Host", "a"), ("Host", "a")]),
        written("/api/v1/ws", [("Host", "a"), ("Authorization", "b"), ("authorization", "c")]),
        written("/api/v1/ws", [("Host", "a"), ("Last-Event-ID", "1"), ("Last-Event-ID", "2")]),
        written("/api/v1/ws", [("Host", "a"), ("Content-Length", "0")]),
        written("/api/v1/ws", [("Host", "a"), ("transfer-encoding", "chunked")]),
        written("/api/v1/ws", [("Host", "a"), ("Expect", "100-continue")]),
        written("/api/v1/ws", [("Host", "a"), ("Bad Name", "b")]),
        written("/api/v1/ws", [("Host", "a"), ("", "b")]),
        written("/api/v1/ws", [("Host", "a"), ("Folded", "b\r\n c")]),
        written("/api/v1/ws", [("Host", "a"), ("X-Name", "J\u00f6rg")]),
        written("/api/v1/ws", [("Host", "a"), ("X-Nul", "\x00")]),
        written("/api/v1/ws", [("Host", "a"), ("Cookie", 'a="b c"')]),
        written("/api/v1/ws", [("Host", "a"), ("Cookie", "a=b; a=c")]),
        written("/api/v1/ws", [("Host", "a"), ("X-Long", "x" * LONGEST)]),
    ],
)
def test_what_is_unusual_is_left_to_the_server(data: bytes) -> None:
    assert read_head(data, "192.0.2.7") is None
