"""Socket.IO over real sockets: on any transport once and in order, bounded, and ended well."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple, cast

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from openmeet_bridge.api import middleware
from openmeet_bridge.api.admission import Admission
from openmeet_bridge.api.asking import Visit
from openmeet_bridge.api.cors import Cors
from openmeet_bridge.api.open_streams import OpenStreams
from openmeet_bridge.api.peers import Peers
from openmeet_bridge.api.quick_streams import QuickStreams
from openmeet_bridge.api.sessions import Session
from openmeet_bridge.api.stream_ends import StreamEnds
from openmeet_bridge.api.stream_limits import StreamLimits
from openmeet_bridge.api.web_app import errors
from openmeet_bridge.api.web_app.socketio_client import Client
from openmeet_bridge.api.web_app.socketio_events import Events
from openmeet_bridge.api.web_app.socketio_handshake import Handshake, Hello, Refused
from openmeet_bridge.api.web_app.socketio_limits import SocketLimits
from openmeet_bridge.api.web_app.socketio_server import SocketIo
from openmeet_bridge.app.door import Door
from openmeet_bridge.bridge.log_view import Standing
from openmeet_bridge.bridge.streams import Streams
from openmeet_bridge.core.directory import User
from openmeet_bridge.core.errors import Unavailable
from openmeet_bridge.core.ids import Mxid, Position, RoomId, TenantId, UserSlug
from openmeet_bridge.openmeet.tenants import KeySettings, Tenant
from openmeet_bridge.stream import frames
from openmeet_bridge.stream.bus import LocalBus
from openmeet_bridge.stream.feed import Feed
from openmeet_bridge.stream.hub import Hub
from openmeet_bridge.stream.reasons import CloseReason
from openmeet_bridge.stream.sockets import Sockets
from openmeet_bridge.telemetry import STREAMS_CLOSED

from ..stream.memory_log import MemoryLog
from ..support.tab import Json, Tab, tab_at

EPOCH = "0badcafe"
LAKE = TenantId("lake")
ROOM = RoomId("!room")
NOW = 1_750_000_000.0
BUFFER = 1 << 16
TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]]


def at(position: int, epoch: str = EPOCH) -> str:
    return str(frames.cursor_at(epoch, position))


class House:
    """The server of one room, in which Ann and Ben are."""

    def __init__(self) -> None:
        self.log = MemoryLog({ROOM: LAKE}, Position(5))
        for slug in ("ann", "ben"):
            self.log.append(ROOM, Mxid(f"@{slug}:test"), joined=True)
        self.hub = Hub(EPOCH, self.log.head, buffer_bytes=BUFFER)
        self.feed = Feed(self.log.after, self.hub, LocalBus())
        self.lifetime = 900.0
        self.away = False
        self.url = ""
        self.cors = Cors([], errors.is_web_app)
        self.runner: web.AppRunner
        self.closings: list[str] = []
        limits = StreamLimits(streams=6, per_user=2)
        self.streams = streams = OpenStreams(
            Streams(self, self.hub, replay_entries=10),
            self.hub,
            Sockets(),
            Admission(self.hub, limits, Peers()),
            StreamEnds(self.hub, limits, now=lambda: NOW),
        )
        self.server = SocketIo(
            cast(Handshake, self),
            streams,
            cast(Events, self),
            ["websocket", "polling"],
            SocketLimits(message_bytes=10_000, buffer_bytes=BUFFER, stranger_seconds=0.2),
            most_strangers=3,
        )

    async def session(self, hello: Hello) -> Session:
        """Stands for the handshake: whoever has a token is called so."""
        if self.away:
            raise Unavailable("The database is away.")
        if not hello.token:
            raise Refused("Authentication error - no token provided")
        tenant = Tenant(LAKE, "Lake", KeySettings("HS256", secret=b"x" * 32))
        user = User(LAKE, UserSlug(hello.token), 1, hello.token.title(), None)
        expires = int((NOW + self.lifetime) * 1000)
        return Session(tenant, user, Mxid(f"@{hello.token}:test"), expires)

    async def answer(self, client: Client, name: object, payload: object) -> Json:
        """Stands for the events."""
        return {"name": name, "payload": payload, "by": client.slug}

    async def standing(self, tenant: TenantId, who: Mxid) -> Standing:
        return await self.log.standing(tenant, who)

    async def missed(self, *place: Any) -> Any:
        return await self.log.missed(*place)

    async def says(self, count: int = 1) -> None:
        """Somebody says something, and it is delivered."""
        for _ in range(count):
            self.log.append(ROOM)
        while await self.feed.step():
            pass

    async def empty(self) -> None:
        """Wait until no client is there."""
        async with asyncio.timeout(60):
            while self.server.eio.sockets or self.hub.count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    app = web.Application()
    middleware.install(app, cors=house.cors, render=errors.render)
    app.add_routes(house.server.routes())
    app.on_shutdown.append(house.server.stop)
    async with TestServer(app, handler_cancellation=True) as server:
        house.url = str(server.make_url("")).rstrip("/")
        assert isinstance(server.runner, web.AppRunner)
        house.runner = server.runner
        yield house
        house.hub.close_all(CloseReason.SHUTDOWN)
        await house.empty()
    assert not house.server.eio._tasks


def tab(
    house: House, transports: list[str], name: str = "ann", **auth: str
) -> contextlib.AbstractAsyncContextManager[Tab]:
    return tab_at(house.url, {"token": f"Bearer {name}", **auth}, transports)


@contextlib.contextmanager
def counted(reason: CloseReason) -> Iterator[None]:
    """Somebody is ended for a reason, once."""
    count = STREAMS_CLOSED.labels(reason.value)._value
    before = count.get()
    yield
    assert count.get() == before + 1


@pytest.mark.parametrize("transports", TRANSPORTS, ids=["websocket", "polling", "upgrade"])
async def test_everything_once_and_in_order(house: House, transports: list[str]) -> None:
    async with tab(house, transports) as ann, tab(house, transports) as other:
        # On all the ways of a change of transport something is being said.
        speaking = asyncio.create_task(_speak(house, 100))
        async with tab(house, transports, "ben") as ben:
            await speaking
            await house.says()
            for one in (ann, other, ben):
                await one.message(f"${house.log.head}")
        said = [f"${n}" for n in range(8, house.log.head + 1)]
        for one in (ann, other):
            assert one.types()[0] == "connection_confirmed"
            missing = set(said) - set(one.ids())
            assert missing <= set(said[: said.index(one.ids()[0])])
        for one in (ann, other, ben):
            assert one.ids() == one.ids("matrix-message") == said[-len(one.ids()) :]
        wanted = transports[-1]
        assert [one.client.transport() for one in (ann, other)] == [wanted] * 2
        called = await ann.call("anything", {"a": "ü"})
        assert called == {"name": "anything", "payload": {"a": "ü"}, "by": "ann"}
        # Not even by the names of what happens by itself is anything done.
        called = await ann.call("disconnect", "x")
        assert called["name"] == "disconnect"
        assert not ann.ended.is_set()


async def _speak(house: House, times: int) -> None:
    for _ in range(times):
        await house.says()
        await asyncio.sleep(0)


async def test_a_client_goes_on_from_its_cursor(house: House) -> None:
    await house.says(4)
    async with tab(house, ["websocket"], cursor=at(9)) as ann:
        await ann.message("$11")
        assert ann.ids() == ["$10", "$11"]
        assert ann.got[-2][1]["_cursor"] == at(11)
        assert ann.got[0][1]["_cursor"] == at(9)
    async with tab(house, ["polling"], since="nonsense") as ann:
        await house.says()
        await ann.message("$12")
        assert ann.types() == ["connection_confirmed", "reset", "m.room.message"]
        reset = ann.got[1][1]
        assert (reset["cursor"], reset["reason"]) == (at(11), "malformed_cursor")


async def test_the_limits_and_ends_of_streams(house: House) -> None:
    async with tab(house, ["websocket"]) as first, tab(house, ["polling"]) as second:
        with counted(CloseReason.TOO_MANY_STREAMS):
            async with tab(house, ["websocket"]) as third:
                await first.ended.wait()
                assert not third.ended.is_set()
        assert not second.ended.is_set()
        house.hub.close_user(Mxid("@ann:test"), CloseReason.REMOVED)
        await second.ended.wait()
    house.lifetime = 0.05
    with counted(CloseReason.TOKEN_EXPIRED):
        async with tab(house, ["polling", "websocket"]) as ann:
            await ann.ended.wait()
    await house.empty()


async def test_who_cannot_be_known_at_the_moment_is_dropped_and_not_refused(house: House) -> None:
    house.away = True
    async with raw(house) as client:
        await client.send("40/matrix," + json.dumps({"token": "ann"}))
        assert await client.end() == 1001
        assert client.got == []
    house.away, house.hub.closing = False, True
    async with raw(house) as client:
        await client.send("40/matrix," + json.dumps({"token": "ann"}))
        assert await client.end() == 1001


# What no browser does


class Raw:
    """A WebSocket without a library behind it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.got: list[str] = []

    async def send(self, text: str) -> None:
        await self.socket.send_str(text)

    async def read(self) -> str:
        message = await self.socket.receive(60)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        return str(message.data)

    async def end(self) -> int | None:
        """Wait until the server drops it."""
        async for message in self.socket:
            self.got.append(message.data)
        return self.socket.close_code


