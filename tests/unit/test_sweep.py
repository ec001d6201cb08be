"""The sweep: everything once and in order to each reader, small rooms before the rest of large."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmeet_bridge.core.cursor import Cursor
from openmeet_bridge.core.ids import Position
from openmeet_bridge.stream import sweep as sweep_module
from openmeet_bridge.stream.frames import SSE, WS, Frame, Wire
from openmeet_bridge.stream.shares import Share
from openmeet_bridge.stream.subscriber import Subscriber
from openmeet_bridge.stream.sweep import MOST_BEHIND, Sweep

from ..support.log_entries import TENANT, person
from ..support.sinks import MemorySink


class Sink(MemorySink):
    """What a reader got: the numbers of the frames, and in how many writes."""

    def __init__(self) -> None:
        self.got: list[int] = []
        self.writes = 0

    def write(self, data: bytes) -> None:
        self.writes += 1
        self.got += [int(part.split(b"}")[0]) for part in data.split(b'{"n":')[1:]]


def frame(number: int) -> Frame:
    return Frame("timeline", b'{"n":%d}' % number, Cursor("0badcafe", Position(number)))


def reader(wire: Wire = SSE) -> Subscriber:
    return Subscriber(TENANT, person("ann"), Sink(), wire)


def sink(one: Subscriber) -> Sink:
    assert isinstance(one.sink, Sink)
    return one.sink


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_module, "SLICE", 3)


@pytest.fixture
async def sweep() -> Sweep:
    return Sweep(lambda _: None, 1 << 20)


async def finished(sweep: Sweep) -> None:
    while sweep.under_way:  # noqa: ASYNC110  (each turn of the loop is a slice)
        await asyncio.sleep(0)


async def test_a_slice_is_written_at_once_and_the_rest_in_later_turns(sweep: Sweep) -> None:
    readers = [reader() for _ in range(8)]
    sweep.send([Share(SSE, [frame(1)], readers)])
    assert [sink(one).got for one in readers] == [[1]] * 3 + [[]] * 5
    await asyncio.sleep(0)
    assert [sink(one).got for one in readers] == [[1]] * 6 + [[]] * 2
    await finished(sweep)
    assert [sink(one).got for one in readers] == [[1]] * 8


async def test_what_is_new_waits_for_those_who_have_not_had_the_old(sweep: Sweep) -> None:
    readers = [reader() for _ in range(8)]
    for number in (1, 2, 3):
        sweep.send([Share(SSE, [frame(number)], list(readers))])
    await finished(sweep)
    assert [sink(one).got for one in readers] == [[1, 2, 3]] * 8
    # Who had not had the first one got all at once.
    assert [sink(one).writes for one in readers] == [2] * 3 + [1] * 5


async def test_a_small_room_does_not_wait_and_brings_what_is_owed_first(sweep: Sweep) -> None:
    crowd = [reader() for _ in range(9)]
    other = reader(WS)
    sweep.send([Share(SSE, [frame(1)], list(crowd))])
    small = [Share(SSE, [frame(2)], [crowd[8]]), Share(WS, [frame(2)], [other])]
    sweep.send(small, urgent=2)
    assert sink(crowd[8]).got == [1, 2]
    assert sink(other).got == [2]
    assert sink(crowd[5]).got == []
    await finished(sweep)
    assert [sink(one).got for one in crowd] == [[1]] * 8 + [[1, 2]]


async def test_who_ends_gets_what_is_owed_before_the_end(sweep: Sweep) -> None:
    readers = [reader() for _ in range(6)]
    sweep.send([Share(SSE, [frame(1)], list(readers))])
    sweep.settle(readers[5])
    sweep.settle(readers[0])
    assert [sink(readers[0]).got, sink(readers[5]).got] == [[1], [1]]
    await finished(sweep)
    assert [sink(one).got for one in readers] == [[1]] * 6


async def test_who_falls_too_far_behind_is_named() -> None:
    slow: list[Subscriber] = []
    sweep = Sweep(slow.append, 10)
    readers = [reader() for _ in range(2)]
    sink(readers[1]).buffered = lambda: 11  # type: ignore[method-assign]
    sweep.send([Share(SSE, [frame(1)], readers)])
    assert slow == [readers[1]]


async def test_too_much_at_once_is_waited_for(sweep: Sweep) -> None:
    await sweep.keep_up()
    readers = [reader() for _ in range(50)]
    for number in range(MOST_BEHIND + 1):
        sweep.send([Share(SSE, [frame(number)], list(readers))])
    assert sweep.under_way
    await sweep.keep_up()
    assert not sweep.under_way


async def test_what_a_small_room_gets_at_once_is_not_waited_for(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep.send([Share(SSE, [frame(0)], [reader() for _ in range(300)])])
    few = [reader()]
    for number in range(1, 2 * MOST_BEHIND):
        sweep.send([Share(SSE, [frame(number)], list(few))], urgent=1)
    assert sink(few[0]).got == list(range(1, 2 * MOST_BEHIND))
    monkeypatch.setattr(sweep_module, "_MOMENT", 0.0)
    await sweep.keep_up()
    assert sweep.under_way


async def test_a_long_sweep_goes_in_shorter_slices(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_module, "_LONG", 5)
    monkeypatch.setattr(sweep_module, "_SHORT", 1)
    crowd = [reader() for _ in range(12)]
    sweep.send([Share(SSE, [frame(1)], list(crowd))])
    reached = []
    while sweep.under_way:
        reached.append(sum(bool(sink(one).got) for one in crowd))
        await asyncio.sleep(0)
    assert reached == [3, 4, 5, 6, 7, 10]
    assert [sink(one).got for one in crowd] == [[1]] * 12


_rooms = st.lists(st.sets(st.integers(0, 9), min_size=1), min_size=1, max_size=4)
_acts = st.lists(st.one_of(st.integers(0, 3), st.none(), st.just("settle")), max_size=20)


@settings(max_examples=150)
@given(rooms=_rooms, acts=_acts)
def test_however_it_comes_everybody_gets_all_once_and_in_order(
    rooms: list[set[int]], acts: list[int | str | None]
) -> None:
    """A number is news of a room; None is a turn of the loop."""

    async def run() -> None:
        sweep = Sweep(lambda _: None, 1 << 20)
        readers = [reader(SSE if n % 2 else WS) for n in range(10)]
        due: dict[int, list[int]] = {n: [] for n in range(10)}
        for number, act in enumerate(acts):
            if act is None:
                await asyncio.sleep(0)
            elif isinstance(act, str):
                sweep.settle(readers[number % 10])
            else:
                room = sorted(rooms[act % len(rooms)])
                frames = [frame(number)]
                shares = [
                    Share(wire, frames, [readers[n] for n in room if readers[n].wire is wire])
                    for wire in (SSE, WS)
                ]
                sweep.send(shares, urgent=len(room) if len(room) <= 3 else 0)
                for n in room:
                    due[n].append(number)
        await finished(sweep)
        assert {n: sink(one).got for n, one in enumerate(readers)} == due

    asyncio.run(run())
