"""Frames: what is written, and that it is written once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmeet_bridge.core.entry import Receipt
from openmeet_bridge.core.ids import EventId
from openmeet_bridge.stream import frames
from openmeet_bridge.stream.frames import SSE, WS, Frame
from openmeet_bridge.stream.reasons import CloseReason

from ..stream.parsers import Received, SseParser, WsParser
from ..support.log_entries import ROOM, moved, person, said

ANN, BEN = person("ann"), person("ben")
HERE = frames.cursor_at("0badcafe", 26)
CURSOR = "1-0badcafe-1a"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


def read(wire: frames.Wire, written: Sequence[Frame]) -> list[Received]:
    parser = SseParser() if wire is SSE else WsParser()
    return parser.feed(wire.join(written))


def data(frame: Frame) -> Any:
    return json.loads(frame.data)


def test_server_sent_events() -> None:
    frame = Frame("x.y", b'{"a":1}', HERE)
    assert frame.sse == b'event: x.y\nid: 1-0badcafe-1a\ndata: {"a":1}\n\n'
    assert Frame("x", b"{}").sse == b"event: x\ndata: {}\n\n"
    assert SSE.join([Frame("x", b"{}")] * 2) == b"event: x\ndata: {}\n\n" * 2


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_web_socket_frames(size: int, header: bytes) -> None:
    around = len(b'{"type":"t","data":""}')
    frame = Frame("t", b'"%b"' % (b"x" * (size - around)))
    assert frame.ws.startswith(header + b'{"type":"t","data":"x')
    assert len(frame.ws) == len(header) + size
    with_cursor = Frame("t", b"{}", HERE).ws
    assert with_cursor[2:] == b'{"type":"t","cursor":"1-0badcafe-1a","data":{}}'


def test_bytes_are_made_once() -> None:
    frame = frames.typing(ROOM, [ANN])
    assert frame.sse is frame.sse
    assert frame.ws is frame.ws


@pytest.mark.parametrize("wire", [SSE, WS], ids=["sse", "ws"])
@given(names=st.lists(texts, max_size=4))
def test_any_text_survives_either_wire(wire: frames.Wire, names: list[str]) -> None:
    written = [next(frames.room_frames(said(26, body=name), HERE)) for name in names]
    if not written:
        return
    received = read(wire, written)
    assert [one.data["text"] for one in received] == names
    assert {(one.type, one.cursor) for one in received} == {("timeline", CURSOR)}


def test_line_breaks_between_the_tokens_of_a_content_do_not_end_the_line() -> None:
    loose = Frame("timeline", b'{"content":{\r\n  "a":\r1,\n"b":2}}')
    assert loose.sse.count(b"data: ") == 4
    (received,) = read(SSE, [loose])
    assert received.data == {"content": {"a": 1, "b": 2}}


def test_hello() -> None:
    frame = frames.hello(ANN, HERE, 20.0)
    assert (frame.type, str(frame.cursor)) == ("hello", CURSOR)
    # The reset that follows has the cursor: who is cut off in between must be reset again.
    assert frames.hello(ANN, HERE, 20.0, begins=False).cursor is None
    user = {"mxid": "@ann:test", "name": "Ann", "avatar_url": None, "slug": "ann"}
    assert data(frame) == {"user": user, "cursor": CURSOR, "heartbeat_ms": 20_000}


def test_reset_carries_its_cursor_twice() -> None:
    frame = frames.reset("malformed_cursor", HERE)
    assert str(frame.cursor) == CURSOR
    assert data(frame) == {"reason": "malformed_cursor", "cursor": CURSOR}


@pytest.mark.parametrize("reason", list(CloseReason))
def test_bye(reason: CloseReason) -> None:
    frame = frames.bye(reason)
    back = reason.value not in ("too_many_streams", "too_many_messages", "removed", "idle")
    assert data(frame) == {"reason": reason.value, "reconnect": back}
    assert frame.cursor is None
    assert 1000 <= reason.ws_code < 5000


def test_what_is_not_in_the_log_has_no_cursor() -> None:
    mark = Receipt(ROOM, BEN, EventId("$1"), "00", 5)
    made = [
        frames.typing(ROOM, []),
        frames.receipt(mark),
        frames.send_failed(ROOM, "c1", "M_FORBIDDEN", "No."),
    ]
    assert [frame.cursor for frame in made] == [None] * 3
    assert data(made[0]) == {"room_id": ROOM, "users": []}
    assert data(made[1])["event_id"] == "$1"
    assert data(made[2]) == {
        "room_id": ROOM,
        "client_txn_id": "c1",
        "errcode": "M_FORBIDDEN",
        "error": "No.",
    }


def test_a_heartbeat_says_where_to_go_on() -> None:
    frame = frames.heartbeat(HERE)
    assert (frame.type, str(frame.cursor), data(frame)) == ("heartbeat", CURSOR, {})


def test_a_message_is_one_frame() -> None:
    (frame,) = frames.room_frames(said(26), HERE)
    assert (frame.type, str(frame.cursor)) == ("timeline", CURSOR)
    entry = data(frame)
    assert entry["event_id"] == "$26"
    assert not {"state_key", "client_txn_id", "subject", "deletion"} & entry.keys()
    assert frames.own_frame(said(26), HERE) is None


def test_a_coming_is_told_before_its_entry_and_only_that_has_the_cursor() -> None:
    logged = moved(26, BEN, "join")
    change, entry = frames.room_frames(logged, HERE)
    assert (change.type, change.cursor) == ("membership", None)
    assert data(change)["membership"] == "join"
    assert "reason" not in data(change)
    assert (entry.type, str(entry.cursor)) == ("timeline", CURSOR)
    own = frames.own_frame(logged, HERE)
    assert own is not None
    assert (own.type, own.cursor) == ("room.added", None)
    assert data(own) == {"room_id": ROOM, "kind": "group", "name": "Hikers"}


@pytest.mark.parametrize(
    ("membership", "by_self", "told"),
    [("leave", True, "left"), ("leave", False, "removed"), ("ban", False, "banned")],
)
def test_a_going_is_told_to_who_goes(membership: str, by_self: bool, told: str) -> None:
    logged = moved(26, BEN, membership, by_self=by_self, reason="spam")
    own = frames.own_frame(logged, HERE)
    assert own is not None
    assert (own.type, str(own.cursor)) == ("room.removed", CURSOR)
    assert data(own) == {"room_id": ROOM, "reason": told}
    change, _ = frames.room_frames(logged, HERE)
    assert data(change)["reason"] == "spam"


def test_every_frame_is_documented() -> None:
    mark = Receipt(ROOM, BEN, EventId("$1"), "00", 5)
    made = [
        frames.hello(ANN, HERE, 1),
        frames.people([ANN]),
        frames.reset("x", HERE),
        frames.bye(CloseReason.SHUTDOWN),
        frames.typing(ROOM, []),
        frames.receipt(mark),
        frames.unread(ROOM, "00", 1, 1, marked=False),
        frames.presence(ANN, "idle", None),
        frames.send_failed(ROOM, "c", "e", "t"),
        *frames.room_frames(msgspec.structs.replace(said(26), changed=True), HERE),
        *frames.room_frames(moved(26, BEN, "join"), HERE),
        frames.own_frame(moved(26, BEN, "join"), HERE),
        frames.own_frame(moved(26, BEN, "leave"), HERE),
        frames.subscribed(1, None, None, HERE),
        frames.pong(None),
        frames.complaint(None, "e", "t"),
    ]
    assert {frame.type for frame in made if frame} == set(frames.FRAME_TYPES)