@contextlib.asynccontextmanager
async def raw(house: House, path: str = "/socket.io/") -> AsyncIterator[Raw]:
    url = f"{house.url}{path}?EIO=4&transport=websocket"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        client = Raw(socket)
        opening = json.loads((await client.read()).removeprefix("0"))
        assert (opening["maxPayload"], opening["upgrades"]) == (10_000, [])
        yield client


@pytest.mark.parametrize(
    ("path", "namespace"),
    [
        ("/socket.io", "/matrix,"),
        ("/socket.io/matrix", "/matrix,"),
        ("/socket.io/matrix/", ""),
    ],
)
async def test_the_paths_and_the_namespaces(house: House, path: str, namespace: str) -> None:
    async with raw(house, path) as client:
        for unknown in ("/", "/admin") if path == "/socket.io" else ("/admin", "/Matrix"):
            place = "" if unknown == "/" else f"{unknown},"
            await client.send(f"40{place}")
            assert await client.read() == f'44{place}{{"message":"Invalid namespace"}}'
        await client.send(f"40{namespace}")
        refusal = '{"message":"Authentication error - no token provided"}'
        assert await client.read() == f"44{namespace}{refusal}"
        await client.send(f'40{namespace}{{"token":"ann"}}')
        assert (await client.read()).startswith(f'40{namespace}{{"sid":')
        assert (await client.read()).startswith(f'42{namespace}["matrix-event",{{"type":"conn')
        await client.send(f'42{namespace}7["hi"]')
        answer = '{"name":"hi","payload":null,"by":"ann"}'
        assert await client.read() == f"43{namespace}7[{answer}]"
        await client.send(f"41{namespace}")  # leaves, and becomes a stranger again
        assert await client.end() == 1001


