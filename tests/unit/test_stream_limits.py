"""Limits of streams: what is told to whoever is too much, and that nobody else is hurt."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, cast

import aiohttp
import msgspec
import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer, make_mocked_request
from multidict import CIMultiDict
from structlog.testing import capture_logs

from openmeet_bridge.api import middleware, stream_ends
from openmeet_bridge.api import streams as streams_api
from openmeet_bridge.api.admission import Admission
from openmeet_bridge.api.asking import Asking
from openmeet_bridge.api.endpoint import register
from openmeet_bridge.api.open_streams import OpenStreams
from openmeet_bridge.api.peers import Peers
from openmeet_bridge.api.sessions import Session
from openmeet_bridge.api.stream_ends import StreamEnds
from openmeet_bridge.api.stream_limits import StreamLimits
from openmeet_bridge.api.web_app.socketio_client import Client
from openmeet_bridge.api.web_app.socketio_events import Events
from openmeet_bridge.api.web_app.socketio_handshake import Handshake, Hello
from openmeet_bridge.api.web_app.socketio_limits import SocketLimits
from openmeet_bridge.api.web_app.socketio_server import SocketIo
from openmeet_bridge.app.streams import limits_of, open_streams
from openmeet_bridge.bridge.streams import Streams
from openmeet_bridge.bridge.vitals import Vitals
from openmeet_bridge.config import Config, load
from openmeet_bridge.core.directory import User
from openmeet_bridge.core.entry import LogEntry, Person
from openmeet_bridge.core.errors import LimitExceeded, MissingToken
from openmeet_bridge.core.ids import Mxid, Position, RoomId, TenantId, UserSlug
from openmeet_bridge.core.rates import Rate, Rates
from openmeet_bridge.openmeet.tenants import KeySettings, Tenant
from openmeet_bridge.storage.database import Database
from openmeet_bridge.stream import frames
from openmeet_bridge.stream.frames import SSE
from openmeet_bridge.stream.hub import Hub
from openmeet_bridge.stream.reasons import CloseReason
from openmeet_bridge.stream.sockets import Sockets
from openmeet_bridge.stream.subscriber import Phase, Subscriber
from openmeet_bridge.telemetry import (
    STREAM_ADDRESSES,
    STREAM_BYTES_WAITING,
    STREAM_FRAMES_PARKED,
    STREAM_LIMITS,
    STREAMS_BEHIND,
    STREAMS_REFUSED,
)

from ..stream.memory_log import MemoryLog
from ..support import log_entries, streams
from ..support.clock import Clock
from ..support.sinks import MemorySink
from ..support.streams import Stream
from ..support.waiting import eventually

LAKE = TenantId("lake")
ROOM = RoomId("!room")
CONFIG = """\
homeserver: {url: http://127.0.0.1:8008, server_name: example.org}
registration: registration.yaml
jwt_default: {algorithm: HS256, secret: a secret that is long enough for HS256}
tenants: [{id: lake, name: Lake}]
"""


def mxid(slug: str) -> Mxid:
    return Mxid(f"@{slug}:test")


@contextlib.contextmanager
def refused(reason: str, status: int) -> Iterator[list[LimitExceeded]]:
    """Somebody is refused, once, and it is counted."""
    count = STREAMS_REFUSED.labels(reason)._value
    before, caught = count.get(), list[LimitExceeded]()
    with pytest.raises(LimitExceeded) as raised:
        yield caught
    caught.append(raised.value)
    assert (raised.value.status, raised.value.errcode) == (status, "M_LIMIT_EXCEEDED")
    assert count.get() == before + 1


# Rates


def test_a_rate_lets_some_through_at_once_and_then_one_after_another() -> None:
    rate, now, restored = Rate(2000, 4000), 1_000_000.0, 0.0
    for _ in range(4000):
        assert rate.wait(restored, now) == 0
        restored = rate.took(restored, now)
    wait = rate.wait(restored, now)
    assert 0 < wait <= 1 / 2000
    restored = rate.took(restored, now + wait)
    assert rate.wait(restored, now + wait) > 0
    assert rate.wait(restored, now + 10) == 0


def test_rates_are_each_ones_own_and_few_are_kept() -> None:
    rates, clock = Rates(Rate(1, 2), most=50), Clock()
    for _ in range(2):
        assert rates.take("ann", clock.now) == 0
    wait = rates.take("ann", clock.now)
    assert 0.9 < wait <= 1
    assert rates.take("ben", clock.now) == 0
    clock.wait(wait)
    assert rates.take("ann", clock.now) == 0
    for number in range(1000):
        assert rates.take(f"{number}", clock.now) == 0
        assert len(rates) <= 51
    clock.wait(10)
    for _ in range(60):
        rates.take("ann", clock.now)
        clock.wait(10)
    assert len(rates) == 1


# Addresses


@pytest.mark.parametrize(
    ("remote", "said", "address"),
    [
        ("192.0.2.7", [], "192.0.2.7"),
        ("192.0.2.7", ["198.51.100.1"], "192.0.2.7"),  # anybody can say that
        ("127.0.0.1", [], None),
        ("::ffff:127.0.0.1", [], None),
        ("", [], None),
        ("", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),  # by a UNIX socket
        ("127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", ["1.1.1.1, 198.51.100.1, 10.1.2.3"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.2, 127.0.0.1"], None),
        ("10.0.0.1", ["198.51.100.1, unknown"], None),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8:1:2::3]:80"], "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", [], "2001:db8:1:2::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
    ],
)
def test_an_address_is_the_last_one_that_is_known_by_somebody_trusted(
    remote: str, said: list[str], address: str | None
) -> None:
    request = asking(remote, said)
    peers = Peers(["127.0.0.0/8", "::1", "10.0.0.0/8"])
    assert peers.address(request) == address
    assert peers.is_unknown_proxy(request) == (bool(said) and remote == "192.0.2.7")


def asking(remote: str, said: list[str] | None = None) -> web.Request:
    headers = CIMultiDict[str]([("X-Forwarded-For", one) for one in said or []])
    return make_mocked_request("GET", "/", headers=headers).clone(remote=remote)


# Admission


class Door:
    """An admission with a hub behind it, and a clock that stands."""

    def __init__(self, **limits: Any) -> None:
        self.clock = Clock()
        self.hub = Hub("0badcafe", Position(0))
        self.admission = Admission(self.hub, StreamLimits(**limits), Peers(), self.clock)
        self.hub.left = lambda one: self.admission.left(one.address)

    def come(self, slug: str, address: str | None = None) -> Subscriber:
        """Somebody opens a stream, as every kind of stream is opened."""
        self.admission.look(address)
        self.admission.admit(mxid(slug), address)
        one = Subscriber(LAKE, Person(mxid(slug), slug, None, UserSlug(slug)), MemorySink(), SSE)
        one.address = address
        self.hub.enter(one)
        self.admission.entered(address)
        return one


def test_a_full_process_takes_nobody_until_somebody_goes() -> None:
    door = Door(streams=3)
    first, *_ = (door.come(slug) for slug in ("ann", "ben", "cleo"))
    with refused("full", 503) as caught:
        door.come("dora")
    assert 2000 <= (caught[0].retry_after_ms or 0) <= 10_000
    assert door.hub.count == 3
    door.hub.leave(first)
    door.come("dora")
    door.hub.closing = True
    with refused("closing", 503) as caught:
        door.come("ann")
    assert 2000 <= (caught[0].retry_after_ms or 0) <= 10_000


def test_an_address_has_its_share_and_others_have_theirs() -> None:
    door = Door(per_address=2)
    first = door.come("ann", "192.0.2.1")
    door.come("ben", "192.0.2.1")
    with refused("address", 429) as caught:
        door.come("cleo", "192.0.2.1")
    assert 5000 <= (caught[0].retry_after_ms or 0) <= 15_000
    others = [door.come("dora", "192.0.2.2"), *(door.come("eve") for _ in range(5))]
    door.hub.leave(first)
    others.append(door.come("cleo", "192.0.2.1"))
    assert door.admission.addresses == 2
    door.hub.close_all(CloseReason.SHUTDOWN)
    assert door.admission.addresses == 0
    assert all(one.phase is Phase.CLOSED for one in others)


def test_the_operator_is_told_of_a_proxy_that_nobody_has_named_but_not_for_ever() -> None:
    door = Door(per_address=1)
    door.come("ann", "192.0.2.1")
    with capture_logs() as logs:
        for _ in range(3):
            with refused("address", 429):
                door.admission.arrive(asking("192.0.2.1", ["198.51.100.1"]))
        with refused("address", 429):
            door.admission.arrive(asking("192.0.2.1"))
        assert [one["address"] for one in logs] == ["192.0.2.1"]
        door.clock.wait(60)
        with refused("address", 429):
            door.admission.arrive(asking("192.0.2.1", ["198.51.100.1"]))
    assert len(logs) == 2


def test_all_tabs_of_a_user_may_come_back_and_then_one_after_another() -> None:
    door = Door(per_user=5)
    for _ in range(10):
        door.come("ann")
    assert door.hub.streams_of(mxid("ann")) == 5
    with refused("user_rate", 429) as caught:
        door.come("ann")
    assert 900 <= (caught[0].retry_after_ms or 0) <= 2000
    assert door.hub.streams_of(mxid("ann")) == 5, "nobody goes for who is not let in"
    door.come("ben")
    door.clock.wait(1)
    door.come("ann")


def test_who_comes_all_at_once_is_spread() -> None:
    door = Door(connects_per_second=10)
    there = [door.come(f"u{number}") for number in range(20)]
    with refused("process_rate", 503) as caught:
        door.come("late")
    assert 1000 <= (caught[0].retry_after_ms or 0) <= 6000
    with refused("process_rate", 503):
        door.admission.arrive(asking("192.0.2.1"))
    assert all(one.phase is not Phase.CLOSED for one in there)
    door.clock.wait(1)
    for number in range(10):
        door.come(f"late{number}")
    with refused("process_rate", 503):
        door.come("late")


def test_who_only_looks_uses_up_nothing() -> None:
    door = Door(connects_per_second=10)
    request = asking("192.0.2.1")
    for _ in range(100):
        door.admission.arrive(request)
    for number in range(20):
        door.come(f"u{number}")


def test_five_thousand_readers_are_back_in_less_than_ten_seconds() -> None:
    """With the defaults, each of them coming back when it was told to."""
    door, due = Door(), [(0.0, number) for number in range(5000)]
    began, last = door.clock.now, 0.0
    while due:
        at, number = heappop(due)
        door.clock.now = began + at
        try:
            door.come(f"u{number}")
        except LimitExceeded as told:
            heappush(due, (at + (told.retry_after_ms or 0) / 1000, number))
        last = at
    assert door.hub.count == 5000
    assert last < 10


# Ends


class Ends:
    """Streams whose time goes by as the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **limits: float) -> None:
        self.clock = Clock()
        self.due: dict[Subscriber, float] = {}
        self.over: Callable[[Subscriber], None] = lambda _: None
        monkeypatch.setattr(stream_ends, "Deadlines", self._deadlines)
        self.hub = Hub("0badcafe", Position(0))
        made = StreamLimits(**cast(Any, limits))
        self.ends = StreamEnds(self.hub, made, now=self.clock, clock=self.clock)
        self.hub.left = self.ends.left

    def _deadlines(self, over: Callable[[Subscriber], None]) -> Ends:
        self.over = over
        return self

    def set(self, subscriber: Subscriber, seconds: float) -> None:
        self.due[subscriber] = self.clock.now + seconds

    def clear(self, subscriber: Subscriber) -> None:
        self.due.pop(subscriber, None)

    def begin(self, slug: str, token: float = 1e6) -> Subscriber:
        one = Subscriber(LAKE, Person(mxid(slug), slug, None, UserSlug(slug)), MemorySink(), SSE)
        self.hub.enter(one)
        self.ends.begin(one, round((self.clock.now + token) * 1000))
        return one

    def wait(self, seconds: float) -> None:
        until = self.clock.now + seconds
        while self.due and (first := min(self.due.values())) <= until:
            self.clock.now = first
            for one in [one for one, at in self.due.items() if at <= first]:
                del self.due[one]
                self.over(one)
        self.clock.now = until


