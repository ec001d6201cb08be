"""Arrivals: connections are looked at, and nothing of them is read."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from openmeet_bridge.stream import arrivals
from openmeet_bridge.stream.arrivals import Arrivals, listening_path, listening_sockets
from openmeet_bridge.telemetry import CONNECTIONS_DISMISSED, CONNECTIONS_SILENT


class Porch:
    """An address, and who has come to it."""

    def __init__(self, room: int = 100, patience: float = 60) -> None:
        self.met: list[tuple[bytes, str]] = []
        self.taken: list[socket.socket] = []
        self.arrivals = Arrivals(self._met, lambda: room, patience=patience)
        (self.listening,) = listening_sockets("127.0.0.1", 0, backlog=16, reuse_port=False)
        self.address = self.listening.getsockname()
        self.arrivals.accept([self.listening])
        self.clients: list[socket.socket] = []

    def _met(self, one: socket.socket, address: str, said: bytes) -> None:
        self.met.append((said, address))
        self.taken.append(one)

    async def come(self, said: bytes = b"") -> socket.socket:
        one = socket.socket()
        one.setblocking(False)
        self.clients.append(one)
        await asyncio.get_running_loop().sock_connect(one, self.address)
        if said:
            one.send(said)
        return one

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not holds():  # noqa: ASYNC110  (nobody tells)
                await asyncio.sleep(0.002)

    def close(self) -> None:
        self.arrivals.close()
        for one in (*self.clients, *self.taken):
            one.close()


@pytest.fixture
async def porch() -> AsyncIterator[Porch]:
    one = Porch()
    yield one
    one.close()


def dismissed(reason: str) -> float:
    value: float = CONNECTIONS_DISMISSED.labels(reason)._value.get()
    return value


async def is_closed(client: socket.socket) -> bool:
    try:
        return await asyncio.get_running_loop().sock_recv(client, 1) == b""
    except ConnectionResetError:
        return True


async def test_what_was_said_is_still_to_be_read(porch: Porch) -> None:
    await porch.come(b"now")
    late = await porch.come()
    await porch.until(lambda: len(porch.met) == 1 and len(porch.arrivals) == 1)
    late.send(b"later")
    await porch.until(lambda: len(porch.met) == 2)
    assert porch.met == [(b"now", "127.0.0.1"), (b"later", "127.0.0.1")]
    assert [one.recv(100) for one in porch.taken] == [b"now", b"later"]
    assert not any(one.getblocking() for one in porch.taken)
    assert len(porch.arrivals) == 0


async def test_who_goes_without_a_word_is_forgotten(porch: Porch) -> None:
    client = await porch.come()
    await porch.until(lambda: len(porch.arrivals) == 1)
    client.close()
    await porch.until(lambda: len(porch.arrivals) == 0)
    assert porch.met == []


async def test_there_is_room_for_so_many_only() -> None:
    before = dismissed("pushed_out")
    porch = Porch(room=2)
    first, *others = [await porch.come() for _ in range(4)]
    assert await is_closed(first)
    assert await is_closed(others[0])
    await porch.until(lambda: len(porch.arrivals) == 2)
    assert dismissed("pushed_out") == before + 2
    assert CONNECTIONS_SILENT._value.get() == 2
    others[2].send(b"still here")
    await porch.until(lambda: len(porch.met) == 1)
    porch.close()


async def test_nobody_stands_in_the_door_for_ever() -> None:
    before = dismissed("too_long")
    porch = Porch(patience=0.05)
    for _ in range(2):
        assert await is_closed(await porch.come())
    await porch.until(lambda: len(porch.arrivals) == 0)
    assert dismissed("too_long") == before + 2
    porch.close()


async def test_who_was_accepted_is_met_after_the_end_of_accepting(porch: Porch) -> None:
    client = await porch.come()
    await porch.until(lambda: len(porch.arrivals) == 1)
    client.send(b"just in time")
    porch.arrivals.accept_no_more()
    assert porch.met == [(b"just in time", "127.0.0.1")]
    with pytest.raises(ConnectionRefusedError):
        await porch.come()


async def test_without_open_files_it_rests_and_comes_back(
    porch: Porch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "_PAUSE", 0.01)
    accept = socket.socket.accept
    fails = iter([OSError(errno.EMFILE, "Too many open files"), ConnectionAbortedError()])

    def failing(own: socket.socket) -> tuple[socket.socket, tuple[str, int]]:
        error = next(fails, None)
        if error is not None:
            raise error
        return accept(own)

    monkeypatch.setattr(socket.socket, "accept", failing)
    with capture_logs() as logs:
        await porch.come(b"patient")
        await porch.until(lambda: len(porch.met) == 1)
    assert [line["event"] for line in logs] == ["listener.exhausted"]


def test_a_taken_address_leaves_nothing_open(porch: Porch) -> None:
    with pytest.raises(OSError, match="in use"):
        listening_sockets(*porch.address[:2], backlog=1, reuse_port=False)


async def test_a_proxy_comes_by_a_path(porch: Porch, tmp_path: Path) -> None:
    path = tmp_path / "public.sock"
    first = listening_path(str(path), backlog=16, replaces=False)
    porch.arrivals.accept([first])
    assert path.stat().st_mode & 0o777 == 0o660
    assert os.listdir(tmp_path) == [path.name]
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.send(b"hello")
        await porch.until(lambda: len(porch.met) == 1)
    assert porch.met == [(b"hello", "")]
    with pytest.raises(OSError, match="in use"):
        listening_path(str(path), backlog=16, replaces=False)
    second = listening_path(str(path), backlog=16, replaces=True)
    with second, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        second.accept()[0].close()
    # It has ended without taking its socket away, as by a crash.
    listening_path(str(path), backlog=16, replaces=False).close()


def test_a_path_that_cannot_be_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        listening_path(str(tmp_path / "nowhere" / "public.sock"), backlog=1, replaces=False)
    assert os.listdir(tmp_path) == []


def test_what_is_no_socket_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "public.sock"
    path.write_text("something dear")
    for replaces in (False, True):
        with pytest.raises(OSError, match="no socket"):
            listening_path(str(path), backlog=1, replaces=replaces)
    assert path.read_text() == "something dear"


def test_a_path_with_a_crowd_before_it_is_in_use(tmp_path: Path) -> None:
    path = str(tmp_path / "public.sock")
    with listening_path(path, backlog=0, replaces=False), contextlib.ExitStack() as crowd:
        with contextlib.suppress(BlockingIOError):
            while True:
                one = crowd.enter_context(socket.socket(socket.AF_UNIX))
                one.setblocking(False)
                one.connect(path)
        with pytest.raises(OSError, match="in use"):
            listening_path(path, backlog=1, replaces=False)


def test_an_address_that_this_machine_lacks_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found = socket.getaddrinfo
    elsewhere = found("192.0.2.1", 0, type=socket.SOCK_STREAM)

    def both(*place: Any, **more: Any) -> Any:
        return elsewhere + found("127.0.0.1", 0, type=socket.SOCK_STREAM)

    with pytest.raises(OSError, match="assign"):
        listening_sockets("192.0.2.1", 0, backlog=1, reuse_port=False)
    monkeypatch.setattr(socket, "getaddrinfo", both)
    (one,) = listening_sockets("both.example", 0, backlog=1, reuse_port=False)
    assert one.getsockname()[0] == "127.0.0.1"
    one.close()


async def test_all_who_have_said_something_are_met_at_the_end(porch: Porch) -> None:
    crowd = [await porch.come() for _ in range(50)]
    await porch.until(lambda: len(porch.arrivals) == 50)
    for one in crowd:
        one.send(b"just in time")
    porch.arrivals.accept_no_more()
    assert len(porch.met) == 50
