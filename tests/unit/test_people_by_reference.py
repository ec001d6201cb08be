"""People by reference: whoever is spoken of has been introduced, and nobody twice without need."""

from __future__ import annotations

import gc
import json
from typing import Any
from weakref import ref

import pytest
from msgspec.structs import replace

from openmeet_bridge.core.entry import (
    Deletion,
    Mentions,
    Person,
    Quote,
    Reaction,
    Receipt,
)
from openmeet_bridge.core.ids import EventId, Position
from openmeet_bridge.stream import circles, frames
from openmeet_bridge.stream import people as people_module
from openmeet_bridge.stream.brief import briefly, people_in
from openmeet_bridge.stream.frames import FRAME_TYPES, SSE, WS, Frame
from openmeet_bridge.stream.hub import Hub
from openmeet_bridge.stream.wires import SSE_GZIP, WS_DEFLATED, by_reference, filtered

from ..stream.parsers import Received, SseParser, WsParser
from ..support.log_entries import ROOM, moved, person, said
from .test_hub import OTHER, START, Reader, live, says
from .test_hub_subscriptions import to

ANN, BEN, CLEO = person("ann"), person("ben"), person("cleo")
NEW_ANN = replace(ANN, name="Ann the Second")
SHORT = by_reference(SSE, None)


@pytest.fixture
def hub() -> Hub:
    return Hub("0badcafe", START)


def typing(*users: Person) -> Frame:
    return frames.typing(ROOM, users)


def read(data: bytes) -> list[Received]:
    return SseParser().feed(data)


def outline(received: list[Received]) -> list[str]:
    """Say what came: of introductions the names, else the types of frames."""
    return [
        " ".join(one["name"] for one in frame.data["people"])
        if frame.type == "people"
        else frame.type
        for frame in received
    ]


def got(reader: Reader) -> list[str]:
    """Say what has come since it was asked last."""
    data, reader.written = b"".join(reader.written), []
    return outline(read(data))


# A frame


def test_only_ids_of_people_are_left_wherever_they_stand() -> None:
    entry = replace(
        said(5).entry,
        sender=ANN,
        subject=BEN,
        mentions=Mentions([CLEO, ANN], room=True),
        reply_to=Quote(EventId("$1"), person("dora"), "text", "hi"),
        thread=Quote(EventId("$2")),
        reactions=[Reaction("+", 2, [person("eve"), BEN])],
        deletion=Deletion(person("finn"), 5, "spam"),
    )
    (frame,) = frames.room_frames(replace(said(5), entry=entry), frames.cursor_at("0badcafe", 5))
    short, spoken_of = briefly(frame)
    assert [one.mxid for one in spoken_of] == [
        *["@ann:test", "@ben:test", "@cleo:test", "@dora:test", "@eve:test", "@finn:test"]
    ]
    assert (short.type, short.cursor) == (frame.type, frame.cursor)
    assert put_back(json.loads(short.data), spoken_of) == json.loads(frame.data)
    assert b"avatar_url" not in short.data
    assert briefly(frame)[0] is short, "made once"


def put_back(data: Any, known: Any) -> Any:
    """Return what a client makes of data: the people in place of their ids."""
    if isinstance(data, dict):
        if data.keys() == {"mxid"}:
            (whole,) = (one for one in known if one.mxid == data["mxid"])
            return {name: getattr(whole, name) for name in whole.__struct_fields__}
        return {key: put_back(value, known) for key, value in data.items()}
    return [put_back(one, known) for one in data] if isinstance(data, list) else data


def test_every_field_in_which_people_may_be_is_known() -> None:
    places = {name: list(people_in(kind)) for name, kind in FRAME_TYPES.items() if people_in(kind)}
    entry = ["sender", "subject", "mentions", "reply_to", "thread", "reactions", "deletion"]
    assert places == {
        "hello": ["user"],
        "people": ["people"],
        "timeline": entry,
        "timeline.changed": entry,
        "membership": ["user"],
        "typing": ["users"],
        "receipt": ["user"],
        "presence": ["user"],
    }


