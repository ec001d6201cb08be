"""Streams over real sockets: SSE and WebSocket, resumed, refused, ended with a reason."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from openmeet_bridge.api import middleware, open_streams, ws_stream
from openmeet_bridge.api import streams as streams_api
from openmeet_bridge.api.admission import Admission
from openmeet_bridge.api.asking import Asking
from openmeet_bridge.api.cors import Cors
from openmeet_bridge.api.endpoint import register
from openmeet_bridge.api.open_streams import OpenStreams
from openmeet_bridge.api.peers import Peers
from openmeet_bridge.api.quick_streams import QuickStreams, Then
from openmeet_bridge.api.sessions import Session
from openmeet_bridge.api.stream_ends import StreamEnds
from openmeet_bridge.api.stream_limits import StreamLimits
from openmeet_bridge.api.ws_stream import MESSAGE_BYTES
from openmeet_bridge.app.door import Door
from openmeet_bridge.bridge.log_view import Standing
from openmeet_bridge.bridge.streams import Streams
from openmeet_bridge.core.directory import User
from openmeet_bridge.core.entry import Person
from openmeet_bridge.core.errors import MissingToken, Unavailable
from openmeet_bridge.core.ids import Mxid, Position, RoomId, TenantId, UserSlug
from openmeet_bridge.openmeet.tenants import KeySettings, Tenant
from openmeet_bridge.stream import frames
from openmeet_bridge.stream.bus import LocalBus
from openmeet_bridge.stream.feed import Feed
from openmeet_bridge.stream.hub import Hub
from openmeet_bridge.stream.reasons import CloseReason
from openmeet_bridge.stream.sockets import Sockets

from ..stream.memory_log import MemoryLog
from ..support import streams
from ..support.streams import Stream
from ..support.waiting import eventually

EPOCH = "0badcafe"
LAKE, SEA = TenantId("lake"), TenantId("sea")
ROOM, OTHERS_ROOM, FOREIGN = RoomId("!room"), RoomId("!others"), RoomId("!foreign")
NOW = 1_750_000_000.0
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
REPLAY = 10

Opener = Callable[..., contextlib.AbstractAsyncContextManager[Stream]]
both = pytest.mark.parametrize("opened", [streams.sse, streams.websocket], ids=["sse", "ws"])


def mxid(slug: str) -> Mxid:
    return Mxid(f"@{slug}:test")


def at(position: int, epoch: str = EPOCH) -> str:
    return str(frames.cursor_at(epoch, position))


class House:
    """The streams of two users, Ann and Ben, who share a room; Cleo is of another tenant."""

    def __init__(self, http_session: aiohttp.ClientSession) -> None:
        self.http = http_session
        self.log = MemoryLog({ROOM: LAKE, OTHERS_ROOM: LAKE, FOREIGN: SEA}, Position(5))
        for slug in ("ann", "ben"):
            self.log.append(ROOM, mxid(slug), joined=True)
        self.log.append(FOREIGN, mxid("ann"), joined=True)
        self.hub = Hub(EPOCH, self.log.head, buffer_bytes=1 << 16)
        self.feed = Feed(self.log.after, self.hub, LocalBus())
        self.lifetime = 900.0
        self.away = False
        self.url = ""
        self.sockets = Sockets()
        limits = StreamLimits(streams=4, per_user=2)
        opening = Streams(self, self.hub, replay_entries=REPLAY, chunk=3)
        self.streams = OpenStreams(
            opening,
            self.hub,
            self.sockets,
            Admission(self.hub, limits, Peers()),
            StreamEnds(self.hub, limits, now=lambda: NOW),
        )
        self.api = streams_api.StreamsApi(self.streams)

    async def standing(self, tenant: TenantId, who: Mxid) -> Standing:
        if self.away:
            raise Unavailable("The database is away.")
        return await self.log.standing(tenant, who)

    async def missed(self, *place: Any) -> Any:
        return await self.log.missed(*place)

    async def caller(self, request: Asking) -> Session:
        slug = request.headers.get("X-User")
        if slug is None:
            raise MissingToken("Who are you?")
        tenant = Tenant(LAKE, "Lake", KeySettings("HS256", secret=b"x" * 32))
        user = User(LAKE, UserSlug(slug), 1, slug.title(), None)
        return Session(tenant, user, mxid(slug), int((NOW + self.lifetime) * 1000))

    async def says(self, count: int = 1, room: RoomId = ROOM) -> None:
        """Somebody says something, and it is delivered."""
        for _ in range(count):
            self.log.append(room)
        while await self.feed.step():
            pass

    def ann(self, opened: Opener, cursor: str | None = None) -> Any:
        params = {} if cursor is None else {"cursor": cursor}
        return opened(self.http, self.url, headers={"X-User": "ann"}, params=params)

    def ben(self, opened: Opener) -> Any:
        return opened(self.http, self.url, headers={"X-User": "ben"})

    async def empty(self) -> None:
        """Wait until nobody is in the table any more."""

        async def nobody() -> bool:
            return self.hub.count == 0 and not self.hub.has_readers(ROOM)

        await eventually(nobody, "the streams are gone")


@web.middleware
async def narrow(request: web.Request, handler: Any) -> web.StreamResponse:
    """Make the kernel's send buffer small, so that a reader who does not read is soon seen."""
    if "X-Narrow" in request.headers and request.transport is not None:
        own = request.transport.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    answer: web.StreamResponse = await handler(request)
    return answer