def message(slug: str, *, changed: bool = False) -> LogEntry:
    one = log_entries.said(1)
    entry = msgspec.structs.replace(one.entry, sender=log_entries.person(slug))
    return msgspec.structs.replace(one, entry=entry, changed=changed)


def test_a_stream_ends_when_nobody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = Ends(monkeypatch, idle_after=100, lifetime=1e6)
    first, second, other = ends.begin("ann"), ends.begin("ann"), ends.begin("ben")
    ends.wait(99)
    ends.ends.sign(mxid("ann"))
    ends.wait(2)
    assert (other.reason, first.phase) == (CloseReason.IDLE, Phase.ENTERING)
    ends.ends.sign(mxid("ben"))  # of whom nothing is kept any more
    ends.ends.seen = lambda who: ends.clock.now - 3 if who == mxid("ann") else 0.0
    ends.wait(150)
    assert first.phase is Phase.ENTERING, "somebody was there, by another process"
    gone = ends.clock.now
    ends.ends.seen = lambda _: gone
    ends.wait(98)
    ends.ends.happened([message("ann", changed=True), message("cleo")])
    third = ends.begin("ann")  # who opens one is there
    ends.wait(99)
    assert first.phase is Phase.ENTERING
    ends.ends.happened([message("ann")])  # from wherever
    ends.wait(99)
    assert first.phase is Phase.ENTERING
    ends.wait(2)
    assert [one.reason for one in (first, second, third)] == [CloseReason.IDLE] * 3
    assert (ends.due, ends.ends._signs) == ({}, {})


