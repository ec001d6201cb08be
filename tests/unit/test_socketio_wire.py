"""The wire of Socket.IO: exact bytes, the same for all readers, from which nothing breaks out."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmeet_bridge.core.entry import Receipt
from openmeet_bridge.core.ids import EventId
from openmeet_bridge.core.web_message import harmless
from openmeet_bridge.stream import frames
from openmeet_bridge.stream.frames import Frame, heartbeat, ws_text
from openmeet_bridge.stream.socketio_wire import (
    DEFAULT,
    SOCKETIO,
    SOCKETIO_DEFAULT,
    SocketIoWire,
    packets,
)

from ..support.log_entries import ROOM, moved, person, said

ANN = person("ann")
HERE = frames.cursor_at("0badcafe", 26)
NOW = 1_715_000_000.123

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


def wire(namespace: str = "/matrix") -> SocketIoWire:
    return SocketIoWire(namespace, lambda: NOW)


def message(body: str = "hi", position: int = 26) -> Frame:
    (frame,) = frames.room_frames(said(position, body=body), frames.cursor_at("0badcafe", position))
    return frame


def read(data: bytes, namespace: str = "/matrix") -> list[tuple[str, dict[str, Any]]]:
    """Take bytes apart as a client does: each packet is one event with one argument."""
    found = []
    for packet in packets(data):
        head = "42" if namespace == DEFAULT else f"42{namespace},"
        text = packet.decode()
        assert text.startswith(head + "[")
        assert "\x1e" not in text
        name, argument = json.loads(text.removeprefix(head))
        found.append((name, argument))
    return found


def test_a_message_is_two_events_in_exactly_these_bytes() -> None:
    event = (
        b'42/matrix,["matrix-event",{"type":"m.room.message","event_id":"$26","room_id":"!room",'
        b'"sender":"@someone:test","sender_name":"Someone","content":{"msgtype":"m.text",'
        b'"body":"hi"},"origin_server_ts":26,"eventId":"$26","roomId":"!room","timestamp":26,'
        b'"_broadcastId":"26-000000q","_broadcastTime":1715000000123,"_cursor":"1-0badcafe-1a"}]'
    )
    twin = (
        b'42/matrix,["matrix-message",{"roomId":"!room","sender":"@someone:test",'
        b'"content":{"msgtype":"m.text","body":"hi"},"eventId":"$26","timestamp":26,'
        b'"_broadcastId":"26-000000q"}]'
    )
    assert wire().join([message()]) == b"\x81\x7e%b%b\x81\x7e%b%b" % (
        len(event).to_bytes(2, "big"),
        event,
        len(twin).to_bytes(2, "big"),
        twin,
    )


def test_the_default_namespace_is_not_named() -> None:
    found = wire(DEFAULT).join([message()])
    assert found[4:].startswith(b'42["matrix-event",{"type":"m.room.message"')
    assert read(found, DEFAULT) == read(wire().join([message()]))
    assert (SOCKETIO.name, SOCKETIO_DEFAULT.name) == ("socketio", "socketio")


@pytest.mark.parametrize("size", [1, 125, 126, 65_535, 65_536, 70_000])
def test_frames_of_any_length_are_taken_apart_again(size: int) -> None:
    header = {0: 2, 1: 4, 2: 10}[(size > 125) + (size > 65_535)]
    assert len(ws_text(b"x" * size)) == header + size
    around = b"a", b"x" * size, b""
    assert list(packets(b"".join(map(ws_text, around)))) == list(around)


def test_bytes_are_made_once_for_each_namespace() -> None:
    frame, ours, default = message(), wire(), wire(DEFAULT)
    first = ours.join([frame])
    assert frame.other[ours] == first
    frame.other[ours] = b"as before"
    assert ours.join([frame, frame]) == b"as beforeas before"
    assert default.join([frame]) != first


def test_what_the_web_app_is_not_told_is_nothing() -> None:
    coming = moved(26, ANN, "join")
    coming = msgspec.structs.replace(
        coming, entry=msgspec.structs.replace(coming.entry, membership="join")
    )
    (membership, entry), own = frames.room_frames(coming, HERE), frames.own_frame(coming, HERE)
    nothing_read = frames.unread(ROOM, "0", 1, 0, marked=False)
    silent = [heartbeat(HERE), membership, own, nothing_read]
    assert wire().join([one for one in silent if one is not None]) == b""
    (told,) = read(wire().join([entry]))
    assert told[1]["content"]["membership"] == "join"
    assert wire().join([]) == b""


def test_how_it_begins() -> None:
    (told,) = read(wire().join([frames.hello(ANN, HERE, 20.0)]))
    assert told[0] == "matrix-event"
    assert told[1] | {"_broadcastId": ""} == {
        "type": "connection_confirmed",
        "timestamp": 1_715_000_000_123,
        "message": "WebSocket connection established successfully",
        "hasMatrixCredentials": True,
        "matrixUserId": "@ann:test",
        "_broadcastId": "",
        "_broadcastTime": 1_715_000_000_123,
        "_cursor": "1-0badcafe-1a",
    }


def test_what_is_not_said_goes_by_one_event() -> None:
    receipt = Receipt(ROOM, ANN, EventId("$1"), "0", 5)
    written = [
        frames.typing(ROOM, [ANN]),
        frames.receipt(receipt),
        frames.room_removed(ANN.mxid, ROOM, "left"),
        frames.reset("too_far_behind", HERE),
    ]
    found = read(wire().join(written))
    assert {name for name, _ in found} == {"matrix-event"}
    typing, read_up_to, removed, reset = [data for _, data in found]
    assert typing["typing"] == typing["user_ids"] == typing["content"]["user_ids"] == ["@ann:test"]
    assert read_up_to["content"] == {"$1": {"m.read": {"@ann:test": {"ts": 5}}}}
    assert (removed["sender"], removed["state_key"]) == ("@ann:test", "@ann:test")
    assert (reset["type"], reset["cursor"]) == ("reset", "1-0badcafe-1a")


def test_no_two_events_have_the_same_id_and_no_event_has_two() -> None:
    # All were said in the same millisecond, and the last two are the same again.
    positions = [*range(1, 500), 36**3, 36**6, 36**6]
    found = []
    for position in positions:
        events = read(wire().join([message(position=position)]))
        assert events[0][1]["_broadcastId"] == events[1][1]["_broadcastId"]
        found.append(events[0][1]["_broadcastId"].partition("-")[2])
    assert len(set(found)) == len(positions) - 1
    assert {len(one) for one in found} == {7}


@given(bodies=st.lists(texts, min_size=1, max_size=3))
def test_no_text_breaks_out_of_its_packet(bodies: list[str]) -> None:
    hostile = [f'"}}]\x1e42/matrix,["x",{{{one}' for one in bodies]
    found = read(wire().join([message(one, 26 + n) for n, one in enumerate(hostile)]))
    assert [name for name, _ in found] == ["matrix-event", "matrix-message"] * len(bodies)
    whole = [data["content"]["body"] for name, data in found if name == "matrix-event"]
    assert whole == [harmless(one) for one in hostile]


def test_answers() -> None:
    assert wire().answer(7, b'{"success":true}') == b'43/matrix,7[{"success":true}]'
    assert wire(DEFAULT).answer(0, b"{}") == b"430[{}]"
    assert wire().event('a"b', b"{}") == b'42/matrix,["a\\"b",{}]'
