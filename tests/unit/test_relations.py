"""What an event does to another, as its content says, whatever that is."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from openmeet_bridge.core.events import Event
from openmeet_bridge.core.ids import EventId, Mxid, RoomId
from openmeet_bridge.core.relations import changed_event, is_line, relation

NEW = {"m.new_content": {"msgtype": "m.text", "body": "new"}}


def event(event_type: str, content: Any, **more: Any) -> Event:
    raw = content if isinstance(content, bytes) else msgspec.json.encode(content)
    return Event(
        event_id=EventId("$e"),
        room_id=RoomId("!r"),
        type=event_type,
        sender=Mxid("@a:b"),
        origin_server_ts=1,
        content=msgspec.Raw(raw),
        **more,
    )


def replacing(target: Any = "$t", **more: Any) -> dict[str, Any]:
    return {"m.relates_to": {"rel_type": "m.replace", "event_id": target}, **more}


def liking(key: Any, target: Any = "$t") -> dict[str, Any]:
    return {"m.relates_to": {"rel_type": "m.annotation", "event_id": target, "key": key}}


def test_edits_and_reactions_change_lines_and_are_none() -> None:
    edit, sealed = event("m.room.message", replacing(**NEW)), event("m.room.encrypted", replacing())
    like, redaction = (
        event("m.reaction", liking("👍")),
        event("m.room.redaction", {"redacts": "$t"}),
    )
    assert [relation(one) and relation(one)[0] for one in (edit, sealed)] == ["edit"] * 2  # type: ignore[index]
    assert relation(like) == ("reaction", "$t", "👍")
    for one in (edit, sealed, like, redaction):
        assert (changed_event(one), is_line(one)) == ("$t", False)


@pytest.mark.parametrize(
    "content",
    [
        {"body": "talking of m.relates_to"},
        {"m.relates_to": "m.replace", **NEW},
        {"m.relates_to": ["m.replace"], **NEW},
        {"m.relates_to": {"rel_type": "m.replace"}, **NEW},
        {"m.relates_to": {"rel_type": "m.thread", "event_id": "$t"}},
        {"m.relates_to": {"m.in_reply_to": {"event_id": "$t"}}},
        replacing(),
        replacing(**{"m.new_content": "new"}),
        replacing(5, **NEW),
        replacing("", **NEW),
        replacing("$\x00", **NEW),
        replacing("$" + "x" * 300, **NEW),
        liking("👍"),
        b'{"m.relates_to":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"m.relates_to":{"rel_type":"m.replace","event_id":"$t","n":1e999},"m.new_content":{}}',
    ],
)
def test_a_message_that_changes_nothing_is_a_line(content: Any) -> None:
    one = event("m.room.message", content)
    assert (relation(one), is_line(one)) == (None, True)


@pytest.mark.parametrize("key", ["", "  ", None, 5, "a\x00", "x" * 300])
def test_a_reaction_that_says_nothing_is_shown_nowhere(key: Any) -> None:
    one = event("m.reaction", liking(key))
    assert (relation(one), is_line(one)) == (None, False)


def test_what_devices_say_to_one_another_is_no_line() -> None:
    for step in ("ready", "start", "accept", "key", "mac", "done", "cancel", "anything"):
        assert not is_line(event(f"m.key.verification.{step}", {"body": "x"}))
    assert is_line(event("m.room.message", {"msgtype": "m.key.verification.request", "body": "x"}))


def test_state_changes_no_line() -> None:
    one = event("m.room.topic", replacing(**NEW), state_key="")
    assert (relation(one), is_line(one)) == (None, True)
