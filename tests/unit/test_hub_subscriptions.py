"""The hub, where streams do not want everything: rooms and frames left out, and changes."""

from __future__ import annotations

import gc
from collections.abc import Collection
from weakref import ref

import pytest

from openmeet_bridge.core.cursor import Cursor
from openmeet_bridge.core.ids import Position, RoomId
from openmeet_bridge.stream import frames
from openmeet_bridge.stream.change import Change
from openmeet_bridge.stream.deflate import sse_deflated, ws_deflated
from openmeet_bridge.stream.frames import SSE, WS, Frame, Wire
from openmeet_bridge.stream.hub import Hub
from openmeet_bridge.stream.reasons import CloseReason
from openmeet_bridge.stream.subscriber import Phase, Subscriber
from openmeet_bridge.stream.sweep import SLICE
from openmeet_bridge.stream.wires import SSE_GZIP, WS_DEFLATED, filtered

from ..support.log_entries import ROOM, moved, person, said
from ..support.waiting import eventually
from .test_hub import OTHER, START, Reader, enter, live, says

TIMELINE = frozenset({"timeline"})


@pytest.fixture
def hub() -> Hub:
    return Hub("0badcafe", START)


async def wanting(
    hub: Hub, *wanted: RoomId, slug: str = "ann", wire: Wire = SSE
) -> tuple[Subscriber, Reader]:
    """Let somebody come who is in both rooms."""
    subscriber, reader = enter(hub, slug, wire)
    subscriber.wanted = frozenset(wanted)
    hub.attach(subscriber, [ROOM, OTHER], hub.position)
    await hub.go_live(subscriber)
    return subscriber, reader


def to(wire: Wire, *wanted: RoomId) -> Change:
    def answer(rooms: Collection[RoomId], cursor: Cursor) -> Frame:
        return frames.subscribed(None, sorted(rooms), None, cursor)

    return Change(frozenset(wanted), wire, answer)


# Rooms


async def test_who_does_not_want_a_room_is_none_of_its_readers(hub: Hub) -> None:
    begun: list[str] = []
    hub.begun = begun.append
    subscriber, reader = await wanting(hub, OTHER, RoomId("!strange"))
    assert begun == [subscriber.mxid, OTHER]
    assert subscriber.rooms == {OTHER}
    assert not hub.has_readers(ROOM)
    hub.dispatch([said(101), said(102, OTHER)], Position(102))
    hub.to_room(ROOM, frames.typing(ROOM, []))
    hub.to_rooms(subscriber.tenant, [ROOM], frames.presence(person("ben"), "idle", None))
    hub.to_user(subscriber.mxid, frames.unread(ROOM, "00", 1, 1, marked=False))
    assert reader.types == ["$102", "unread"]


async def test_ones_own_comings_and_goings_are_told_of_every_room(hub: Hub) -> None:
    subscriber, reader = await wanting(hub, OTHER)
    ann = person("ann")
    hub.dispatch([moved(101, ann, "leave"), moved(102, ann, "join"), said(103)], Position(103))
    assert reader.types == ["room.removed", "room.added"]
    hub.expel(ann.mxid, ROOM)  # the log will say so
    assert (reader.types[2:], subscriber.rooms) == ([], {OTHER})
    hub.expel(ann.mxid, OTHER)
    says(hub, 104, room=OTHER)
    assert (reader.types[2:], subscriber.rooms) == (["room.removed"], set())


async def test_a_wanted_room_follows_when_its_reader_comes(hub: Hub) -> None:
    entering, early = enter(hub)
    entering.wanted = frozenset({ROOM})
    hub.dispatch([moved(101, person("ann"), "join")], Position(101))
    hub.attach(entering, [OTHER], Position(100))
    await hub.go_live(entering)
    late, reader = enter(hub, "ben")
    late.wanted = frozenset({ROOM})
    hub.attach(late, [OTHER], Position(101))
    hub.dispatch([moved(102, person("ben"), "join"), said(103)], Position(103))
    await hub.go_live(late)
    assert early.types == ["membership", "$102", "$103"]
    assert reader.types == ["room.added", "membership", "$102", "$103"]


# Frames