class NarrowQuick(QuickStreams):
    """Does what the middleware does."""

    def take(self, own: socket.socket, address: str, said: bytes, then: Then) -> bool:
        if b"X-Narrow" in said:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return super().take(own, address, said, then)


@pytest.fixture(params=["server", "door"])
async def house(
    request: pytest.FixtureRequest, http_session: aiohttp.ClientSession
) -> AsyncIterator[House]:
    """Streams that are let in by the HTTP server, or without it."""
    made = House(http_session)
    app = web.Application(middlewares=[narrow])
    middleware.install(app)
    register(app, streams_api.ENDPOINTS, {"stream": made.caller}, surface=made.api)
    runner = web.AppRunner(app)
    await runner.setup()
    assert runner.server is not None
    if request.param == "server":
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
    else:
        door = Door(NarrowQuick(made.streams, made.caller, Cors()), runner.server)
        host, port = door.open("127.0.0.1", 0, backlog=16, reuse_port=False)
    made.url = f"http://{host}:{port}"
    yield made
    made.hub.close_all(CloseReason.SHUTDOWN)
    if request.param == "door":
        await door.admit_no_more()
        await door.close()
    await runner.cleanup()
    await made.sockets.settle(60)


def ids(stream: Stream) -> list[str]:
    return [entry["event_id"] for entry in stream.entries()]


async def entry(stream: Stream, event_id: str) -> None:
    await stream.wait("timeline", event_id=event_id)


# Opening and resuming


@both
async def test_hello_comes_first(house: House, opened: Opener) -> None:
    async with house.ann(opened) as stream:
        await stream.wait("hello")
        await house.says()
        await entry(stream, "$9")
    assert [frame.type for frame in stream.frames] == ["hello", "timeline"]
    ann = {"mxid": "@ann:test", "name": "Ann", "avatar_url": None, "slug": "ann"}
    hello = stream.frames[0]
    assert hello.cursor == at(8)
    assert hello.data == {"user": ann, "cursor": at(8), "heartbeat_ms": 20_000}
    assert stream.frames[1].cursor == at(9)


@both
async def test_a_stream_goes_on_from_a_cursor_without_gap_or_double(
    house: House, opened: Opener
) -> None:
    await house.says(7)
    async with house.ann(opened, at(10)) as stream:
        await entry(stream, "$15")
        await house.says()
        await entry(stream, "$16")
    assert stream.frames[0].data["cursor"] == at(10)
    assert ids(stream) == [f"${n}" for n in range(11, 17)]
    assert [frame.cursor for frame in stream.of("timeline")] == [at(n) for n in range(11, 17)]


async def test_last_event_id_is_a_cursor_and_newer_than_the_address(house: House) -> None:
    await house.says(4)
    headers = {"X-User": "ann", "Last-Event-ID": at(11)}
    async with streams.sse(
        house.http, house.url, headers=headers, params={"cursor": at(9)}
    ) as stream:
        await entry(stream, "$12")
    assert ids(stream) == ["$12"]