def test_a_stream_ends_with_its_token_or_its_lifetime(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = Ends(monkeypatch, idle_after=1e6, lifetime=1000)
    short = ends.begin("ann", token=50)
    long = [ends.begin(f"u{number}") for number in range(20)]
    ends.wait(51)
    assert short.reason is CloseReason.TOKEN_EXPIRED
    assert all(one.phase is Phase.ENTERING for one in long)
    ends.wait(1000 * 0.9 - 52)
    assert all(one.phase is Phase.ENTERING for one in long)
    ends.wait(50)
    assert 0 < sum(one.phase is Phase.CLOSED for one in long) < 20, "not all of them at once"
    ends.wait(60)
    assert {one.reason for one in long} == {CloseReason.LIFETIME}
    assert (CloseReason.LIFETIME.reconnect, CloseReason.IDLE.reconnect) == (True, False)
    assert not CloseReason.IDLE.stay_away


async def test_a_request_is_a_sign_of_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = Ends(monkeypatch, idle_after=100, lifetime=1e6)
    one = ends.begin("ann")

    async def who(request: web.Request) -> Session | None:
        return session(request.headers["X-User"]) if "X-User" in request.headers else None

    noting = ends.ends.noting(who)
    for headers in ({"X-User": "ann"}, {"X-User": "ben"}, {}):
        ends.wait(60)
        found = await noting(make_mocked_request("GET", "/", headers=headers))
        assert (found is None) == (not headers)
    assert one.reason is CloseReason.IDLE
    assert ends.clock.now == Clock().now + 180


# Over real sockets


def session(slug: str) -> Session:
    tenant = Tenant(LAKE, "Lake", KeySettings("HS256", secret=b"x" * 32))
    return Session(tenant, User(LAKE, UserSlug(slug), 1, slug, None), mxid(slug), 1 << 45)


class House:
    """A bridge's streams on all wires, of which few are let in from one address."""

    def __init__(self, http: aiohttp.ClientSession, limits: StreamLimits) -> None:
        self.http = http
        self.log = MemoryLog({ROOM: LAKE}, Position(5))
        self.hub = Hub("0badcafe", self.log.head)
        self.sockets = Sockets()
        self.admission = Admission(self.hub, limits, Peers())
        self.ends = StreamEnds(self.hub, limits)
        self.streams = OpenStreams(
            Streams(self.log, self.hub), self.hub, self.sockets, self.admission, self.ends
        )
        self.socketio = SocketIo(
            cast(Handshake, self), self.streams, cast(Events, self), ["websocket"], SocketLimits()
        )
        self.asked = 0
        self.url = ""

    async def caller(self, request: Asking) -> Session:
        self.asked += 1
        if "X-User" not in request.headers:
            raise MissingToken("Who are you?")
        return session(request.headers["X-User"])

    async def session(self, hello: Hello) -> Session:
        """Stands for the handshake of Socket.IO."""
        self.asked += 1
        return session(hello.token)

    async def answer(self, client: Client, name: object, payload: object) -> dict[str, Any]:
        """Stands for the events of Socket.IO."""
        return {}

    def of(self, slug: str, address: str) -> contextlib.AbstractAsyncContextManager[Stream]:
        headers = {"X-User": slug, "X-Forwarded-For": f"1.1.1.1, {address}"}
        return streams.sse(self.http, self.url, headers=headers)


@contextlib.asynccontextmanager
async def house_of(http: aiohttp.ClientSession, **limits: Any) -> AsyncIterator[House]:
    made = House(http, StreamLimits(**limits))
    app = web.Application()
    middleware.install(app)
    authenticators = {"stream": made.streams.guarded(made.caller)}
    surface = streams_api.StreamsApi(made.streams)
    register(app, streams_api.ENDPOINTS, authenticators, surface=surface)
    app.add_routes(made.socketio.routes())
    server = TestServer(app)
    await server.start_server()
    made.url = str(server.make_url("")).rstrip("/")
    yield made
    made.hub.close_all(CloseReason.SHUTDOWN)
    await made.socketio.stop()
    await server.close()
    await made.sockets.settle(60)


async def test_a_crowded_address_is_told_so_before_it_is_asked_who_it_is(
    http_session: aiohttp.ClientSession,
) -> None:
    async with house_of(http_session, per_address=2) as house:
        async with house.of("ann", "192.0.2.1") as first, house.of("ben", "192.0.2.1") as second:
            await first.wait("hello")
            await second.wait("hello")
            asked = house.asked
            for path in ("stream", "ws"):
                headers = {"X-User": "cleo", "X-Forwarded-For": "192.0.2.1"}
                async with house.http.get(f"{house.url}/api/v1/{path}", headers=headers) as answer:
                    body = await answer.json()
                assert (answer.status, body["errcode"]) == (429, "M_LIMIT_EXCEEDED")
                assert body["error"] == "Too many streams are open from your address."
                assert int(answer.headers["Retry-After"]) * 1000 >= body["retry_after_ms"] >= 5000
            assert await drop_of(house, "cleo", "192.0.2.1") == []
            assert house.asked == asked
            async with house.of("cleo", "192.0.2.2") as other:
                await other.wait("hello")
                house.hub.to_user(mxid("ben"), frames.typing(ROOM, []))
                await second.wait("typing")
            assert house.hub.streams_of(mxid("ann")) == 1

        async def nobody() -> bool:
            return house.hub.count == 0

        await eventually(nobody, "the streams are gone")
        assert house.admission.addresses == 0
        async with house.of("ann", "192.0.2.1") as again:
            await again.wait("hello")
        async with socketio_of(house, "192.0.2.1") as socket:
            await socket.send_str('40/matrix,{"token":"ann"}')
            assert (await socket.receive_str()).startswith("40/matrix")
            assert (await socket.receive_str()).startswith('42/matrix,["matrix-event"')
            assert house.admission._addresses["192.0.2.1"] == 1


@contextlib.asynccontextmanager
async def socketio_of(house: House, address: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    url = f"{house.url}/socket.io/?EIO=4&transport=websocket"
    async with house.http.ws_connect(url, headers={"X-Forwarded-For": address}) as socket:
        assert (await socket.receive_str()).startswith("0{")
        yield socket


async def drop_of(house: House, slug: str, address: str) -> list[Any]:
    """Return what a client of Socket.IO is told before its transport is dropped."""
    async with socketio_of(house, address) as socket:
        await socket.send_str(f'40/matrix,{{"token":"{slug}"}}')
        return [message.data async for message in socket]


async def test_who_comes_back_too_often_is_told_when_to_come_and_stays_where_they_are(
    http_session: aiohttp.ClientSession,
) -> None:
    async with (
        house_of(http_session, per_user=1, connects_per_user=0.01) as house,
        house.of("ann", "192.0.2.1"),
        house.of("ann", "192.0.2.1") as second,
    ):
        await second.wait("hello")
        headers = {"X-User": "ann"}
        async with house.http.get(f"{house.url}/api/v1/stream", headers=headers) as answer:
            body = await answer.json()
        assert (answer.status, body["errcode"]) == (429, "M_LIMIT_EXCEEDED")
        assert 98_000 <= body["retry_after_ms"] <= 101_000
        assert int(answer.headers["Retry-After"]) >= 98
        assert await drop_of(house, "ann", "192.0.2.3") == []
        assert not second.ended
        async with house.of("ben", "192.0.2.1") as other:
            await other.wait("hello")


async def test_signs_of_a_socket_and_the_end_of_one_that_gives_none(
    http_session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house_of(http_session, idle_after=0.5) as house:
        noted = list[Mxid]()
        monkeypatch.setattr(house.ends, "sign", noted.append)
        url = f"{house.url}/api/v1/ws"
        async with house.http.ws_connect(url, headers={"X-User": "ann"}) as socket:
            assert (await socket.receive_json())["type"] == "hello"
            await socket.pong(b"by itself")
            await socket.ping(b"here")
            await socket.send_str("{}")
            while (bye := await socket.receive_json())["type"] != "bye":
                pass
            assert bye["data"] == {"reason": "idle", "reconnect": False}
            end = await socket.receive()
        assert (end.type, end.data, end.extra) == (WSMsgType.CLOSE, 4010, "idle")
        assert noted == [mxid("ann")] * 2
        async with socketio_of(house, "192.0.2.1") as socket:
            await socket.send_str('40/matrix,{"token":"ben"}')
            await socket.receive_str()
            await socket.receive_str()
            await socket.send_str('42/matrix,1["typing"]')
            assert await socket.receive_str() == "43/matrix,1[{}]"
        assert noted == [mxid("ann"), mxid("ann"), mxid("ben")]


# What is in force


def config_of(folder: Path, more: str = "") -> Config:
    file = folder / "config.yaml"
    file.write_text(CONFIG + more)
    return load(file, {})


def test_the_configuration_says_it_and_the_number_of_open_files(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    assert limits_of(config, 1 << 20) == limits_of(config, -1) == StreamLimits()
    assert [limits_of(config, files).streams for files in (20_000, 1024, 16)] == [19_488, 512, 8]
    more = (
        "limits: {streams: 9, streams_per_user: 2, streams_per_address: 3, "
        "stream_connects_per_second: 4, stream_connects_per_user: 0.5}\n"
        "stream: {idle_after: 6 h, lifetime: 2 d}\n"
    )
    made = limits_of(config_of(tmp_path, more), 100)
    assert made == StreamLimits(9, 2, 3, 4, 0.5, 6 * 3600, 2 * 86_400)


async def test_what_is_in_force_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub, sockets = Hub("0badcafe", Position(0)), Sockets()
    log = MemoryLog({}, Position(0))
    monkeypatch.setattr("resource.getrlimit", lambda _: (2000, 2000))
    with capture_logs() as logs:
        open_streams(config_of(tmp_path), Streams(log, hub), hub, sockets)
        config = config_of(tmp_path, "limits: {streams: 100}\n")
        open_streams(config, Streams(log, hub), hub, sockets)
    assert [(one["event"], one["streams"], one["configured"]) for one in logs] == [
        ("streams.fewer_than_configured", 1488, 20_000)
    ]
    assert STREAM_LIMITS.labels("streams")._value.get() == 100
    assert STREAM_LIMITS.labels("streams_per_address")._value.get() == 1000
    sockets.close()


class Behind:
    """Sockets of which one waits."""

    behind = frozenset({type("Late", (), {"buffered": staticmethod(lambda: 70_000)})()})


def test_what_waits_is_counted() -> None:
    hub = Hub("0badcafe", Position(0))
    vitals = Vitals(
        Database("postgresql://127.0.0.1:9/x"), hub, cast(Sockets, Behind()), lambda: 4, lambda: 2
    )
    vitals.look_at_streams()
    gauges = (STREAMS_BEHIND, STREAM_BYTES_WAITING, STREAM_FRAMES_PARKED, STREAM_ADDRESSES)
    assert [one._value.get() for one in gauges] == [1, 70_000, 4, 2]