def test_what_stays_as_it_is() -> None:
    here = frames.cursor_at("0badcafe", 1)
    whole = [
        frames.hello(ANN, here, 1),
        frames.typing(ROOM, []),
        frames.heartbeat(here),
        Frame("typing", b'{"of":"another version"}'),
    ]
    assert SHORT.join(whole) == SSE.join(whole)
    assert SHORT.join([]) == b""


def test_who_has_two_names_in_one_frame_is_there_whole_once() -> None:
    _, frame = read(SHORT.join([typing(ANN, NEW_ANN, ANN)]))
    ann = {"mxid": ANN.mxid}
    assert frame.data["users"][0] == frame.data["users"][2] == ann
    assert frame.data["users"][1]["name"] == NEW_ANN.name


# Frames that are joined


def test_each_is_introduced_once_before_the_first_frame() -> None:
    mark = Receipt(ROOM, BEN, EventId("$1"), "00", 5)
    joined = [frames.pong(1), typing(ANN), frames.receipt(mark), typing(BEN, ANN)]
    received = read(SHORT.join(joined))
    assert outline(received) == ["Ann Ben", "pong", "typing", "receipt", "typing"]
    received = read(SHORT.join([frames.people([CLEO]), *joined, frames.people([BEN])]))
    assert outline(received) == ["Cleo Ann Ben", "pong", "typing", "receipt", "typing"]
    assert SHORT.join(joined) == SHORT.join(joined)
    assert outline(read(SHORT.join([typing(ANN)]))) == ["Ann", "typing"]


def test_who_changes_in_between_is_introduced_in_between() -> None:
    joined = [typing(ANN), typing(BEN), typing(NEW_ANN, BEN), typing(CLEO), typing(ANN)]
    assert outline(read(SHORT.join(joined))) == [
        *["Ann Ben", "typing", "typing"],
        *["Ann the Second Cleo", "typing", "typing"],
        *["Ann", "typing"],
    ]


def test_what_others_were_told_is_not_written_a_second_time_as_if_it_were_new() -> None:
    """Who is owed the same as others gets the same bytes, unless they would mislead."""
    owed, known = (typing(ANN),), dict[Any, Any]()
    assert SHORT.join(owed) is SHORT.join(owed)
    assert outline(read(SHORT.written([typing(NEW_ANN)], known))) == ["Ann the Second", "typing"]
    assert outline(read(SHORT.written([typing(NEW_ANN)], known))) == ["typing"]
    assert outline(read(SHORT.join(owed))) == ["Ann", "typing"]
    assert outline(read(SHORT.written([typing(NEW_ANN)], known))) == ["Ann the Second", "typing"]


def test_on_every_wire_and_for_those_only_of_whom_something_comes() -> None:
    joined = [typing(ANN), *frames.room_frames(said(1), frames.cursor_at("0badcafe", 1))]
    timeline = frozenset({"timeline"})
    for base in (SSE, WS, SSE_GZIP, WS_DEFLATED):
        short = [frames.people([person("someone")]), briefly(joined[1])[0]]
        assert by_reference(base, timeline).join(joined) == base.join(short)
        assert by_reference(base, None).name == base.name
    received = WsParser().feed(by_reference(WS, None).join(joined))
    assert outline(received) == ["Ann Someone", "typing", "timeline"]


def test_those_who_ask_for_the_same_have_the_same_wire() -> None:
    few = frozenset({"typing"})
    wire = by_reference(SSE, few)
    assert by_reference(SSE, few | {"hello", "people"}) is wire
    assert by_reference(SSE, frames.CHOICE) is by_reference(SSE, None) is SHORT
    assert len({wire, filtered(SSE, few), by_reference(WS, few), SHORT}) == 4
    unused = ref(by_reference(SSE, frozenset({"receipt"})))
    gc.collect()
    assert unused() is None