async def test_who_is_in_two_namespaces_may_leave_one(house: House) -> None:
    async with raw(house, "/socket.io/matrix") as client:
        for place in ("", "/matrix,"):
            await client.send(f'40{place}{{"token":"ann"}}')
            assert (await client.read()).startswith(f"40{place}")
            assert "connection_confirmed" in await client.read()
        await house.says()
        # Each namespace in its order, and which is first nobody says.
        found = [(await client.read()).partition('",')[0] for _ in range(4)]
        own, other = ([one for one in found if one.startswith(place)] for place in ("42[", "42/"))
        assert own == ['42["matrix-event', '42["matrix-message']
        assert other == ['42/matrix,["matrix-event', '42/matrix,["matrix-message']
        await client.send("41")
        await client.send('42/matrix,1["hi"]')
        assert (await client.read()).startswith("43/matrix,1[")
        assert house.hub.count == 1
        assert not house.server.eio._strangers
        await house.says()
        assert (await client.read()).startswith("42/matrix,")


async def test_nothing_of_a_client_is_left_with_the_libraries(house: House) -> None:
    # What is relied on of python-socketio besides what its pages say: if it should note more of a
    # client one day, or ask for it elsewhere, this fails.
    server = house.server
    async with raw(house, "/socket.io/matrix") as client:
        for place in ("", "/matrix,"):
            await client.send(f'40{place}{{"token":"ann"}}')
            assert (await client.read()).startswith(f"40{place}")
            assert "connection_confirmed" in await client.read()
            await client.send(f'40{place}{{"token":"ann"}}')
            assert await client.read() == f'44{place}"Unable to connect"'
        (socket,) = server.eio.sockets.values()
        assert server.environ is server.eio.sockets
        manager = server.manager
        kept = manager.rooms, manager.eio_to_sid, manager.callbacks
        assert kept == ({}, {}, {})
        assert manager.pending_connect == manager.pending_disconnect == {}
        assert server._binary_packet == {}
        assert not server._coming
        assert not server._greeted
        assert not server.eio._tasks
        assert not server.eio._strangers
        assert socket._polling is None
        assert socket._line is not None
        assert (socket._line._inbox, socket._line._turn) == (None, None)
    await house.empty()
    assert server._clients == {"/matrix": {}, "/": {}}
    assert not server.environ


