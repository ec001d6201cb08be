"""Writing to many sockets: who got how much, and what is done while another thread computes."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from openmeet_bridge.stream import writing
from openmeet_bridge.stream.writing import Writer, send_keeping_lock

both = pytest.mark.parametrize("write", [os.write, send_keeping_lock])


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    with near, far:
        yield near, far


class Clock:
    """Time goes by with each look, as far as it is told."""

    def __init__(self, *steps: float) -> None:
        self.now = 0.0
        self._steps = list(steps)

    def __call__(self) -> float:
        self.now += self._steps.pop(0) if self._steps else 1e-5
        return self.now


def reader(fd: int) -> Any:
    return SimpleNamespace(sink=SimpleNamespace(fd=fd))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which call was used for each write, in order."""
    made: list[str] = []

    def noted(name: str) -> Any:
        def write(fd: int, data: bytes) -> int:
            made.append(name)
            return len(data)

        return write

    monkeypatch.setattr(writing, "os", SimpleNamespace(write=noted("plain")))
    monkeypatch.setattr(writing, "send_keeping_lock", noted("keeping"))
    return made


@contextlib.contextmanager
def another_thread() -> Iterator[None]:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    yield
    done.set()
    thread.join()


@both
def test_both_calls_do_the_same(write: Any, pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    assert write(near.fileno(), b"a\0b") == 3
    assert far.recv(10) == b"a\0b"
    with contextlib.suppress(BlockingIOError):
        while True:
            assert 0 < write(near.fileno(), b"x" * 10_000) <= 10_000
    with pytest.raises(BlockingIOError):
        write(near.fileno(), b"x" * 10_000)
    far.close()
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        write(near.fileno(), b"x")
    with pytest.raises(OSError, match="Bad file"):
        write(999_999, b"x")


def test_who_could_not_be_given_all_is_said(pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    fine, elsewhere, gone = reader(near.fileno()), reader(-1), reader(999_999)
    assert Writer().write([fine, elsewhere, gone], b"abc") == [(elsewhere, 0), (gone, -1)]
    assert far.recv(10) == b"abc"
    large = b"x" * 10_000_000
    ((one, sent),) = Writer().write([fine], large)
    assert one is fine
    assert 0 < sent < len(large)
    assert Writer().write([fine], b"abc") == [(fine, 0)]


def test_without_another_thread_nothing_else_is_done(calls: list[str]) -> None:
    Writer(Clock(0, 9, 9)).write([reader(1)] * 20, b"x")
    assert calls == ["plain"] * 20


def test_when_another_thread_computes_the_lock_is_kept_for_a_while(calls: list[str]) -> None:
    clock = Clock(0, 0.01)
    writer = Writer(clock)
    with another_thread():
        writer.write([reader(1)] * 20, b"x")
        assert calls == ["plain"] * 8 + ["keeping"] * 12
        assert writer.keeps_lock
        calls.clear()
        writer.write([reader(1)] * 3, b"x")
        assert calls == ["keeping"] * 3
        calls.clear()
        clock.now += 1
        clock._steps = [0, 0.001]  # it computes still, as a single write shows
        writer.write([reader(1)] * 20, b"x")
        assert calls == ["plain"] + ["keeping"] * 19
        calls.clear()
        clock.now += 1
        writer.write([reader(1)] * 20, b"x")  # and now it does not
        assert calls == ["plain"] * 20
        assert not writer.keeps_lock