async def test_frames_are_left_out_and_the_same_bytes_serve_all(hub: Hub) -> None:
    few = [await live(hub, slug, wire=filtered(WS, TIMELINE)) for slug in ("ann", "ben")]
    (_, one), (_, two) = few
    _, all_of_it = await live(hub, "cleo", wire=WS)
    hub.to_room(ROOM, frames.typing(ROOM, []))
    hub.dispatch([moved(101, person("dora"), "join"), said(102)], Position(102))
    assert one.types == ["$101", "$102"]
    assert all_of_it.types == ["typing", "membership", "$101", "$102"]
    assert len(one.written) == 1  # nothing is written that holds nothing
    assert one.written[0] is two.written[0]
    for subscriber, _ in few:
        hub.close(subscriber, CloseReason.REMOVED)
    assert one.types[-1] == "bye"


def test_wires_are_shared_while_somebody_uses_them() -> None:
    wire = filtered(SSE, TIMELINE)
    assert filtered(SSE, TIMELINE | {"hello", "nonsense"}) is wire
    assert filtered(SSE, None) is filtered(SSE, frames.CHOICE) is SSE
    assert len({wire, filtered(WS, TIMELINE), filtered(SSE_GZIP, TIMELINE)}) == 3
    assert (wire.name, filtered(WS_DEFLATED, TIMELINE).name) == ("sse", "ws")
    unused = ref(filtered(SSE, frozenset({"typing"})))
    gc.collect()
    assert unused() is None


def test_a_frame_is_compressed_once() -> None:
    frame, other = frames.typing(ROOM, []), frames.heartbeat(frames.cursor_at("0badcafe", 1))
    for wire, bytes_of in (
        (SSE_GZIP, sse_deflated(frame.sse)),
        (WS_DEFLATED, ws_deflated(frame.text)),
    ):
        assert wire.join([frame]) == bytes_of
        assert frame.other[wire] is wire._written(frame)
        assert filtered(wire, TIMELINE).join([frame, other]) == wire.join([other])


# Changes


async def test_a_change_is_told_between_what_was_and_what_comes(hub: Hub) -> None:
    ended: list[str] = []
    hub.over = ended.append
    hub.greeting = lambda rooms: [frames.typing(room, []) for room in rooms]
    subscriber, reader = await wanting(hub, ROOM)
    assert reader.types == ["typing"]
    says(hub, 101)
    hub.change(subscriber, to(SSE, ROOM, OTHER), {ROOM, OTHER})
    assert reader.types[1:] == ["$101", "subscribed", "typing"]
    hub.change(subscriber, to(filtered(SSE, TIMELINE), OTHER), {OTHER})
    hub.dispatch([said(102), said(103, OTHER)], Position(103))
    assert reader.types[4:] == ["subscribed", "$103"]
    assert ended == [ROOM]
    hub.leave(subscriber)
    hub.change(subscriber, to(SSE, ROOM), {ROOM})
    assert (ended[1:], hub.has_readers(ROOM)) == ([OTHER, subscriber.mxid], False)


async def test_what_is_owed_is_written_before_a_change_and_as_it_was(hub: Hub) -> None:
    """Also where the turn of the share comes later, in which the stream was."""
    crowd = [(await live(hub, f"u{number}"))[1] for number in range(SLICE)]
    subscriber, reader = await wanting(hub, ROOM, slug="last")
    says(hub, 101)
    hub.to_room(ROOM, frames.typing(ROOM, []))
    assert (crowd[0].types, reader.types) == (["$101"], [])
    hub.change(subscriber, to(filtered(SSE, TIMELINE), ROOM), {ROOM})
    assert reader.types == ["$101", "typing", "subscribed"]
    hub.to_room(ROOM, frames.typing(ROOM, []))
    says(hub, 102)

    async def all_have_it() -> bool:
        return all(one.types[-1] == "$102" for one in [*crowd, reader])

    await eventually(all_have_it, "what was said")
    assert reader.types == ["$101", "typing", "subscribed", "$102"]
    assert crowd[-1].types == ["$101", "typing", "typing", "$102"]


async def test_what_is_told_to_one_stream_waits_for_its_replay(hub: Hub) -> None:
    subscriber, reader = enter(hub)
    hub.tell(subscriber, frames.pong(1))
    hub.attach(subscriber, [ROOM], hub.position)
    hub.tell(subscriber, frames.pong(2))
    assert reader.types == []
    await hub.go_live(subscriber)
    hub.tell(subscriber, frames.pong(3))
    assert reader.types == ["pong", "pong"]
    hub.leave(subscriber)
    hub.tell(subscriber, frames.pong(4))
    assert (len(reader.types), subscriber.phase) == (2, Phase.CLOSED)
