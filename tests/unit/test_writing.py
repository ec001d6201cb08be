"""Writing to many sockets: who got how much, and what is done while another thread computes."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from openmeet_bridge.stream import writing
from openmeet_bridge.stream.writing import Writer, keeping_lock


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


class Others:
    """Other threads, which have worked for as long as they are told."""

    def __init__(self, *worked: float) -> None:
        self.worked = [0.0, *worked]

    def __call__(self) -> float:
        return self.worked.pop(0) if len(self.worked) > 1 else self.worked[0]


def reader(fd: int) -> Any:
    return SimpleNamespace(sink=SimpleNamespace(fd=fd))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which call was used for each write, in order."""
    made: list[str] = []

    def write(fd: int, data: bytes) -> int:
        made.append("plain")
        return len(data)

    def keeping(numbers: Sequence[int], data: bytes) -> list[int]:
        made.extend(["keeping"] * len(numbers))
        return [len(data)] * len(numbers)

    monkeypatch.setattr(writing, "os", SimpleNamespace(write=write))
    monkeypatch.setattr(writing, "keeping_lock", keeping)
    return made


def test_what_keeps_the_lock_writes_the_same(pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    number = near.fileno()
    assert keeping_lock([number, 999_999, number], b"a\0b") == [3, 0, 3]
    assert far.recv(10) == b"a\0ba\0b"
    taken = keeping_lock([number] * 200, b"x" * 10_000)
    assert taken[0] == 10_000
    assert taken[-1] == 0
    assert sum(taken) == sum(iter(lambda: read(far), 0))
    far.close()
    assert keeping_lock([number], b"x") == [0]


def read(far: socket.socket) -> int:
    try:
        return len(far.recv(1 << 20))
    except BlockingIOError:
        return 0


@pytest.mark.parametrize("keeps", [False, True])
def test_each_reader_is_told_of_apart(
    pair: tuple[socket.socket, socket.socket], keeps: bool
) -> None:
    near, far = pair
    writer = Writer()
    writer._keeps_until = 1e12 if keeps else 0.0
    fine, elsewhere, gone = reader(near.fileno()), reader(-1), reader(999_999)
    room = [fine] * 20 + [elsewhere] + [fine] * 5 + [gone] + [fine]
    # With the lock kept it is found out when the rest is written again.
    assert writer.write(room, b"abc") == [(elsewhere, 0), (gone, 0 if keeps else -1)]
    assert far.recv(100) == b"abc" * 26


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


def test_another_program_changes_nothing(calls: list[str]) -> None:
    Writer(Clock(0, 0, 9, 9), Others()).write([reader(1)] * 40, b"x")
    assert calls == ["plain"] * 40


def test_when_another_thread_computes_the_lock_is_kept_for_a_while(calls: list[str]) -> None:
    clock = Clock(0, 0, 0, 0.01)
    writer = Writer(clock, Others(0.009, 0.2, 0.2, 0.2))
    writer.write([reader(1)] * 20, b"x")
    assert calls == ["plain"] * 16 + ["keeping"] * 4
    assert writer.keeps_lock
    calls.clear()
    writer.write([reader(1)] * 3, b"x")
    assert calls == ["keeping"] * 3
    calls.clear()
    clock.now += 1
    clock._steps = [0, 0, 0.001]  # it computes still, as a single write shows
    writer.write([reader(1)] * 20, b"x")
    assert calls == ["plain"] + ["keeping"] * 19
    calls.clear()
    clock.now += 1
    clock._steps = [0, 0, 0.001]  # as slow, but by another program
    writer.write([reader(1)] * 20, b"x")
    assert calls == ["plain"] * 20
    assert not writer.keeps_lock
