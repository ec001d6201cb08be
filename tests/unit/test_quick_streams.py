"""Streams that are let in without the HTTP server: every answer is the one that it would give."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from multidict import CIMultiDict
from structlog.testing import capture_logs

from openmeet_bridge.api import middleware
from openmeet_bridge.api import streams as streams_api
from openmeet_bridge.api.admission import Admission
from openmeet_bridge.api.asking import Asking
from openmeet_bridge.api.cors import Cors
from openmeet_bridge.api.endpoint import register
from openmeet_bridge.api.open_streams import OpenStreams
from openmeet_bridge.api.peers import Peers
from openmeet_bridge.api.quick_streams import QuickStreams
from openmeet_bridge.api.sessions import Session
from openmeet_bridge.api.stream_ends import StreamEnds
from openmeet_bridge.api.stream_limits import StreamLimits
from openmeet_bridge.app.door import Door
from openmeet_bridge.bridge.log_view import Standing
from openmeet_bridge.bridge.streams import Streams
from openmeet_bridge.core.directory import User
from openmeet_bridge.core.errors import MissingToken, Unavailable
from openmeet_bridge.core.ids import Mxid, Position, TenantId, UserSlug
from openmeet_bridge.openmeet.tenants import KeySettings, Tenant
from openmeet_bridge.stream.arrivals import listening_path
from openmeet_bridge.stream.hub import Hub
from openmeet_bridge.stream.reasons import CloseReason
from openmeet_bridge.stream.sockets import Sockets

NOW = 1_750_000_000.0
PAGE = "https://app.example"
LAKE = Tenant(TenantId("lake"), "Lake", KeySettings("HS256", secret=b"x" * 32))
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
SSE, WS = "/api/v1/stream", "/api/v1/ws"
ANN = {"X-User": "ann"}
ITS_OWN = ("date", "server", "x-request-id", "retry-after")


class Empty:
    """A log of which nobody has any part."""

    async def standing(self, tenant: TenantId, mxid: Mxid) -> Standing:
        return Standing(Position(5), frozenset())

    async def missed(self, *place: Any) -> Any:
        raise AssertionError("nobody has missed anything")


class House:
    """The same streams behind an HTTP server, and behind a door."""

    def __init__(self) -> None:
        self.hub = Hub("0badcafe", Position(5))
        self.sockets = Sockets()
        limits = StreamLimits(streams=3, per_user=2)
        self.streams = OpenStreams(
            Streams(Empty(), self.hub),
            self.hub,
            self.sockets,
            Admission(self.hub, limits, Peers()),
            StreamEnds(self.hub, limits, now=lambda: NOW),
        )
        self.waits = asyncio.Event()
        self.asked = asyncio.Event()
        self.ports: dict[str, int] = {}
        self.writers: list[asyncio.StreamWriter] = []
        cors = Cors([PAGE])
        authenticate = self.streams.guarded(self.caller)
        self.quick = QuickStreams(self.streams, authenticate, cors)
        app = web.Application()
        middleware.install(app, cors=cors)
        surface = streams_api.StreamsApi(self.streams)
        register(app, streams_api.ENDPOINTS, {"stream": authenticate}, surface=surface)
        self.runner = web.AppRunner(app)
        self.door: Door

    async def open(self) -> None:
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        assert self.runner.server is not None
        self.door = Door(self.quick, self.runner.server)
        _, port = self.door.open("127.0.0.1", 0, backlog=512, reuse_port=False)
        self.ports = {"server": self.runner.addresses[0][1], "door": port}

    async def close(self) -> None:
        self.waits.set()
        for writer in self.writers:
            writer.close()
        await asyncio.gather(*(one.wait_closed() for one in self.writers), return_exceptions=True)
        self.hub.close_all(CloseReason.SHUTDOWN)
        await self.door.admit_no_more()
        await self.door.close()
        await self.runner.cleanup()
        await self.sockets.settle(60)

    async def caller(self, request: Asking) -> Session:
        slug = request.headers.get("X-User")
        if slug is None:
            raise MissingToken("Who are you?")
        if slug == "away":
            raise Unavailable("The database is away.")
        if slug == "broken":
            raise ZeroDivisionError
        if slug == "slow":
            self.asked.set()
            await self.waits.wait()
        user = User(LAKE.id, UserSlug(slug), 1, slug.title(), None)
        return Session(LAKE, user, Mxid(f"@{slug}:test"), int((NOW + 900) * 1000))

    async def ask(self, way: str, target: str, headers: dict[str, str]) -> Answer:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[way])
        fields = {"Host": "chat.example"} | headers
        lines = [f"{name}: {value}" for name, value in fields.items()]
        self.writers.append(writer)
        writer.write("\r\n".join([f"GET {target} HTTP/1.1", *lines, "\r\n"]).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        status, *rest = head.splitlines()[:-1]
        pairs = [line.partition(": ") for line in rest]
        found = CIMultiDict([(name, value) for name, _, value in pairs])
        length = found.get("Content-Length")
        body = await (reader.read(14) if length is None else reader.readexactly(int(length)))
        return Answer(reader, status, found, body)


class Answer:
    """What was answered."""

    def __init__(
        self, reader: asyncio.StreamReader, status: str, fields: CIMultiDict[str], body: bytes
    ) -> None:
        self.reader = reader
        self.status = status
        self.fields = fields
        self.body = body

    @property
    def essence(self) -> tuple[str, list[tuple[str, str]], bytes]:
        kept = [(k.lower(), v) for k, v in self.fields.items() if k.lower() not in ITS_OWN]
        if self.status.startswith("HTTP/1.1 503"):
            # The server keeps the connection on which it has refused something.
            kept = [one for one in kept if one != ("connection", "close")]
        return self.status, sorted(kept), self.body


@pytest.fixture
async def house() -> AsyncIterator[House]:
    one = House()
    await one.open()
    yield one
    await one.close()


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        (SSE, ANN, 200),
        (SSE, ANN | {"Origin": PAGE, "X-Request-Id": "my-own"}, 200),
        (SSE, ANN | {"Origin": "https://evil.example"}, 200),
        (f"{SSE}?data=low", ANN | {"Accept-Encoding": "gzip"}, 200),
        (WS, ANN | UPGRADE, 101),
        (f"{WS}?data=low", ANN | UPGRADE | {"Sec-WebSocket-Extensions": "permessage-deflate"}, 101),
        (SSE, {}, 401),
        (SSE, {"X-User": "away", "Origin": PAGE}, 503),
        (f"{SSE}?data=medium", ANN, 400),
        (f"{SSE}?cursor=a&cursor=b", ANN, 400),
        (f"{WS}?rooms=nonsense", ANN | UPGRADE, 400),
        (WS, ANN, 426),
        (WS, ANN | UPGRADE | {"Sec-WebSocket-Key": "short"}, 400),
    ],
)
async def test_both_ways_answer_the_same(
    house: House, target: str, headers: dict[str, str], status: int
) -> None:
    with capture_logs() as logs:
        answers = [await house.ask(way, target, headers) for way in ("server", "door")]
    server, door = answers
    assert server.essence == door.essence
    assert all(parsedate_to_datetime(one.fields["Date"]) for one in answers)
    assert server.status.startswith(f"HTTP/1.1 {status} ")
    assert {one.fields.get("X-Request-Id", "") == "my-own" for one in answers} == {
        "X-Request-Id" in headers
    }
    lines = [{**line, "ms": 0} for line in logs if line["event"] == "request"]
    assert lines == [lines[0]] * len(answers)


async def test_the_door_does_without_the_server(house: House) -> None:
    await house.ask("door", SSE, ANN)
    await house.ask("door", SSE, {})
    assert house.runner.server is not None
    assert house.runner.server.requests_count == 0
    assert (await house.ask("door", "/api/v1/other", ANN)).status == "HTTP/1.1 404 Not Found"
    assert house.runner.server.requests_count == 1


async def test_a_mistake_of_ours_is_an_answer_with_a_reference(house: House) -> None:
    answer = await house.ask("door", SSE, {"X-User": "broken", "X-Request-Id": "abc"})
    assert answer.status == "HTTP/1.1 500 Internal Server Error"
    assert b"Reference: abc." in answer.body


async def test_after_a_refusal_the_client_may_ask_for_something_else(house: House) -> None:
    refused = await house.ask("door", SSE, {})
    reader, writer = refused.reader, house.writers[-1]
    writer.write(b"GET /nowhere HTTP/1.1\r\nHost: chat.example\r\n\r\n")
    assert (await reader.readline()) == b"HTTP/1.1 404 Not Found\r\n"


async def test_who_says_that_nothing_follows_is_closed_after_a_refusal(house: House) -> None:
    refused = await house.ask("door", WS, ANN | {"Connection": "close"})
    assert refused.status == "HTTP/1.1 426 Upgrade Required"
    assert refused.fields["Connection"] == "Upgrade, close"
    assert await refused.reader.read() == b""


async def test_who_has_gone_leaves_nothing(house: House) -> None:
    waiting = asyncio.create_task(house.ask("door", SSE, {"X-User": "slow"}))
    await house.asked.wait()
    house.writers[-1].transport.abort()
    house.waits.set()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await waiting
    await house.quick.settle(60)
    assert house.hub.count == 0


async def test_who_is_sent_away_is_told_when_to_come_back(house: House) -> None:
    for user in ("ann", "ben", "cleo"):
        assert (await house.ask("door", SSE, {"X-User": user})).status == "HTTP/1.1 200 OK"
    answer = await house.ask("door", SSE, {"X-User": "dora"})
    assert answer.status == "HTTP/1.1 503 Service Unavailable"
    assert int(answer.fields["Retry-After"]) > 0
    assert house.hub.count == 3


async def test_as_many_may_stand_in_the_door_as_could_have_a_stream(house: House) -> None:
    assert house.quick.room == 3
    await house.ask("door", SSE, ANN)
    assert house.quick.room == 2
    crowd = [await asyncio.open_connection("127.0.0.1", house.ports["door"]) for _ in range(280)]
    house.writers.extend(writer for _, writer in crowd)
    # The oldest have gone: 256 may be there for something else, and two could have a stream.
    for reader, _ in crowd[:22]:
        assert await reader.read() == b""
    _, writer = crowd[22]
    writer.write(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await crowd[22][0].readline()).startswith(b"HTTP/1.1 404")


async def test_only_so_many_are_let_in_at_once(house: House) -> None:
    house.quick._most = 1
    waiting = asyncio.create_task(house.ask("door", SSE, {"X-User": "slow"}))
    await house.asked.wait()
    answer = await house.ask("door", SSE, ANN)
    assert answer.status == "HTTP/1.1 503 Service Unavailable"
    assert b"at the same time" in answer.body
    house.waits.set()
    assert (await waiting).status == "HTTP/1.1 200 OK"


async def test_a_door_that_closes_lets_in_who_was_asked_already(house: House) -> None:
    waiting = asyncio.create_task(house.ask("door", SSE, {"X-User": "slow"}))
    await house.asked.wait()
    closing = asyncio.create_task(house.door.admit_no_more())
    await asyncio.sleep(0)
    assert len(house.quick) == 1
    house.waits.set()
    assert (await waiting).status == "HTTP/1.1 200 OK"
    await closing
    assert len(house.quick) == 0


async def test_who_is_not_in_when_all_ends_is_cut(house: House) -> None:
    waiting = asyncio.create_task(house.ask("door", SSE, {"X-User": "slow"}))
    await house.asked.wait()
    await house.quick.stop()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await waiting
    assert len(house.sockets) == 0


async def test_a_proxy_of_this_machine_comes_by_a_path(house: House, tmp_path: Path) -> None:
    path = tmp_path / "public.sock"
    house.door.open_at(str(path), backlog=16, replaces=False)
    for target, status in ((SSE, b"200 OK"), ("/elsewhere", b"404 Not Found")):
        reader, writer = await asyncio.open_unix_connection(str(path))
        house.writers.append(writer)
        writer.write(f"GET {target} HTTP/1.1\r\nHost: a\r\nX-User: ann\r\n\r\n".encode())
        assert await reader.readline() == b"HTTP/1.1 %b\r\n" % status
    await house.door.admit_no_more()
    assert not path.exists()


async def test_a_path_that_another_one_has_taken_over_is_left(house: House, tmp_path: Path) -> None:
    path = tmp_path / "public.sock"
    house.door.open_at(str(path), backlog=16, replaces=False)
    with listening_path(str(path), backlog=16, replaces=True):
        await house.door.admit_no_more()
        assert path.exists()
