"""Events: what is read of them, and how little of it is trusted."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from openmeet_bridge.core.events import (
    CLIENT_TXN_KEY,
    MEMBER_CONTENT,
    Event,
    blanked_by,
    client_txn_id,
    is_counted,
    is_soft_failed,
    portal_mark,
    redacted_event,
    text_or_none,
)
from openmeet_bridge.core.ids import EventId, Mxid, RoomId


def event(event_type: str, content: Any, **more: Any) -> Event:
    return Event(
        event_id=EventId("$e"),
        room_id=RoomId("!r"),
        type=event_type,
        sender=Mxid("@a:b"),
        origin_server_ts=1,
        content=msgspec.Raw(msgspec.json.encode(content)),
        **more,
    )


@pytest.mark.parametrize(
    ("content", "beside", "expected"),
    [
        ({"redacts": "$in"}, None, "$in"),
        ({"redacts": "$in"}, "$beside", "$in"),
        ({}, "$beside", "$beside"),
        ({"redacts": 5}, "$beside", "$beside"),
        ({}, None, None),
        ({"redacts": "$\x00"}, None, None),
        ({"redacts": "$" + "x" * 300}, None, None),
    ],
)
def test_what_a_redaction_names(content: Any, beside: str | None, expected: str | None) -> None:
    redacts = None if beside is None else EventId(beside)
    assert redacted_event(event("m.room.redaction", content, redacts=redacts)) == expected


def test_other_events_redact_nothing() -> None:
    assert redacted_event(event("m.room.message", {"redacts": "$x"})) is None


@pytest.mark.parametrize("value", [5, None, "", "x" * 300, "a\x00b", {"a": 1}])
def test_an_odd_client_id_is_none(value: Any) -> None:
    assert client_txn_id(event("m.room.message", {CLIENT_TXN_KEY: value})) is None


def test_a_client_id_is_read_of_what_is_sent_through_us() -> None:
    assert client_txn_id(event("m.room.message", {CLIENT_TXN_KEY: "m1"})) == "m1"
    assert client_txn_id(event("m.reaction", {CLIENT_TXN_KEY: "m1"})) == "m1"
    assert client_txn_id(event("m.sticker", {CLIENT_TXN_KEY: "m1"})) is None


@pytest.mark.parametrize(
    ("event_type", "content", "counted"),
    [
        ("m.room.message", {"body": "a"}, True),
        ("m.room.encrypted", {}, True),
        ("m.sticker", {}, True),
        ("m.reaction", {}, False),
    ],
)
def test_what_makes_a_room_unread(event_type: str, content: Any, counted: bool) -> None:
    assert is_counted(event(event_type, content)) is counted


def test_state_never_makes_a_room_unread() -> None:
    assert not is_counted(event("m.room.message", {}, state_key=""))


@pytest.mark.parametrize(
    ("unsigned", "expected"),
    [
        (b'{"redacted_because":{"event_id":"$r","content":{"a":[1]}}}', "$r"),
        (b'{"redacted_because":{"event_id":"$r\\u0000"}}', None),
        (b'{"redacted_because":"redacted_because"}', None),
        (b'{"redacted_because":' + b"[" * 5000 + b"]" * 5000 + b"}", None),
        (b"{}", None),
    ],
)
def test_what_came_blank_names_what_has_blanked_it(unsigned: bytes, expected: str | None) -> None:
    assert blanked_by(event("m.room.message", {}, unsigned=msgspec.Raw(unsigned))) == expected


def test_soft_failed_events_are_told_by_their_mark() -> None:
    marked = msgspec.Raw(b'{"io.element.synapse.soft_failed":true}')
    assert is_soft_failed(event("m.room.message", {}, unsigned=marked))
    assert not is_soft_failed(event("m.room.message", {}))


@pytest.mark.parametrize("content", [{}, {"org.openmeet.portal": 5}, {"org.openmeet.portal": {}}])
def test_a_room_without_a_good_mark_is_no_portal(content: Any) -> None:
    assert portal_mark(event("m.room.create", content)) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [("Ann", "Ann"), (" ", None), (5, None), (None, None), ("A\x00n", "An"), ("a\ud800", "a?")],
)
def test_texts_that_a_person_can_read(value: Any, expected: str | None) -> None:
    assert text_or_none(value) == expected


def test_a_member_may_have_any_name() -> None:
    content = MEMBER_CONTENT.decode(b'{"membership":"ban","displayname":[1],"avatar_url":{}}')
    assert (content.membership, content.name, content.avatar) == ("ban", None, None)
