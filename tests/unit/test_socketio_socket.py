"""A client of Engine.IO: in order on any transport, bounded, and gone when it is silent."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from engineio.exceptions import EngineIOError

from openmeet_bridge.api.web_app.socketio_limits import SocketLimits
from openmeet_bridge.api.web_app.socketio_line import Line
from openmeet_bridge.api.web_app.socketio_pulse import Pulse
from openmeet_bridge.api.web_app.socketio_said import Said
from openmeet_bridge.api.web_app.socketio_socket import Common, EngineSocket
from openmeet_bridge.api.web_app.socketio_strangers import Strangers
from openmeet_bridge.stream.frames import ws_text
from openmeet_bridge.stream.socketio_wire import packets
from openmeet_bridge.stream.sockets import Sockets

LIMITS = SocketLimits(buffer_bytes=1000, stranger_seconds=3600.0)


class Connection:
    """A connection whose reader reads only when it is asked what has come."""

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        self._near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self._read = b""
        self.ended = False
        for one in (self._near, self._far):
            one.setblocking(False)

    def get_extra_info(self, name: str) -> socket.socket:
        assert name == "socket"
        return self._near

    def abort(self) -> None:
        self._near.close()

    @property
    def written(self) -> bytes:
        with contextlib.suppress(BlockingIOError):
            while not self.ended:
                data = self._far.recv(65536)
                self._read += data
                self.ended = not data
        return self._read

    @property
    def packets(self) -> list[bytes]:
        return list(packets(self.written))

    def sends(self, *texts: bytes) -> None:
        for text in texts:
            self._far.send(bytes((0x81, 0x80 | len(text))) + b"\0\0\0\0" + text)

    def close(self) -> None:
        self._far.close()


class Watched:
    """A client, and what is told of it."""

    def __init__(self, limits: SocketLimits = LIMITS) -> None:
        self.messages: list[str] = []
        self.reasons: list[str] = []
        self.strangers = Strangers(limits.stranger_seconds, self._overdue)
        self.sockets = Sockets()
        self.connections: list[Connection] = []
        pulse = Pulse(limits, self._find)
        common = Common(limits, self.sockets, self.strangers, pulse, self._heard, self._gone)
        self.socket = EngineSocket("sid", Said(), common)

    def _find(self, sid: str) -> EngineSocket | None:
        return None if self.socket.closed else self.socket

    def _overdue(self, sid: str) -> None:
        self.socket.end("never connected")

    async def _heard(self, socket: EngineSocket, text: str) -> None:
        if text == "break":
            raise RuntimeError("a mistake of ours")
        self.messages.append(text)

    def _gone(self, socket: EngineSocket, reason: str) -> None:
        assert socket.closed
        assert not self.strangers
        self.reasons.append(reason)

    def on_websocket(self) -> Connection:
        connection = Connection()
        self.connections.append(connection)
        taken = self.sockets.take(cast(asyncio.Transport, connection))
        self.socket._move_to(Line(taken, self.socket))
        return connection

    async def polled(self) -> list[str]:
        return [one.encode() for one in await self.socket.poll()]


@asynccontextmanager
async def watched(limits: SocketLimits = LIMITS) -> AsyncIterator[Watched]:
    one = Watched(limits)
    yield one
    one.socket.end("test over", abort=True)
    one.sockets.close()
    for connection in one.connections:
        connection.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110  (timers tell nobody)
            await asyncio.sleep(0.001)


async def test_a_broadcast_is_written_as_it_is() -> None:
    async with watched() as one:
        connection = one.on_websocket()
        data = ws_text(b"4first") + ws_text(b"4second")
        one.socket.write(data)
        assert connection.written == data
        assert one.socket.buffered() == 0


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
        connection = one.on_websocket()
        one.socket.write(ws_text(b"43"))
        one.socket.post(b"44")
        assert connection.packets == [b"41", "4zwei, länger".encode(), b"43", b"44"]
        assert one.socket.upgraded


async def test_a_poll_that_is_late_gets_nothing_of_what_went_over() -> None:
    async with watched() as one:
        late = asyncio.create_task(one.polled())
        await asyncio.sleep(0)
        one.socket.post(b"41")
        connection = one.on_websocket()
        assert await late == ["6"]
        assert connection.packets == [b"41"]


@pytest.mark.parametrize("on_websocket", [True, False])
async def test_who_reads_no_answers_is_cut_off(on_websocket: bool) -> None:
    async with watched() as one:
        connection = one.on_websocket() if on_websocket else None
        for _ in range(100):
            one.socket.post(b"4" + b"x" * 99)
        assert one.reasons == ["transport error"]
        if connection is not None:
            assert connection.written
            assert connection.ended
        assert one.socket.buffered() < 1300


async def test_what_a_client_says_is_taken_in_its_order_until_something_breaks() -> None:
    async with watched() as one:
        one.on_websocket().sends(b"4first", b"4second", b"4break", b"4fourth")
        await until(lambda: bool(one.reasons))
        assert one.messages == ["first", "second"]
        assert one.reasons == ["transport error"]


async def test_a_text_that_comes_in_pieces_leaves_nothing_behind() -> None:
    async with watched() as one:
        connection = one.on_websocket()
        line = one.socket._line
        assert line is not None
        frame = bytes((0x81, 0x80 | 6)) + b"\0\0\0\0" + b"4first"
        connection._far.send(frame[:5])
        await until(lambda: line._inbox is not None)
        connection._far.send(frame[5:])
        await until(lambda: one.messages == ["first"])
        assert line._inbox is None
        await until(lambda: line._turn is None)


async def test_a_websocket_that_is_not_used_takes_nothing_from_the_next_one() -> None:
    async with watched() as one:
        one.socket.connected = True
        first, second = Connection(), Connection()
        one.connections += [first, second]
        lines = []
        for connection in (first, second):
            taken = one.sockets.take(cast(asyncio.Transport, connection))
            lines.append(Line(taken, one.socket))
        one.socket._try(one.socket._as_polling(), lines[0])
        first.sends(b"nonsense")
        await until(lambda: first.written != b"")
        one.socket._try(one.socket._as_polling(), lines[1])
        one.socket._untried(lines[0])  # its time is over: that is of no concern to the second
        second.sends(b"2probe", b"5")
        await until(lambda: one.socket.upgraded)
        assert first.written == b"\x88\x02\x03\xe9"
        assert second.packets == [b"3probe"]


async def test_who_gives_a_sign_of_life_is_asked_again() -> None:
    async with watched(SocketLimits(ping_interval=0.01, ping_timeout=3600.0)) as one:
        one.socket.begin()
        connection = one.on_websocket()
        for count in range(1, 4):
            await until(lambda: len(connection.packets) == count)  # noqa: B023
            assert connection.packets == [b"2"] * count
            await one.socket._take_in("3")
            await one.socket._take_in("3")  # once too often changes nothing


async def test_who_gives_no_sign_of_life_is_dropped() -> None:
    async with watched(SocketLimits(ping_interval=0.01, ping_timeout=0.01)) as one:
        one.socket.begin()
        one.on_websocket()
        await until(lambda: bool(one.reasons))
        assert one.reasons == ["ping timeout"]
        assert one.socket.buffered() == len(one.sockets) == 0


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
        connection = websocket.on_websocket()
        websocket.socket.end("shutdown", code=1012)
        websocket.socket.end("shutdown")
        websocket.socket.write(ws_text(b"4too late"))
        assert connection.written == b"\x88\x02\x03\xf4"
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
