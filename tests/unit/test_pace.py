"""The pace: when entries are gathered, and when they are not."""

from __future__ import annotations

import pytest

from openmeet_bridge.stream.pace import PACES, Pace


class Machine:
    """A clock, and how much of the time a thread has worked."""

    def __init__(self) -> None:
        self.now = 0.0
        self.worked = 0.0
        self.pace = Pace(lambda: self.now, lambda: self.worked)

    def sweeps(self, busy: float, entries: int, seconds: float = 2.0) -> list[float]:
        """A sweep each hundredth of a second, which takes no time; return the waits."""
        waits = []
        for _ in range(round(seconds * 100)):
            self.now += 0.01
            self.worked += 0.01 * busy
            self.pace.begin(entries)
            waits.append(round(self.pace.until_next(), 6))
        return waits


def test_while_there_is_time_nothing_waits() -> None:
    assert set(Machine().sweeps(busy=0.35, entries=10)) == {0.0}


def test_entries_that_come_one_by_one_never_wait_however_busy() -> None:
    assert set(Machine().sweeps(busy=1.0, entries=1)) == {0.0}


def test_under_load_it_gathers_a_step_at_a_time_and_stays_so() -> None:
    machine = Machine()
    waits = machine.sweeps(busy=0.9, entries=3)
    assert waits == sorted(waits)
    assert list(dict.fromkeys(waits)) == list(PACES)
    assert set(machine.sweeps(busy=0.35, entries=4)) == {PACES[-1]}  # that is what it is for


def test_when_the_load_is_over_nothing_waits_again() -> None:
    for idle in ({"busy": 0.1, "entries": 4}, {"busy": 0.9, "entries": 1}):
        machine = Machine()
        machine.sweeps(busy=0.9, entries=3)
        assert machine.sweeps(**idle)[-1] == 0.0  # type: ignore[arg-type]


def test_what_a_sweep_takes_is_part_of_its_turn() -> None:
    machine = Machine()
    machine.sweeps(busy=0.9, entries=3)
    machine.pace.begin(3)
    machine.now += PACES[-1] / 4
    assert machine.pace.until_next() == pytest.approx(PACES[-1] * 3 / 4)
    machine.now += PACES[-1]
    assert machine.pace.until_next() == 0.0
