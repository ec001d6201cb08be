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


def test_what_other_processes_hear_counts_as_if_it_were_heard_here() -> None:
    ann = attendance()
    ann.count(2, 10.0, ours=False)  # a stream of another process is no sign of life by itself
    assert (ann.streams, ann.life_at) == (2, 0.0)
    ann.idle(20.0)
    ann.idle_elsewhere = 1
    ann.hear(0.2, 30.0, 31.0)  # the same sign of life, told over a line
    assert (ann.state(31.0), ann.seen_at(31.0), ann.life_at) == (IDLE, 20.0, 0.0)
    ann.hear(40.0, None, 41.0)
    ann.idle_elsewhere = 0
    assert (ann.state(41.0), ann.idle_words, ann.life_at) == (ONLINE, 0, 40.0)
    ann.hear(40.0, 50.0, 51.0)
    ann.idle_elsewhere = 1
    assert (ann.state(51.0), ann.active_at) == (ONLINE, 50.0)
    ann.idle(60.0)
    assert ann.state(60.0) == IDLE


def test_who_was_idle_stays_so_when_the_process_ends_that_was_told() -> None:
    ann = attendance()
    ann.idle_elsewhere = 1
    assert ann.state(1.0) == IDLE
    ann.count(0, 2.0, ours=False)
    ann.idle_elsewhere = 0
    ann.count(1, 5.0)
    assert (ann.state(5.0), ann.stays_idle) == (IDLE, True)
    ann.hear(50.0, None, 50.0)
    assert ann.state(50.0) == ONLINE
    ann.idle(60.0)
    ann.count(0, 61.0)
    ann.active(62.0)
    ann.count(1, 63.0)
    assert ann.state(63.0) == ONLINE
