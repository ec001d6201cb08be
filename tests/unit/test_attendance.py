"""Attendance: how somebody is there, from their streams and from what their clients say."""

from __future__ import annotations

from openmeet_bridge.core.presence import IDLE, OFFLINE, ONLINE, Attendance, Patience

PATIENCE = Patience(idle=300.0, offline=10.0)


def attendance(streams: int = 1, now: float = 0.0) -> Attendance:
    made = Attendance(PATIENCE, now)
    made.count(streams, now)
    return made


def test_who_is_silent_is_idle_and_who_has_no_stream_is_gone() -> None:
    ann = attendance()
    assert [ann.state(now) for now in (0.0, 299.0, 300.0)] == [ONLINE, ONLINE, IDLE]
    ann.active(400.0)
    assert (ann.state(400.0), ann.seen_at(450.0)) == (ONLINE, 450.0)
    ann.count(0, 500.0)
    assert [ann.state(now) for now in (509.0, 510.0)] == [ONLINE, OFFLINE]
    assert ann.seen_at(600.0) == 500.0


def test_a_page_that_is_loaded_again_is_not_seen_to_go() -> None:
    ann = attendance()
    ann.idle(5.0)
    ann.count(0, 10.0)
    assert ann.state(11.0) == IDLE
    ann.count(1, 15.0)  # a connection that came back, and no sign of life
    assert (ann.state(100.0), ann.seen_at(100.0)) == (IDLE, 5.0)
    ann.count(2, 110.0)  # another window
    assert ann.state(110.0) == ONLINE
    ann.count(1, 111.0)
    ann.count(2, 112.0)
    assert ann.active_at == 110.0
    ann.count(1, 120.0)
    ann.count(2, 131.0)
    assert ann.active_at == 131.0


def test_the_window_that_is_looked_at_counts() -> None:
    ann = attendance(2)
    ann.idle(1.0)
    assert ann.state(1.0) == ONLINE
    ann.active(2.0)  # the other one first,
    ann.idle(2.0)  # then this one: they may come in either order
    assert ann.state(2.0) == ONLINE
    ann.idle(3.0)
    assert (ann.state(3.0), ann.seen_at(200.0)) == (IDLE, 3.0)
    ann.active(4.0)
    assert ann.state(4.0) == ONLINE
    ann.idle(5.0)
    ann.count(1, 6.0)  # the window that was looked at is closed
    assert ann.state(6.0) == IDLE
