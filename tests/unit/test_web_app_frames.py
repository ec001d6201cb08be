"""Frames in the words of OpenMeet's web app: every field that it reads, and ids of their own."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from openmeet_bridge.api.web_app.sse import WEB_APP_SSE
from openmeet_bridge.core.entry import Deletion, Entry, LogEntry, Reaction, Receipt
from openmeet_bridge.core.ids import EventId, Position
from openmeet_bridge.stream import frames
from openmeet_bridge.stream.frames import Frame, heartbeat
from openmeet_bridge.stream.reasons import CloseReason
from openmeet_bridge.stream.web_app_frames import EVENTS, translated

from ..stream.parsers import Received, SseParser
from ..support.log_entries import ROOM, moved, person, said

ANN, BEN = person("ann"), person("ben")
NOW = 1_715_000_000.5
HERE = frames.cursor_at("0badcafe", 26)
PLACED = {"_broadcastTime": 1_715_000_000_500, "_cursor": "1-0badcafe-1a"}


@dataclass
class Told:
    """What the web app is told."""

    kind: str
    data: dict[str, Any]


def told(frame: Frame) -> Told | None:
    """Return what the web app is told by a frame, checked for what all of it has in common."""
    found = translated(frame, lambda: NOW)
    if not found:
        return None
    ((kind, data),) = found
    value = json.loads(data)
    assert kind in EVENTS
    assert value["type"] == kind
    assert re.fullmatch(r"\d+-[0-9a-z]{7}", value["_broadcastId"])
    assert value["_broadcastTime"] == PLACED["_broadcastTime"]
    assert value.get("_cursor") == (None if frame.cursor is None else str(frame.cursor))
    return Told(kind, value)


def changed(entry: Entry) -> Frame:
    """A line that is shown in another way now."""
    logged = LogEntry(Position(30), said(30).tenant, entry, changed=True)
    (frame,) = frames.room_frames(logged, frames.cursor_at("0badcafe", 30))
    return frame


def test_a_message_has_both_naming_styles() -> None:
    (frame,) = frames.room_frames(said(26, body="a < b"), HERE)
    same = {"event_id": "$26", "room_id": "!room", "origin_server_ts": 26}
    told_now = told(frame)
    assert told_now == Told(
        "m.room.message",
        {
            **same,
            "eventId": "$26",
            "roomId": "!room",
            "timestamp": 26,
            "type": "m.room.message",
            "sender": "@someone:test",
            "sender_name": "Someone",
            "content": {"msgtype": "m.text", "body": "a &lt; b"},
            "_broadcastId": "26-000000q",
            **PLACED,
        },
    )


def test_two_events_never_have_one_broadcast_id_and_one_event_never_two() -> None:
    first, again = (told(next(frames.room_frames(said(26), HERE))) for _ in range(2))
    other = told(next(frames.room_frames(said(26), frames.cursor_at("0badcafe", 27))))
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.data["_broadcastId"] == again.data["_broadcastId"] != other.data["_broadcastId"]
    passing = {told(frames.typing(ROOM, [])).data["_broadcastId"] for _ in range(50)}  # type: ignore[union-attr]
    assert len(passing) == 50


def test_an_edit_or_a_reaction_is_a_message_that_has_changed() -> None:
    entry = msgspec.structs.replace(said(26).entry, reactions=[Reaction("👍", 1, [ANN])])
    event = told(changed(entry))
    assert event is not None
    assert event.kind == "m.room.message.changed"
    assert event.data["event_id"] == "$26"
    assert event.data["content"]["reactions"] == {"👍": ["@ann:test"]}
    assert event.data["_broadcastId"] == "26-000000u"


@pytest.mark.parametrize(
    ("deletion", "more", "reason"),
    [
        (Deletion(), {}, {}),
        (
            Deletion(ANN, 77, "spam"),
            {
                "sender": "@ann:test",
                "sender_name": "Ann",
                "origin_server_ts": 77,
                "timestamp": 77,
            },
            {"reason": "spam"},
        ),
    ],
)
def test_a_deletion_is_a_redaction(
    deletion: Deletion, more: dict[str, Any], reason: dict[str, str]
) -> None:
    entry = msgspec.structs.replace(said(26).entry, kind="deleted", deletion=deletion)
    event = told(changed(entry))
    assert event is not None
    kept = {name: value for name, value in event.data.items() if not name.startswith("_")}
    assert kept == {
        "type": "m.room.redaction",
        "room_id": "!room",
        "redacts": "$26",
        "content": {"redacts": "$26", **reason},
        **more,
    }


def test_a_coming_is_a_member_event() -> None:
    logged = moved(26, ANN, "join")
    entry = msgspec.structs.replace(logged.entry, membership="join", sender=ANN)
    before, frame = frames.room_frames(msgspec.structs.replace(logged, entry=entry), HERE)
    assert told(before) is None  # the entry says it
    event = told(frame)
    assert event is not None
    assert event.kind == "m.room.member"
    assert event.data["sender"] == event.data["state_key"] == "@ann:test"
    assert event.data["content"] == {"membership": "join", "displayname": "Ann"}


@pytest.mark.parametrize(
    ("frame", "membership"),
    [
        (frames.own_frame(moved(26, ANN, "leave"), HERE), "leave"),
        (frames.own_frame(moved(26, ANN, "ban", by_self=False), HERE), "ban"),
        (frames.room_removed(ANN.mxid, ROOM, "removed"), "leave"),
    ],
)
def test_whose_room_it_is_no_longer_learns_it_of_themselves(frame: Frame, membership: str) -> None:
    event = told(frame)
    assert event is not None
    assert event.kind == "m.room.member"
    assert event.data["sender"] == event.data["state_key"] == "@ann:test"
    assert event.data["content"] == {"membership": membership}


def test_typing_has_the_list_under_every_name() -> None:
    event = told(frames.typing(ROOM, [ANN, BEN]))
    assert event is not None
    both = ["@ann:test", "@ben:test"]
    assert event.kind == "m.typing"
    assert event.data["typing"] == event.data["user_ids"] == both
    assert event.data["content"] == {"user_ids": both}
    assert (event.data["room_id"], event.data["timestamp"]) == ("!room", PLACED["_broadcastTime"])


def test_a_receipt_is_as_matrix_has_it() -> None:
    event = told(frames.receipt(Receipt(ROOM, BEN, EventId("$26"), "x", 99)))
    assert event is not None
    assert event.kind == "m.receipt"
    assert event.data["content"] == {"$26": {"m.read": {"@ben:test": {"ts": 99}}}}


def test_what_the_stream_says_of_itself() -> None:
    hello = told(frames.hello(ANN, HERE, 20.0))
    assert hello is not None
    assert hello.kind == "connection_confirmed"
    assert hello.data["hasMatrixCredentials"] is True
    assert hello.data["matrixUserId"] == "@ann:test"
    reset, bye, failed = (
        told(one)
        for one in (
            frames.reset("too_far_behind", HERE),
            frames.bye(CloseReason.SHUTDOWN),
            frames.send_failed(ROOM, "1", "M_FORBIDDEN", "No."),
        )
    )
    assert reset is not None
    assert bye is not None
    assert failed is not None
    assert reset.data["reason"] == "too_far_behind"
    assert (bye.data["reason"], bye.data["reconnect"]) == ("shutdown", True)
    assert (failed.data["errcode"], failed.data["error"]) == ("M_FORBIDDEN", "No.")


def test_what_the_web_app_does_not_know_is_not_sent() -> None:
    renamed = msgspec.structs.replace(said(26).entry, kind="room", type="m.room.name")
    for frame in (
        changed(renamed),
        frames.unread(ROOM, "x", 1, 0, marked=False),
        frames.own_frame(moved(26, ANN, "join"), HERE),
        heartbeat(HERE),
    ):
        assert frame is not None
        assert told(frame) is None


# Server-sent events


def read(*written: Frame) -> list[Received]:
    return SseParser().feed(WEB_APP_SSE.join(written))


def test_events_are_named_by_their_matrix_type() -> None:
    (frame,) = frames.room_frames(said(26), HERE)
    message, typing = read(frame, frames.typing(ROOM, [ANN]))
    assert (message.type, message.cursor) == ("m.room.message", "1-0badcafe-1a")
    assert (typing.type, typing.cursor) == ("m.typing", None)
    assert message.data["event_id"] == "$26"
    assert WEB_APP_SSE.join([frame]) == WEB_APP_SSE.join([frame])  # times and all: written once


def test_what_is_not_sent_moves_the_cursor_all_the_same() -> None:
    renamed = msgspec.structs.replace(said(30).entry, kind="room", type="m.room.name")
    assert WEB_APP_SSE.join([changed(renamed)]) == b"id: 1-0badcafe-1e\n\n"


def test_a_heartbeat_is_a_comment_and_a_place_to_go_on_from() -> None:
    assert WEB_APP_SSE.join([heartbeat(HERE)]) == b":\nid: 1-0badcafe-1a\n\n"
    assert WEB_APP_SSE.join([frames.unread(ROOM, "x", 1, 0, marked=False)]) == b""


@pytest.mark.parametrize("reason", CloseReason)
def test_a_browser_stays_away_from_where_it_must_not_come_back(reason: CloseReason) -> None:
    written = WEB_APP_SSE.join([frames.bye(reason)])
    assert (b"retry: 3600000\nevent: bye\n" in written) == reason.stay_away