class Spoken(NamedTuple):
    """What a client was answered, and the beginning of what came after it."""

    status: str
    fields: dict[str, str]
    text: str


async def speak(port: int, target: str, headers: dict[str, str]) -> Spoken:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    fields = {"Host": "chat.example", "X-Request-Id": "1", "Origin": "https://a.example"} | headers
    lines = [f"{name}: {value}" for name, value in fields.items()]
    writer.write("\r\n".join([f"GET {target} HTTP/1.1", *lines, "\r\n"]).encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status, *rest = head.split("\r\n")[:-2]
    found = dict(line.split(": ", 1) for line in rest)
    text = ""
    if status.endswith("101 Switching Protocols"):
        size = await reader.readexactly(2)
        text = (await reader.readexactly(size[1])).decode()
    writer.close()
    found.pop("Date", None)
    return Spoken(status, found, text)


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
NEW = "EIO=4&transport=websocket"
ASKED = {
    "usual": (f"/socket.io/?{NEW}", UPGRADE, True),
    "other path": (f"/socket.io/matrix?{NEW}&t=x", UPGRADE, True),
    "capitals": (f"/socket.io?{NEW}", UPGRADE | {"Upgrade": "WebSocket"}, True),
    "known": (f"/socket.io/?{NEW}&sid=x", UPGRADE, False),
    "jsonp": (f"/socket.io/?{NEW}&j=0", UPGRADE, False),
    "older": ("/socket.io/?EIO=3&transport=websocket", UPGRADE, False),
    "no upgrade": (f"/socket.io/?{NEW}", {}, False),
    "other version": (f"/socket.io/?{NEW}", UPGRADE | {"Sec-WebSocket-Version": "8"}, False),
    "bad key": (f"/socket.io/?{NEW}", UPGRADE | {"Sec-WebSocket-Key": "x"}, False),
    "no transport": ("/socket.io/?EIO=4&transport=smoke", UPGRADE, False),
    "elsewhere": (f"/socket.io/admin?{NEW}", UPGRADE, False),
}


@pytest.mark.parametrize(("target", "headers", "quick"), ASKED.values(), ids=ASKED)
async def test_at_the_door_everything_is_as_at_the_http_server(
    house: House,
    monkeypatch: pytest.MonkeyPatch,
    target: str,
    headers: dict[str, str],
    quick: bool,
) -> None:
    opened: list[Visit] = []
    engine = house.server.eio
    usual = engine.open

    async def noted(visit: Visit) -> None:
        opened.append(visit)
        await usual(visit)

    monkeypatch.setattr(engine, "open", noted)
    openers = house.server.at_the_door()
    door = Door(
        QuickStreams(house.streams, cast(Any, None), house.cors, openers),
        cast(Any, house.runner.server),
    )
    _, port = door.open("127.0.0.1", 0, backlog=4, reuse_port=False)
    ports = port, house.runner.addresses[0][1]
    here, there = [await speak(one, target, headers) for one in ports]
    assert (here.status, here.fields) == (there.status, there.fields)
    assert re.sub('"sid":"[^"]+"', "", here.text) == re.sub('"sid":"[^"]+"', "", there.text)
    assert len(opened) == quick == here.text.startswith('0{"sid":"')
    await house.empty()
    house.server.eio.closing = True
    here, there = [await speak(one, target, headers) for one in ports]
    assert len(opened) == quick
    assert (here.status, here.fields) == (there.status, there.fields)
    await door.admit_no_more()
    await door.close()


BROKEN = [
    "9", "4", "47", "42", "42/matrix", "42/matrix,{}", "42/matrix,[]", '42/matrix,["x"',
    "43/matrix,1[]", '451-/matrix,["x",{"_placeholder":true,"num":0}]', "40/matrix,{",
    "42/matrix," + "[" * 9000, '42/other,["x"]', "x" * 10_001,
]  # fmt: skip


@pytest.mark.parametrize("text", BROKEN, ids=[one[:20] for one in BROKEN])
async def test_who_breaks_the_protocol_is_dropped(house: House, text: str) -> None:
    async with raw(house) as client:
        await client.send('40/matrix,{"token":"ann"}')
        await client.read()
        await client.send(text)
        assert await client.end() in (1001, 1009)
    await house.empty()


async def test_binary_and_endless_attempts_are_refused(house: House) -> None:
    async with raw(house) as client:
        await client.socket.send_bytes(b"\x04")
        assert await client.end() == 1001
    async with raw(house) as client:
        for _ in range(11):
            await client.send("40/matrix,")
        assert await client.end() == 1001
        assert len(client.got) == 10


async def test_strangers_are_few_and_do_not_stay(house: House) -> None:
    url = f"{house.url}/socket.io/"
    polling = {"EIO": "4", "transport": "polling"}
    async with aiohttp.ClientSession() as session, raw(house) as first, raw(house):
        async with session.get(url, params=polling) as answer:
            sid = json.loads((await answer.text()).removeprefix("0"))["sid"]
        async with session.get(url, params=polling) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        async with session.get(url, params=polling | {"sid": sid}) as answer:
            assert await answer.text() == "1"
        async with session.get(url, params=polling | {"sid": sid}) as answer:
            assert answer.status == 400
        assert await first.end() == 1001
    await house.empty()


async def test_what_is_polled_is_bounded(house: House) -> None:
    url, polling = f"{house.url}/socket.io/", {"EIO": "4", "transport": "polling"}
    async with aiohttp.ClientSession(headers={"Origin": "https://app.example"}) as session:

        async def opened() -> dict[str, str]:
            async with session.get(url, params=polling) as answer:
                assert answer.headers["Access-Control-Allow-Origin"] == "*"
                assert "Set-Cookie" not in answer.headers
                return polling | {"sid": json.loads((await answer.text())[1:])["sid"]}

        async def posts(params: dict[str, str], body: str | bytes) -> int:
            async with session.post(url, params=params, data=body) as answer:
                return answer.status

        for refused in ("40/matrix,\x1e" * 17, b"\xff", "x" * 10_001, "", "b4AA="):
            assert await posts(await opened(), refused) == 400
        assert await posts(polling | {"sid": "unknown"}, "3") == 400
        reader = await opened()
        assert await posts(reader, '40/matrix,{"token":"ann"}') == 200
        with counted(CloseReason.SLOW_READER):
            while house.hub.count < 1:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            while house.hub.count:
                await house.says(50)
                await asyncio.sleep(0)
        async with session.get(url, params=reader) as answer:
            assert answer.status == 400
        for extra in ({"j": "0"}, {"transport": "smoke"}, {"EIO": "3"}):
            async with session.get(url, params=polling | extra) as answer:
                assert answer.status == 400
        headers = {"Access-Control-Request-Method": "POST"}
        async with session.options(url, headers=headers) as answer:
            assert answer.status == 204
            assert "x-tenant-id" in answer.headers["Access-Control-Allow-Headers"]
        async with session.put(url) as answer:
            assert (await answer.json())["statusCode"] == 404
    await house.empty()


async def test_a_slow_reader_on_websocket_is_cut_off(house: House) -> None:
    async with raw(house) as client:
        await client.send('40/matrix,{"token":"ann"}')
        with counted(CloseReason.SLOW_READER):
            while house.hub.count < 1:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            while house.hub.count:
                await house.says(100)
                await asyncio.sleep(0)
    await house.empty()


async def test_when_the_bridge_ends_everybody_is_dropped_and_comes_back(house: House) -> None:
    async with tab(house, ["polling"]) as polling, raw(house) as socket, raw(house) as stranger:
        await socket.send('40/matrix,{"token":"ann"}')
        await socket.read()
        await socket.read()
        house.hub.close_all(CloseReason.SHUTDOWN)
        await house.server.stop()
        assert [await one.end() for one in (socket, stranger)] == [1012, 1012]
        await polling.ended.wait()
        async with aiohttp.ClientSession() as session:
            url = f"{house.url}/socket.io/?EIO=4&transport=polling"
            async with session.get(url) as answer:
                assert answer.status == 503
