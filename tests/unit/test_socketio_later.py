"""Timers of Socket.IO's clients: one for all, never early, and of use to those only who stay."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from openmeet_bridge.api.web_app import socketio_later
from openmeet_bridge.api.web_app.socketio_later import Later
from openmeet_bridge.api.web_app.socketio_limits import SocketLimits
from openmeet_bridge.api.web_app.socketio_pulse import Pulse
from openmeet_bridge.api.web_app.socketio_strangers import Strangers


class Loop:
    """An event loop's clock, which goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[tuple[float, Any]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, at: float, call: Any, *, context: Any) -> None:
        assert not dict(context)  # nothing of any request
        self.timers.append((at, call))

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while self.timers and min(self.timers)[0] <= until:
            first = min(self.timers)
            self.timers.remove(first)
            self.now = first[0]
            first[1]()
        self.now = until


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    made = Loop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: made)
    return made


def test_all_are_called_in_time_and_with_one_timer(loop: Loop) -> None:
    called: list[tuple[str, float]] = []
    later = Later(25.0, lambda sid, _: called.append((sid, loop.now)))
    due = {}
    for number in range(300):
        due[f"{number}"] = later.add(f"{number}")
        assert len(loop.timers) == 1
        loop.wait(0.01)
    loop.wait(30)
    assert [sid for sid, _ in called] == list(due)
    for sid, at in called:
        assert 0 <= at - due[sid] < 0.2
    assert not loop.timers
    later.add("again")
    loop.wait(26)
    assert called[-1][0] == "again"


def test_a_mistake_with_one_is_not_the_end_of_the_others(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(socketio_later.log, "exception", logged.append, raising=False)
    called: list[str] = []

    def over(sid: str, _: float) -> None:
        called.append(sid)
        if sid == "first":
            raise RuntimeError("a mistake of ours")

    later = Later(1.0, over)
    for sid in ("first", "second"):
        later.add(sid)
    loop.wait(2)
    assert called == ["first", "second"]
    assert logged == ["socketio.timer_failed"]


class Client:
    """A client that counts what happens to it."""

    def __init__(self) -> None:
        self.asked = 0
        self.ends = 0

    def ask(self) -> None:
        self.asked += 1

    def silent(self) -> None:
        self.ends += 1


def test_a_question_is_good_for_its_own_time_only(loop: Loop) -> None:
    # Asked again before the first question is over: it is the last one that counts.
    client = Client()
    pulse = Pulse(SocketLimits(ping_interval=1.0, ping_timeout=5.0), {"sid": client}.get)
    pulse.begin("sid")
    for count in range(1, 8):
        loop.wait(1.01)
        assert client.asked == count
        pulse.felt("sid")
        pulse.felt("sid")  # once too often changes nothing
    assert not pulse._asked
    loop.wait(1.01)
    assert client.asked == 8
    loop.wait(4.9)
    assert client.ends == 0
    loop.wait(0.2)
    assert client.ends == 1
    assert not pulse._asked
    loop.wait(60)
    assert client.asked == 8
    assert not loop.timers


def test_nothing_is_kept_of_who_has_gone(loop: Loop) -> None:
    clients = {"first": Client(), "second": Client()}
    pulse = Pulse(SocketLimits(), clients.get)
    for sid in clients:
        pulse.begin(sid)
    gone = clients.pop("first")
    loop.wait(26)
    pulse.end("second")
    other = clients.pop("second")
    loop.wait(60)
    assert (gone.asked, other.asked, gone.ends, other.ends) == (0, 1, 0, 0)
    assert not pulse._asked
    assert not loop.timers


def test_who_was_known_meanwhile_has_all_the_time_again(loop: Loop) -> None:
    overdue: list[str] = []
    strangers = Strangers(15.0, overdue.append)
    strangers.add("sid")
    loop.wait(10)
    strangers.discard("sid")
    strangers.add("sid")
    loop.wait(14.9)
    assert not overdue
    assert len(strangers) == 1
    loop.wait(0.2)
    assert overdue == ["sid"]
    assert len(strangers) == 0