@both
@pytest.mark.parametrize(
    ("cursor", "reason"),
    [
        ("nonsense", "malformed_cursor"),
        ("", "malformed_cursor"),
        ("1-0badcafe-00000000000000000001", "malformed_cursor"),
        (at(10, "feedf00d"), "unknown_cursor"),
        (at(1000), "unknown_cursor"),
        (at(8), "too_far_behind"),
    ],
)
async def test_a_cursor_of_no_use_is_answered_with_a_new_one(
    house: House, opened: Opener, cursor: str, reason: str
) -> None:
    await house.says(REPLAY + 1)
    async with house.ann(opened, cursor) as stream:
        reset = await stream.wait("reset")
        await house.says()
        await entry(stream, "$20")
    assert [frame.type for frame in stream.frames] == ["hello", "reset", "timeline"]
    assert reset.data == {"reason": reason, "cursor": at(19)}
    assert reset.cursor == at(19)
    async with house.ann(opened, reset.data["cursor"]) as again:
        await entry(again, "$20")
    assert [frame.type for frame in again.frames] == ["hello", "timeline"]


@both
async def test_as_much_as_may_be_replayed_is_replayed(house: House, opened: Opener) -> None:
    await house.says(REPLAY)
    async with house.ann(opened, at(8)) as stream:
        await entry(stream, "$18")
    assert len(ids(stream)) == REPLAY


@both
async def test_rooms_of_others_stay_theirs(house: House, opened: Opener) -> None:
    async with house.ann(opened, at(5)) as stream:
        await stream.wait("hello")
        for room in (OTHERS_ROOM, FOREIGN):
            await house.says(room=room)
            house.hub.to_room(room, frames.typing(room, []))
        house.hub.to_user(mxid("ben"), frames.send_failed(ROOM, "1", "M_FORBIDDEN", "No."))
        await house.says()
        await entry(stream, "$11")
    assert {data["room_id"] for data in stream.entries()} == {ROOM}
    assert not stream.of("typing")
    assert not stream.of("send.failed")


@both
async def test_a_stream_that_cannot_be_opened_is_cut(house: House, opened: Opener) -> None:
    house.away = True
    async with house.ann(opened) as stream:
        with pytest.raises(AssertionError, match="ended"):
            await stream.wait("hello")
    await house.empty()


@both
async def test_strangers_get_no_stream(house: House, opened: Opener) -> None:
    async with opened(house.http, house.url) as stream:
        assert stream.status == 401
    assert house.hub.count == 0


async def test_a_cursor_given_twice_is_refused(house: House) -> None:
    url = f"{house.url}/api/v1/stream?cursor=a&cursor=b"
    async with house.http.get(url, headers={"X-User": "ann"}) as answer:
        assert answer.status == 400
        assert "query.cursor" in (await answer.json())["fields"]


# The end of a stream


@both
async def test_a_stream_ends_with_its_token(house: House, opened: Opener) -> None:
    house.lifetime = 0.05
    async with house.ann(opened) as stream:
        await stream.wait("bye", reason="token_expired", reconnect=True)
        await stream.until(lambda one: one.ended, "the end")
    assert stream.frames[-1].type == "bye"
    await house.empty()


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (CloseReason.TOKEN_EXPIRED, 4001),
        (CloseReason.REMOVED, 4003),
        (CloseReason.TOO_MANY_STREAMS, 4008),
        (CloseReason.LIFETIME, 4009),
        (CloseReason.IDLE, 4010),
        (CloseReason.SHUTDOWN, 1012),
    ],
)
async def test_a_socket_is_closed_with_a_code(house: House, reason: CloseReason, code: int) -> None:
    if reason is CloseReason.TOKEN_EXPIRED:
        house.lifetime = 0.05
    async with house.http.ws_connect(f"{house.url}/api/v1/ws", headers={"X-User": "ann"}) as ws:
        assert (await ws.receive_json())["type"] == "hello"
        if reason is not CloseReason.TOKEN_EXPIRED:
            house.hub.close_user(mxid("ann"), reason)
        bye = await ws.receive_json()
        assert bye == {"type": "bye", "data": {"reason": reason, "reconnect": reason.reconnect}}
        end = await ws.receive()
    assert (end.type, end.data, end.extra) == (WSMsgType.CLOSE, code, reason.value)


@both
async def test_one_stream_too_many_ends_the_oldest(house: House, opened: Opener) -> None:
    async with house.ann(opened) as first, house.ben(opened) as other:
        await first.wait("hello")
        await other.wait("hello")
        async with house.ann(opened) as second, house.ann(opened) as third:
            await first.wait("bye", reason="too_many_streams", reconnect=False)
            await third.wait("hello")
            await house.says()
            for stream in (second, third, other):
                await entry(stream, "$9")
        assert "$9" not in ids(first)


