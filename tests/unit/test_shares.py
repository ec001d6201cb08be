"""Shares: everybody gets what is theirs, once, in the order of the log."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from openmeet_bridge.stream.audience import Audience
from openmeet_bridge.stream.frames import SSE, WS, Frame
from openmeet_bridge.stream.shares import Share, of_each, of_rooms
from openmeet_bridge.stream.subscriber import Phase, Subscriber

from ..support.log_entries import TENANT, person
from ..support.sinks import MemorySink

_rooms = st.lists(st.sets(st.integers(0, 7)), min_size=1, max_size=5)
_news = st.lists(st.integers(0, 4), min_size=1, max_size=12)


def readers() -> list[Subscriber]:
    made = [
        Subscriber(TENANT, person(f"u{n}"), MemorySink(), SSE if n % 2 else WS) for n in range(8)
    ]
    for one in made:
        one.phase = Phase.LIVE
    return made


def got(shares: list[Share], people: list[Subscriber]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for share in shares:
        for reader in share.readers:
            assert reader.wire is share.wire
            number = people.index(reader)
            assert number not in found, "everybody has part in one share"
            found[number] = [frame.type for frame in share.frames]
    return found


@given(rooms=_rooms, news=_news)
def test_of_several_rooms_everybody_gets_theirs_in_order(
    rooms: list[set[int]], news: list[int]
) -> None:
    people = readers()
    audiences = [Audience() for _ in rooms]
    for audience, members in zip(audiences, rooms, strict=True):
        for number in members:
            audience.add(people[number])
    numbered: dict[int, list[tuple[int, Frame]]] = {}
    due: dict[int, list[str]] = {}
    for place, which in enumerate(news):
        room = which % len(rooms)
        # An entry gives one frame or two.
        for frame in [Frame(f"{place}.{n}", b"{}") for n in range(1 + place % 2)]:
            numbered.setdefault(room, []).append((place, frame))
            for number in rooms[room]:
                due.setdefault(number, []).append(frame.type)
    shares = of_rooms((audiences[room], frames) for room, frames in numbered.items())
    assert got(shares, people) == due


def test_the_same_for_many_is_one_share_for_each_wire() -> None:
    people = readers()
    one, two = Frame("one", b"{}"), Frame("two", b"{}")
    outgoing = {reader: [one, two] if n < 6 else [two] for n, reader in enumerate(people)}
    shares = of_each(outgoing)
    assert len(shares) == 4
    assert got(shares, people) == {
        n: ["one", "two"] if n < 6 else ["two"] for n in range(len(people))
    }