# A room


async def test_whom_all_in_a_room_know_is_not_introduced_again(hub: Hub) -> None:
    readers = [(await live(hub, slug, wire=SHORT))[1] for slug in ("ann", "ben")]
    _, full = await live(hub, "cleo")
    hub.to_room(ROOM, typing(ANN))
    hub.dispatch([said(101), said(102)], Position(102))
    hub.to_room(ROOM, typing(ANN, BEN))
    hub.to_room(ROOM, typing(person("someone")))
    assert readers[0].written[1] is readers[1].written[1]
    for one in readers:
        assert got(one) == [
            *["Ann", "typing"],
            *["Someone", "timeline", "timeline"],
            *["Ben", "typing", "typing"],
        ]
    assert got(full) == ["typing", "timeline", "timeline", "typing", "typing"]


async def test_who_comes_lacks_nobody(hub: Hub) -> None:
    first, one = await live(hub, "ann", wire=SHORT)
    hub.to_room(ROOM, typing(ANN))
    second, two = await live(hub, "ben", wire=SHORT)
    hub.to_room(ROOM, typing(ANN))
    hub.leave(second)
    hub.to_room(ROOM, typing(ANN))
    assert got(one) == ["Ann", "typing", "typing", "typing"]
    assert got(two) == ["Ann", "typing"]
    hub.leave(first)
    _, third = await live(hub, "cleo", wire=SHORT)
    hub.to_room(ROOM, typing(ANN))
    assert got(third) == ["Ann", "typing"]


async def test_who_comes_among_those_who_have_just_come_lacks_nobody(hub: Hub) -> None:
    readers = []
    for slug in ("ann", "ben", "cleo", "dora"):
        readers.append((await live(hub, slug, wire=SHORT))[1])
        hub.to_room(ROOM, typing(ANN))
    assert got(readers[0]) == ["Ann", *["typing"] * 4]
    assert got(readers[1]) == ["Ann", "typing"] * 3
    assert got(readers[2]) == ["Ann", "typing"] * 2
    assert got(readers[3]) == ["Ann", "typing"]


async def test_who_has_been_there_for_a_while_is_told_whom_others_know(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circles, "RIPE", 2)
    monkeypatch.setattr(circles, "MOST_TOLD", 1)
    _, one = await live(hub, "ann", wire=SHORT)
    _, two = await live(hub, "ben", wire=SHORT)
    hub.to_room(ROOM, typing(ANN, CLEO, person("dora")))
    _, three = await live(hub, "cleo", wire=SHORT)
    for speaker in (CLEO, BEN, BEN):
        hub.to_room(ROOM, typing(speaker))
    known = ["Ann Cleo Dora", "typing", "typing", "Ben", "typing", "typing"]
    assert (got(one), got(two)) == (known, known)
    # With the third piece of news they are one circle, that knows Cleo, Ben and one of the others.
    assert got(three) == ["Cleo", "typing", "Ben", "typing", "Dora Ben", "typing"]
    _, four = await live(hub, "dora", wire=SHORT)
    for speaker in (person("dora"), ANN, BEN, CLEO):
        hub.to_room(ROOM, typing(speaker))
    assert got(one) == got(three) == ["typing", "Ann", *["typing"] * 2, "Cleo", "typing"]
    assert got(four) == ["Dora", "typing", "Ann", "typing", "Ben", "typing", "Cleo", "typing"]


async def test_who_comes_twice_is_there_once(hub: Hub) -> None:
    _, reader = await live(hub, "ann", wire=SHORT)
    says(hub, 101)
    joins = moved(102, ANN, "join")  # of a room in which she is
    hub.dispatch([joins], Position(102))
    says(hub, 103)
    assert got(reader).count("timeline") == 3


