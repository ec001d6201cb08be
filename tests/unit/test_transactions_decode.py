"""Decoding transactions: one bad event never spoils the others."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from openmeet_bridge.core.errors import BadRequest, NotJson
from openmeet_bridge.core.ids import RoomId
from openmeet_bridge.matrix.transactions import decode, decode_events


def event(**more: Any) -> dict[str, Any]:
    return {
        "event_id": "$e",
        "room_id": "!r",
        "type": "m.room.message",
        "sender": "@a:b",
        "origin_server_ts": 5,
        "content": {"body": "hi"},
        **more,
    }


def body(*events: Any, **more: Any) -> bytes:
    return msgspec.json.encode({"events": list(events), **more})


def test_content_stays_the_bytes_it_came_in() -> None:
    raw = b'{"events":[{"event_id":"$e","room_id":"!r","type":"t","sender":"@a:b",'
    raw += b'"origin_server_ts":1,"content":{ "n": 1.50,"\\u0000": "\\u00e9" }}]}'
    (one,) = decode("1", raw).events
    assert bytes(one.content) == b'{ "n": 1.50,"\\u0000": "\\u00e9" }'


def with_content(event_id: bytes, content: bytes) -> bytes:
    head = b'{"event_id":"' + event_id + b'","room_id":"!r","type":"t","sender":"@a:b",'
    return head + b'"origin_server_ts":1,"content":' + content + b"}"


def with_events(*events: bytes) -> bytes:
    return b'{"events":[' + b",".join(events) + b'],"ephemeral":[]}'


@pytest.mark.parametrize("broken", [b'"\\ud83d"', b'"\\ude00 [,]}"', b'"\xff"'])
def test_broken_text_is_mended(broken: bytes) -> None:
    content = b'{"body":' + broken + b',"n":[1,{"a":"\\"]"}]}'
    transaction = decode("1", with_events(with_content(b"$1", b"{}"), with_content(b"$2", content)))
    assert [one.event_id for one in transaction.events] == ["$1", "$2"]
    mended = bytes(transaction.events[1].content)
    assert msgspec.json.decode(mended)["n"] == [1, {"a": '"]'}]
    assert mended.decode()


def test_endless_nesting_is_set_aside_alone() -> None:
    deep = b"{" + b'"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}"
    transaction = decode("1", with_events(with_content(b"$1", deep), with_content(b"$2", b"{}")))
    assert [one.event_id for one in transaction.events] == ["$2"]
    assert len(transaction.bad) == 1


def test_numbers_without_end_pass_as_they_are() -> None:
    huge = b'{"a":1e999,"b":' + b"9" * 400 + b"}"
    (one,) = decode("1", with_events(with_content(b"$1", huge))).events
    assert bytes(one.content) == huge


@pytest.mark.parametrize(
    "bad",
    [
        event(event_id=5),
        event(content=[]),
        event(content="x"),
        event(sender=None),
        event(origin_server_ts="now"),
        event(origin_server_ts=1 << 70),
        event(room_id=""),
        event(event_id="$\x00"),
        event(type="x" * 256),
        event(state_key="a\x00"),
        event(state_key=5),
        {},
        5,
        None,
    ],
)
def test_a_bad_event_is_set_aside_and_the_others_are_read(bad: Any) -> None:
    transaction = decode("1", body(event(event_id="$1"), bad, event(event_id="$2")))
    assert [one.event_id for one in transaction.events] == ["$1", "$2"]
    ((raw, reason),) = transaction.bad
    assert msgspec.json.decode(raw) is not ...
    assert reason


def test_the_stable_name_of_ephemeral_events_wins() -> None:
    typing = {"type": "m.typing", "room_id": "!r", "content": {"user_ids": []}}
    both = {"ephemeral": [typing], "de.sorunome.msc2409.ephemeral": [typing, typing]}
    assert len(decode("1", body(**both)).ephemeral) == 1
    old = {"de.sorunome.msc2409.ephemeral": [typing, typing]}
    assert len(decode("1", body(**old)).ephemeral) == 2


def test_a_bad_ephemeral_event_costs_nothing_else() -> None:
    typing = {"type": "m.typing", "room_id": "!r", "content": {"user_ids": []}}
    transaction = decode("1", body(event(), ephemeral=[{"type": 5}, typing]))
    assert (len(transaction.events), len(transaction.ephemeral)) == (1, 1)


@pytest.mark.parametrize("raw", [b"", b"x", b"\xff", b"5"])
def test_what_is_not_json_is_refused(raw: bytes) -> None:
    with pytest.raises(NotJson):
        decode("1", raw)


@pytest.mark.parametrize("raw", [b"[]", b"{}", b"{", b'{"events": {}}', b'{"events": null}'])
def test_what_is_no_transaction_is_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        decode("1", raw)


def test_events_of_sync_get_the_room_that_is_named_around_them() -> None:
    raw = event()
    del raw["room_id"]
    raws = [msgspec.Raw(msgspec.json.encode(one)) for one in (raw, {"type": 5})]
    transaction = decode_events(raws, RoomId("!around"))
    assert [one.room_id for one in transaction.events] == ["!around"]
    assert len(transaction.bad) == 1
