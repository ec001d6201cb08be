"""Recent entries: what somebody missed, from memory, or not at all."""

from __future__ import annotations

import msgspec
import pytest

from openmeet_bridge.core.entry import Deletion, Edited, LogEntry, Quote
from openmeet_bridge.core.ids import EventId, Position, RoomId
from openmeet_bridge.stream.recent import Recent

from ..support.clock import Clock
from ..support.log_entries import ROOM, moved, person, said

OTHER = RoomId("!other")
ANN = person("ann")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recent(clock: Clock) -> Recent:
    return Recent(Position(100), most=5, most_bytes=20_000, seconds=60, clock=clock)


def missed(
    recent: Recent, after: int, up_to: int = 1000, *rooms: RoomId
) -> list[tuple[int, str]] | None:
    found = recent.missed(ANN.mxid, rooms or (ROOM,), Position(after), Position(up_to))
    return None if found is None else [(one.position, one.logged.entry.text) for one in found]


def changed(position: int, line: LogEntry, text: str) -> LogEntry:
    entry = msgspec.structs.replace(line.entry, text=text, revision=position)
    return msgspec.structs.replace(line, position=Position(position), entry=entry, changed=True)


def test_what_was_missed_of_ones_rooms_comes_in_log_order(recent: Recent) -> None:
    recent.add([said(101), said(102, OTHER), said(103)])
    recent.add([said(104, RoomId("!foreign"))])
    assert missed(recent, 100, 1000, OTHER, ROOM) == [(101, "hi"), (102, "hi"), (103, "hi")]
    assert missed(recent, 101, 102, OTHER, ROOM) == [(102, "hi")]
    assert missed(recent, 103) == []
    assert missed(recent, 99) is None  # from before the beginning


def test_what_is_not_for_everybody_is_for_its_readers(recent: Recent) -> None:
    for position, readers in ((101, {ANN.mxid}), (102, {person("ben").mxid})):
        recent.add([msgspec.structs.replace(said(position), readers=frozenset(readers))])
    assert missed(recent, 100) == [(101, "hi")]


def test_who_came_or_went_meanwhile_asks_the_log(recent: Recent) -> None:
    recent.add([said(101), moved(102, ANN, "join"), said(103), moved(104, person("ben"), "join")])
    assert missed(recent, 101) is None
    assert missed(recent, 102) == [(103, "hi"), (104, "Ben: join")]


def test_a_line_is_shown_as_it_is_now(recent: Recent) -> None:
    """What was deleted while somebody was away is not given to them."""
    line = said(101, body="a secret")
    recent.add([line, said(102)])
    recent.add([changed(103, line, "edited")])
    before = recent.missed(ANN.mxid, [ROOM], Position(100), Position(103))
    assert before is not None
    assert b"edited" in before[0].frames("0badcafe")[0].data
    recent.add([changed(104, line, "")])
    assert missed(recent, 100) == [(101, ""), (102, "hi"), (104, "")]
    found = recent.missed(ANN.mxid, [ROOM], Position(100), Position(104))
    assert found is not None
    frames = [frame for one in found for frame in one.frames("0badcafe")]
    assert [frame.type for frame in frames] == ["timeline", "timeline", "timeline.changed"]
    assert not any(b"secret" in frame.data or b"edited" in frame.data for frame in frames)


def test_a_line_that_is_moved_comes_once_where_it_is_now(recent: Recent) -> None:
    line = said(101, body="late")
    recent.add([line, said(102)])
    recent.add([msgspec.structs.replace(line, position=Position(103))])
    assert missed(recent, 100) == [(102, "hi"), (103, "late")]
    recent.add([said(position) for position in range(104, 110)])  # and all are dropped in time
    assert [position for position, _ in missed(recent, 104) or ()] == [105, 106, 107, 108, 109]


@pytest.mark.parametrize("how", ["deletion", "edited"])
def test_what_quotes_a_line_that_has_changed_is_read_from_the_log(recent: Recent, how: str) -> None:
    line, answer = said(101, body="a secret"), said(102, body="yes")
    quote = Quote(line.entry.event_id, text="a secret")
    entry = msgspec.structs.replace(answer.entry, reply_to=quote)
    recent.add([line, msgspec.structs.replace(answer, entry=entry), said(103)])
    reacted = changed(104, line, "a secret")
    recent.add([reacted])
    assert missed(recent, 100) is not None  # a reaction changes no quote
    new = {"deletion": Deletion(), "edited": Edited(EventId("$e"), 5, 1)}[how]
    entry = msgspec.structs.replace(line.entry, text="", **{how: new})
    recent.add([msgspec.structs.replace(reacted, position=Position(105), entry=entry)])
    assert missed(recent, 101) is None
    assert missed(recent, 102) == [(103, "hi"), (105, "")]
    assert recent._quoted == {}


def test_all_can_be_forgotten(recent: Recent) -> None:
    recent.add([said(101), said(102)])
    recent.forget()
    assert missed(recent, 101) is None
    recent.add([said(103)])
    assert missed(recent, 102) == [(103, "hi")]


def test_frames_are_made_once(recent: Recent) -> None:
    recent.add([said(101)])
    found = recent.missed(ANN.mxid, [ROOM], Position(100), Position(101))
    assert found is not None
    (one,) = found
    assert one.frames("0badcafe") is one.frames("0badcafe")


def test_it_is_bounded_by_number_by_bytes_and_by_time(recent: Recent, clock: Clock) -> None:
    recent.add([said(position) for position in range(101, 108)])
    assert missed(recent, 101) is None
    assert missed(recent, 102) == [(position, "hi") for position in range(103, 108)]
    recent.add([said(108, body="x" * 15_000), said(109, body="x" * 15_000)])
    assert [position for position, _ in missed(recent, 108) or ()] == [109]
    assert missed(recent, 107) is None
    clock.wait(61)
    recent.add([moved(110, ANN, "join"), said(111)])
    assert missed(recent, 108) is None
    assert missed(recent, 110) == [(111, "hi")]
    clock.wait(61)
    recent.add([said(112)])
    assert missed(recent, 111) == [(112, "hi")]
    assert (len(recent._all), len(recent._rooms), len(recent._events)) == (1, 1, 1)
    assert recent._moved == {}
