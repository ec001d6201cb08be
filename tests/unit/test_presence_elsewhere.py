"""Presence elsewhere: what other processes say, for how long it counts, and how much is kept."""

from __future__ import annotations

import pytest

from openmeet_bridge.bridge import presence_elsewhere
from openmeet_bridge.bridge.presence_elsewhere import SILENT, STALE, PresenceElsewhere
from openmeet_bridge.core.ids import Mxid
from openmeet_bridge.stream.signals import Attendant

from ..support.clock import Clock

ANN, BEN = Mxid("@ann:test"), Mxid("@ben:test")


class Line:
    """What comes from two processes."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.elsewhere = PresenceElsewhere(self.clock)

    def says(self, origin: str, *people: Attendant) -> None:
        self.elsewhere.speaks(origin)
        for one in people:
            self.elsewhere.put(origin, one)

    def expire(self, seconds: float, *, deaf: bool = False) -> list[Mxid]:
        self.clock.wait(seconds)
        return self.elsewhere.expire(deaf=deaf)


def test_streams_and_idle_clients_are_summed_over_processes() -> None:
    line = Line()
    line.says("one", Attendant(ANN, 2, 1, 5.0, 3.0))
    line.says("two", Attendant(ANN, 1, 1, 5.0, 1.0), Attendant(BEN, 0, 0))
    elsewhere, now = line.elsewhere, line.clock.now
    assert (elsewhere.streams(ANN), elsewhere.streams(BEN)) == (3, 0)
    assert (ANN in elsewhere, BEN in elsewhere, len(elsewhere)) == (True, False, 1)
    # Only who has said so since the last sign of life.
    assert [elsewhere.idle(ANN, now - age) for age in (4.0, 2.0, 0.0)] == [2, 1, 0]
    line.says("two", Attendant(ANN, 0))
    assert elsewhere.streams(ANN) == 2
    line.says("one", Attendant(ANN, 0))
    assert ANN not in elsewhere
    line.says("one", Attendant(ANN, 1))
    elsewhere.forget(ANN)
    assert not elsewhere


def test_who_falls_silent_is_forgotten_and_who_is_not_named_again() -> None:
    line = Line()
    line.says("one", Attendant(ANN, 1))
    line.says("two", Attendant(ANN, 1), Attendant(BEN, 1))
    assert line.expire(SILENT) == []
    line.says("two")
    assert line.expire(1) == [ANN]
    assert line.elsewhere.streams(ANN) == 1
    for _ in range(int(STALE // SILENT)):
        line.says("two", Attendant(BEN, 1))
        line.expire(SILENT)
    line.says("two")
    assert line.expire(SILENT) == [ANN]
    assert line.elsewhere.leave("two") == [BEN]
    assert line.elsewhere.leave("nobody") == []


def test_while_nothing_can_be_heard_nobody_is_forgotten() -> None:
    line = Line()
    line.says("one", Attendant(ANN, 1))
    for _ in range(10):
        assert line.expire(SILENT, deaf=True) == []
    assert line.expire(SILENT - 1) == []
    assert line.expire(2) == [ANN]


def test_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence_elsewhere, "_PEOPLE", 1)
    line = Line()
    line.says("one", Attendant(ANN, 1), Attendant(BEN, 1))
    line.says("two", Attendant(ANN, 1))
    assert (line.elsewhere.streams(ANN), line.elsewhere.streams(BEN)) == (2, 0)
