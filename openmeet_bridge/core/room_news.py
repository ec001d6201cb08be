"""What changed about a room itself: each in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from .extensible import text_of
from .shown import Names, Shown
from .words import name, quoted

Content = Mapping[str, Any]

_JOIN_RULES = {
    "public": "everybody",
    "invite": "only who is invited",
    "private": "only who is invited",
    "knock": "who is invited or asks to",
    "restricted": "who is invited or is in certain other rooms",
    "knock_restricted": "who is invited, asks to, or is in certain other rooms",
}
_HISTORY = {
    "world_readable": "everybody",
    "shared": "all members",
    "invited": "members, since they were invited",
    "joined": "members, since they joined",
}


def shown(event_type: str, content: Content, names: Names) -> Shown:
    """Return what is shown of a state event, whatever its type."""
    who = name(names.sender)
    tell = _NEWS.get(event_type)
    text = tell(who, content) if tell else f"{who} changed a setting of this room"
    return Shown("room", text)


def _created(_who: str, content: Content) -> str:
    if isinstance(content.get("predecessor"), Mapping):
        return "This room was created in place of an older one"
    return "This room was created"


def _named(who: str, content: Content) -> str:
    if called := quoted(content.get("name")):
        return f"{who} named this room {called}"
    # What was redacted since has no key at all; it did something all the same.
    return f"{who} {'removed' if 'name' in content else 'changed'} the name of this room"


def _topic(who: str, content: Content) -> str:
    topic = content.get("m.topic")
    if about := quoted(content.get("topic")) or quoted(text_of(topic)):
        return f"{who} set the topic to {about}"
    return f"{who} {'removed' if 'topic' in content else 'changed'} the topic"


def _picture(who: str, content: Content) -> str:
    removed = "url" in content and not content["url"]
    return f"{who} {'removed' if removed else 'changed'} the picture of this room"


def _joining(who: str, content: Content) -> str:
    return _rule(f"{who} changed who may join", content.get("join_rule"), _JOIN_RULES)


def _reading(who: str, content: Content) -> str:
    said = f"{who} changed who may read the history"
    return _rule(said, content.get("history_visibility"), _HISTORY)


def _rule(said: str, value: object, known: Mapping[str, str]) -> str:
    rule = known.get(value) if isinstance(value, str) else None
    return f"{said}: {rule}" if rule else said


def _pins(who: str, content: Content) -> str:
    removed = content.get("pinned") == []
    return f"{who} {'unpinned all' if removed else 'changed the pinned'} messages"


def _encryption(who: str, _content: Content) -> str:
    return f"{who} turned on encryption; messages cannot be read here"


def _tombstone(who: str, content: Content) -> str:
    why = quoted(content.get("body"))
    return f"{who} replaced this room by a new one{': ' if why else ''}{why or ''}"


def _invited(who: str, content: Content) -> str:
    called = quoted(content.get("display_name"))
    if called is None:
        return f"{who} withdrew an invitation"
    return f"{who} invited {called}"


def _changed(what: str) -> Callable[[str, Content], str]:
    return lambda who, _content: f"{who} changed {what}"


_NEWS: Final[dict[str, Callable[[str, Content], str]]] = {
    "m.room.create": _created,
    "m.room.name": _named,
    "m.room.topic": _topic,
    "m.room.avatar": _picture,
    "m.room.join_rules": _joining,
    "m.room.history_visibility": _reading,
    "m.room.pinned_events": _pins,
    "m.room.encryption": _encryption,
    "m.room.tombstone": _tombstone,
    "m.room.third_party_invite": _invited,
    "m.room.power_levels": _changed("who may do what"),
    "m.room.canonical_alias": _changed("the address of this room"),
    "m.room.aliases": _changed("the addresses of this room"),
    "m.room.guest_access": _changed("whether guests may join"),
    "m.room.server_acl": _changed("which servers may take part"),
    "m.space.child": _changed("which rooms belong here"),
    "m.space.parent": _changed("where this room belongs"),
    "m.widget": _changed("the widgets of this room"),
    "im.vector.modular.widgets": _changed("the widgets of this room"),
}
