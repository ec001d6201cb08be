"""A client of Engine.IO: in order on any transport, bounded, and gone when it is silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from engineio.exceptions import EngineIOError

from openmeet_bridge.api.web_app.socketio_limits import SocketLimits
from openmeet_bridge.api.web_app.socketio_socket import EngineSocket
from openmeet_bridge.stream.frames import ws_text
from openmeet_bridge.stream.socketio_wire import packets

LIMITS = SocketLimits(buffer_bytes=1000, stranger_seconds=3600.0)


class Transport:
    """A connection whose reader does not read."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closing = self.aborted = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self.written))

    def abort(self) -> None:
        self.closing = self.aborted = True

    @property
    def packets(self) -> list[bytes]:
        return list(packets(b"".join(self.written)))


class Watched:
    """A client, and what is told of it."""

    def __init__(self, limits: SocketLimits = LIMITS) -> None:
        self.messages: list[str] = []
        self.reasons: list[str] = []
        self.strangers: set[EngineSocket] = set()
        self.socket = EngineSocket("sid", limits, self.strangers, self._heard, self._gone)

    async def _heard(self, sid: str, text: str) -> None:
        self.messages.append(text)

    def _gone(self, socket: EngineSocket, reason: str) -> None:
        assert socket.closed
        assert not self.strangers
        self.reasons.append(reason)

    def on_websocket(self) -> Transport:
        transport = Transport()
        self.socket._move_to(cast(asyncio.Transport, transport))
        return transport

    async def polled(self) -> list[str]:
        return [one.encode() for one in await self.socket.poll()]


@asynccontextmanager
async def watched(limits: SocketLimits = LIMITS) -> AsyncIterator[Watched]:
    one = Watched(limits)
    yield one
    one.socket.end("test over", abort=True)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110  (timers tell nobody)
            await asyncio.sleep(0.001)


async def test_a_broadcast_is_written_as_it_is() -> None:
    async with watched() as one:
        transport = one.on_websocket()
        data = ws_text(b"4first") + ws_text(b"4second")
        one.socket.write(data)
        one.socket.write(b"")
        assert transport.written[-2] is data
        assert one.socket.buffered() == len(data)


async def test_what_is_polled_comes_in_order_and_no_more_than_a_client_takes() -> None:
    async with watched() as one:
        one.socket.write(b"".join(ws_text(b"4%d" % n) for n in range(20)))
        assert one.socket.buffered() > 20
        assert await one.polled() == [f"4{n}" for n in range(16)]
        one.socket.post(b"4last")
        assert await one.polled() == ["416", "417", "418", "419", "4last"]
        assert one.socket.buffered() == 0
        waiting = asyncio.create_task(one.polled())
        await asyncio.sleep(0)
        one.socket.post(b"4later")
        assert await waiting == ["4later"]


async def test_what_was_kept_goes_first_when_a_client_goes_over_to_websocket() -> None:
    async with watched() as one:
        one.socket.connected = True
        one.socket.write(ws_text(b"41") + ws_text("4zwei, länger".encode()))
        transport = one.on_websocket()
        one.socket.write(ws_text(b"43"))
        one.socket.post(b"44")
        assert transport.packets == [b"41", "4zwei, länger".encode(), b"43", b"44"]
        assert one.socket.upgraded


async def test_a_poll_that_is_late_gets_nothing_of_what_went_over() -> None:
    async with watched() as one:
        late = asyncio.create_task(one.polled())
        await asyncio.sleep(0)
        one.socket.post(b"41")
        transport = one.on_websocket()
        assert await late == ["6"]
        assert transport.packets == [b"41"]


@pytest.mark.parametrize("on_websocket", [True, False])
async def test_who_reads_no_answers_is_cut_off(on_websocket: bool) -> None:
    async with watched() as one:
        transport = one.on_websocket() if on_websocket else Transport()
        for _ in range(100):
            one.socket.post(b"4" + b"x" * 99)
        assert one.reasons == ["transport error"]
        assert transport.aborted is on_websocket
        assert one.socket.buffered() < 1300


async def test_who_gives_a_sign_of_life_is_asked_again() -> None:
    async with watched(SocketLimits(ping_interval=0.01, ping_timeout=3600.0)) as one:
        one.socket.begin()
        transport = one.on_websocket()
        for _ in range(3):
            await until(lambda: bool(transport.packets))
            assert transport.packets == [b"2"]
            transport.written.clear()
            await one.socket._take_in("3")
            await one.socket._take_in("3")  # once too often changes nothing


async def test_who_gives_no_sign_of_life_is_dropped() -> None:
    async with watched(SocketLimits(ping_interval=0.01, ping_timeout=0.01)) as one:
        one.socket.begin()
        transport = one.on_websocket()
        await until(lambda: bool(one.reasons))
        assert one.reasons == ["ping timeout"]
        assert transport.aborted


async def test_who_stays_unknown_is_dropped_and_who_is_known_is_not() -> None:
    limits = SocketLimits(stranger_seconds=0.02)
    async with watched(limits) as strange, watched(limits) as known:
        for one in (strange, known):
            one.socket.begin()
            assert one.strangers
        known.socket.know()
        assert not known.strangers
        await until(lambda: bool(strange.reasons))
        assert strange.reasons == ["never connected"]
        assert not known.reasons
        known.socket.forget()
        await until(lambda: bool(known.reasons))


async def test_the_end_tells_who_polls_and_who_is_on_websocket() -> None:
    async with watched() as polling, watched() as websocket:
        polling.socket.post(b"4last")
        polling.socket.end("shutdown")
        assert await polling.polled() == ["4last", "1"]
        assert await polling.polled() == ["1"]
        transport = websocket.on_websocket()
        transport.written.clear()
        websocket.socket.end("shutdown", code=1012)
        websocket.socket.end("shutdown")
        websocket.socket.write(ws_text(b"4too late"))
        assert transport.written == [b"\x88\x02\x03\xf4"]
        assert polling.reasons == websocket.reasons == ["shutdown"]


async def test_a_replay_waits_for_its_reader_as_long_as_there_is_one() -> None:
    async with watched(SocketLimits()) as one:
        one.socket.write(ws_text(b"4" * 100_000))
        draining = asyncio.create_task(one.socket.drain())
        await asyncio.sleep(0.03)
        assert not draining.done()
        await one.polled()
        await draining
        one.socket.end("gone", abort=True)
        with pytest.raises(ConnectionResetError):
            await one.socket.drain()


@pytest.mark.parametrize("text", ["", "0{}", "2", "2probe", "7", "b4aGk=", "x", "é"])
async def test_what_no_client_sends_is_refused(text: str) -> None:
    async with watched() as one:
        with pytest.raises(EngineIOError):
            await one.socket._take_in(text)
        for harmless in ("5", "6", "3"):
            await one.socket._take_in(harmless)
        await one.socket._take_in("42/matrix,[]")
        assert one.messages == ["2/matrix,[]"]
        await one.socket._take_in("1")
        assert one.reasons == ["client disconnect"]


async def test_who_polls_twice_at_once_is_refused() -> None:
    async with watched() as one:
        environ: dict[str, Any] = {"aiohttp.request": _Request()}
        first = asyncio.create_task(one.socket.handle_get_request(environ))
        await asyncio.sleep(0)
        with pytest.raises(EngineIOError):
            await one.socket.handle_get_request(environ)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert one.reasons == ["transport close"]


class _Request:
    query: dict[str, str] = {"transport": "polling"}  # noqa: RUF012  (a stand-in)