async def test_of_two_circles_the_smaller_one_is_told(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circles, "RIPE", 1)
    first, one = await live(hub, "ann", wire=SHORT)
    hub.to_room(ROOM, typing(ANN))
    others = [(await live(hub, slug, wire=SHORT))[1] for slug in ("ben", "cleo")]
    hub.to_room(ROOM, typing(BEN))
    hub.to_room(ROOM, typing(CLEO))
    hub.to_room(ROOM, typing(BEN, ANN))
    for reader in others:
        assert got(reader) == ["Ben", "typing", "Cleo", "typing", "Ann", "typing"]
    assert got(one) == ["Ann", "typing", "Ben", "typing", "Cleo", "typing", "Ann", "typing"]
    hub.leave(first)
    hub.to_room(ROOM, typing(ANN))
    assert got(others[0]) == ["typing"]


async def test_who_changes_what_they_want_lacks_nobody(hub: Hub) -> None:
    subscriber, reader = await live(hub, "ann")
    _, other = await live(hub, "ben", wire=SHORT)
    hub.to_room(ROOM, typing(ANN))
    hub.change(subscriber, to(SHORT, ROOM), {ROOM})
    hub.to_room(ROOM, typing(ANN))
    hub.change(subscriber, to(SSE, ROOM), {ROOM})
    hub.to_room(ROOM, typing(ANN))
    assert got(reader) == [
        *["typing", "subscribed", "Ann", "typing"],
        *["subscribed", "typing"],
    ]
    assert got(other) == ["Ann", "typing", "typing", "typing"]


async def test_who_was_told_otherwise_elsewhere_is_told_again(hub: Hub) -> None:
    """A name may be another in each room; what was heard last counts."""
    _, both = await live(hub, "ann", ROOM, OTHER, wire=SHORT)
    _, one = await live(hub, "ben", ROOM, wire=SHORT)
    for name in (ANN, NEW_ANN, NEW_ANN):
        hub.to_room(ROOM, typing(ANN))
        hub.to_room(OTHER, typing(name))
    hub.to_user(ANN.mxid, typing(NEW_ANN))
    hub.to_room(OTHER, typing(NEW_ANN))
    hub.to_room(ROOM, typing(ANN))
    again = ["Ann", "typing", "Ann the Second", "typing"]
    assert got(both) == [
        *["Ann", "typing", "Ann", "typing"],
        *["typing", "Ann the Second", "typing", *again],
        *["Ann the Second", "typing", "typing", "Ann", "typing"],
    ]
    assert got(one) == ["Ann", "typing", "typing", *["Ann", "typing"] * 2]


async def test_what_somebody_alone_is_told_introduces_all_it_speaks_of(hub: Hub) -> None:
    _, reader = await live(hub, "ann", wire=SHORT)
    _, ben = await live(hub, "ben", wire=SHORT)
    says(hub, 101)
    hub.dispatch([moved(102, BEN, "leave")], Position(102))
    hub.to_rooms(said(1).tenant, [ROOM], frames.presence(BEN, "idle", None))
    start = ["Someone", "timeline"]
    assert got(reader) == [*start, "Ben Someone", "membership", "timeline", "Ben", "presence"]
    assert got(ben) == [*start, "room.removed"]


async def test_no_more_people_are_kept_than_is_said(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people_module, "MOST_KNOWN", 2)
    monkeypatch.setattr(people_module, "_MOST_NEWEST", 3)
    wire = by_reference(SSE, None)
    _, reader = await live(hub, "ann", wire=wire)
    for one in (ANN, BEN, ANN, CLEO, BEN, ANN):
        hub.to_room(ROOM, typing(one))
    assert got(reader) == [
        *["Ann", "typing", "Ben", "typing", "typing"],
        *["Cleo", "typing", "Ben", "typing", "Ann", "typing"],
    ]
    hub.to_room(ROOM, typing(*(person(f"p{number}") for number in range(9))))
    assert len(wire._newest) <= 3