async def test_a_full_house_says_when_to_come_back(house: House) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for slug in ("a", "b", "c", "d"):
            stream = await stack.enter_async_context(
                streams.sse(house.http, house.url, headers={"X-User": slug})
            )
            await stream.wait("hello")
        for path in ("stream", "ws"):
            url = f"{house.url}/api/v1/{path}"
            async with house.http.get(url, headers={"X-User": "ann", **UPGRADE}) as answer:
                body = await answer.json()
            assert answer.status == 503
            assert body["errcode"] == "M_LIMIT_EXCEEDED"
            assert 2000 <= body["retry_after_ms"] <= 10_000
            assert int(answer.headers["Retry-After"]) * 1000 >= body["retry_after_ms"]


@both
async def test_the_house_closes(house: House, opened: Opener) -> None:
    async with house.ann(opened) as stream:
        await stream.wait("hello")
        house.hub.close_all(CloseReason.SHUTDOWN)
        await stream.wait("bye", reason="shutdown", reconnect=True)
        await stream.until(lambda one: one.ended, "the end")
    async with house.ann(opened) as late:
        assert late.status == 503
    await house.empty()


async def test_who_was_admitted_just_before_the_house_closed_is_told(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    admission = house.api._streams.admission
    monkeypatch.setattr(admission, "look", lambda *_: None)
    monkeypatch.setattr(admission, "admit", lambda *_: None)
    house.hub.close_all(CloseReason.SHUTDOWN)
    async with house.ann(streams.sse) as stream:
        await stream.wait("bye", reason="shutdown", reconnect=True)
        await stream.until(lambda one: one.ended, "the end")
    await house.empty()


@both
async def test_who_goes_leaves_nothing_behind(house: House, opened: Opener) -> None:
    async with house.ann(opened) as stream:
        await stream.wait("hello")
        assert (house.hub.count, house.hub.streams_of(mxid("ann"))) == (1, 1)
    await house.empty()
    assert house.hub.streams_of(mxid("ann")) == 0


async def test_who_goes_while_the_stream_opens_leaves_nothing_behind(house: House) -> None:
    house.hub.position = Position(house.hub.position - 1)  # the feed has still to catch up
    async with house.ann(streams.sse) as stream:
        await stream.wait("hello")
    await house.empty()
    await house.says()


@pytest.mark.parametrize("path", ["stream", "ws"])
async def test_who_does_not_read_is_cut_and_nobody_else(
    house: House, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    for module in (open_streams, ws_stream):
        monkeypatch.setattr(module, "LINGER", 0.05)
    reader, writer = await deaf(house, path)
    async with house.ben(streams.sse) as other:
        await other.wait("hello")
        loud = frames.typing(ROOM, [Person(mxid("ben"), "Ben", "B" * 32_768, None)])
        for _ in range(200):
            house.hub.to_room(ROOM, loud)
            await other.until(lambda one: len(one.of("typing")) > 0, "typing")
            if not house.hub.streams_of(mxid("ann")):
                break
            await asyncio.sleep(0)
        assert house.hub.streams_of(mxid("ann")) == 0
        await house.says()
        await entry(other, "$9")
    # It gets what was on its way, or a reset: never one byte more of what came later.
    with contextlib.suppress(ConnectionError):
        assert b"$9" not in await reader.read()
    writer.close()
    await house.empty()


@pytest.mark.parametrize("path", ["stream", "ws"])
async def test_a_stream_that_is_not_read_ends_all_the_same(
    house: House, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Its last bytes cannot be written: the connection must not wait for that for ever."""
    for module in (open_streams, ws_stream):
        monkeypatch.setattr(module, "LINGER", 0.05)
    _, writer = await deaf(house, path)
    house.hub._sweep._buffer_bytes = 1 << 24  # so that it is not for its slowness that it ends
    loud = frames.typing(ROOM, [Person(mxid("ben"), "Ben", "B" * 32_768, None)])
    for _ in range(100):
        house.hub.to_room(ROOM, loud)
    house.hub.close_user(mxid("ann"), CloseReason.REMOVED)

    async def hung_up() -> bool:
        return not len(house.sockets)

    await eventually(hung_up, "the connection has ended")
    writer.close()


async def deaf(house: House, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open Ann's stream on a socket that is read no further than its beginning."""
    own = socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    own.setblocking(False)
    host, port = house.url.removeprefix("http://").split(":")
    await asyncio.get_running_loop().sock_connect(own, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=own, limit=2048)
    upgrade = "".join(f"{name}: {value}\r\n" for name, value in UPGRADE.items())
    extra = upgrade if path == "ws" else ""
    beginning = f"GET /api/v1/{path} HTTP/1.1\r\nHost: x\r\nX-User: ann\r\nX-Narrow: 1\r\n"
    writer.write(f"{beginning}{extra}\r\n".encode())
    await reader.readuntil(b'"heartbeat_ms"')
    return reader, writer


# The wires


async def test_any_http_client_can_read_the_body(house: House) -> None:
    def read() -> tuple[dict[str, str], bytes]:
        client = http.client.HTTPConnection(house.url.removeprefix("http://"), timeout=60)
        client.request("GET", "/api/v1/stream", headers={"X-User": "ann"})
        answer = client.getresponse()
        body = answer.read()  # raises IncompleteRead unless the body ends as it should
        client.close()
        return {name.lower(): value for name, value in answer.getheaders()}, body

    reading = asyncio.create_task(asyncio.to_thread(read))

    async def open_and_live() -> bool:
        return house.hub.has_readers(ROOM)

    await eventually(open_and_live, "the stream is open")
    await house.says(2)
    house.hub.close_all(CloseReason.SHUTDOWN)
    headers, body = await reading
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-store"
    assert headers["x-accel-buffering"] == "no"
    assert "transfer-encoding" not in headers  # so that the same bytes do for HTTP/1.0
    assert headers["connection"] == "close"
    blocks = body.decode().removesuffix("\n\n").split("\n\n")
    assert blocks[0] == "retry: 2000"
    first_lines = [block.split("\n")[0] for block in blocks[1:]]
    assert first_lines == [f"event: {name}" for name in ("hello", "timeline", "timeline", "bye")]
    assert f"id: {at(10)}" in blocks[3].split("\n")


async def test_a_socket_answers_pings_and_what_it_does_not_understand(house: House) -> None:
    headers = {"X-User": "ann"}
    async with house.http.ws_connect(
        f"{house.url}/api/v1/ws", headers=headers, autoping=False, compress=15
    ) as ws:
        assert (await ws.receive_json())["type"] == "hello"
        assert not ws.compress  # it would be done once for every reader
        await ws.send_str("hello?")
        assert (await ws.receive_json())["data"]["errcode"] == "M_NOT_JSON"
        await ws.ping(b"alive")
        pong = await ws.receive()
        assert (pong.type, pong.data) == (WSMsgType.PONG, b"alive")
        await house.says()
        assert (await ws.receive_json())["data"]["event_id"] == "$9"
        await ws.close()
    await house.empty()


async def test_who_pings_and_reads_nothing_gets_no_more_answers(house: House) -> None:
    house.hub._sweep._buffer_bytes = 1 << 24
    _, writer = await deaf(house, "ws")
    (one,) = house.sockets._sockets.values()
    ping = b"\x89\xfd" + b"\0\0\0\0" + b"x" * 125
    for _ in range(400):
        writer.write(ping * 50)
        await writer.drain()
        await asyncio.sleep(0)
        assert one.buffered() <= 1 << 17

    async def full() -> bool:
        return one.buffered() >= 1 << 16

    await eventually(full, "its answers wait")
    writer.close()
    house.hub.close_user(mxid("ann"), CloseReason.REMOVED)


async def test_a_socket_takes_no_large_messages(house: House) -> None:
    async with house.http.ws_connect(f"{house.url}/api/v1/ws", headers={"X-User": "ann"}) as ws:
        assert (await ws.receive_json())["type"] == "hello"
        await ws.send_str("x" * (MESSAGE_BYTES + 1))
        end = await ws.receive()
        assert (end.type, end.data) == (WSMsgType.CLOSE, 1009)
    await house.empty()


@pytest.mark.parametrize("size", [1, 70_000])
async def test_frames_of_every_length_are_read(house: House, size: int) -> None:
    async with house.http.ws_connect(f"{house.url}/api/v1/ws", headers={"X-User": "ann"}) as ws:
        assert (await ws.receive_json())["type"] == "hello"
        picture = "ä" * (size // 2) + "\n\u2028" + "x" * (size % 2)
        person = Person(mxid("ben"), "Ben", picture, None)
        house.hub.to_user(mxid("ann"), frames.typing(ROOM, [person]))
        frame = await ws.receive_json()
    assert frame["data"]["users"][0]["avatar_url"] == picture
