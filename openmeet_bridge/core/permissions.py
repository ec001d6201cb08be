"""Who may do what in a room (client-server API, ``m.room.power_levels``)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from .events import MESSAGE, REDACTION, UNREADABLE
from .ids import Mxid
from .relations import REACTION
from .room_power import creators


@dataclass(frozen=True, slots=True)
class Permissions:
    """What somebody may do in a room.

    Attributes:
        send: Write messages.
        react: React to messages.
        delete_others: Delete messages of others.
        mention_room: Mention everybody at once.
    """

    send: bool
    react: bool
    delete_others: bool
    mention_room: bool


@dataclass(frozen=True, slots=True)
class PowerLevels:
    """The part of ``m.room.power_levels`` that the bridge decides by.

    Attributes:
        notify_room: Needed to mention everybody at once (``notifications.room``).
        creators: Whose power has no bound (room version 12 and later).
    """

    users: Mapping[str, object] = field(default_factory=dict)
    users_default: int = 0
    events: Mapping[str, object] = field(default_factory=dict)
    events_default: int = 0
    redact: int = 50
    notify_room: int = 50
    creators: frozenset[Mxid] = frozenset()
    _needed: tuple[int, int, int, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Lists of rooms ask one person after another the same four questions.
        needed = (
            self._needed_to_send(MESSAGE),
            self._needed_to_send(REACTION),
            max(self.redact, self._needed_to_send(REDACTION)),
            self.notify_room,
        )
        object.__setattr__(self, "_needed", needed)

    def level(self, mxid: Mxid) -> int:
        """Return a user's power level."""
        if mxid in self.creators:
            return ABOVE_ALL
        return _level(self.users.get(mxid), self.users_default)

    def may_send(self, mxid: Mxid, event_type: str) -> bool:
        """Whether a user may send messages of a type."""
        return self.level(mxid) >= self._needed_to_send(event_type)

    def _needed_to_send(self, event_type: str) -> int:
        return _level(self.events.get(event_type), self.events_default)

    def may_redact_others(self, mxid: Mxid) -> bool:
        """Whether a user may redact what others have sent."""
        return self.level(mxid) >= self.redact and self.may_send(mxid, REDACTION)

    def may_mention_room(self, mxid: Mxid) -> bool:
        """Whether everybody is notified when a user mentions the room."""
        return self.level(mxid) >= self.notify_room

    def permissions(self, mxid: Mxid) -> Permissions:
        """Return what a user may do."""
        level = self.level(mxid)
        send, react, delete_others, mention_room = self._needed
        return _permissions(
            level >= send, level >= react, level >= delete_others, level >= mention_room
        )


_permissions = lru_cache(maxsize=16)(Permissions)


ABOVE_ALL = 2**53
"""As which level the power of a creator counts, which has no bound (room version 12 and later)."""

_SHORT = 2048
"""Longest content, in bytes, that is remembered once it was read."""

_NUMBER = re.compile(r"[+-]?[0-9]{1,15}")

_KEPT = (
    "m.room.name",
    "m.room.topic",
    "m.room.avatar",
    "m.room.canonical_alias",
    "m.room.join_rules",
    "m.room.history_visibility",
    "m.room.power_levels",
)


def full_power(content: Mapping[str, Any], creators: Iterable[Mxid]) -> dict[str, int]:
    """Return the power of everybody in a room by Matrix id; under the empty one, of all others.

    Args:
        content: Of ``m.room.power_levels``; empty where there is none.
        creators: Whose power has no bound.
    """
    named = content.get("users")
    users = {"": _level(content.get("users_default"), 0)}
    if isinstance(named, Mapping):
        users |= {one: _level(level, 0) for one, level in named.items()}
    return users | dict.fromkeys(creators, ABOVE_ALL)


def needed_to_keep(content: Mapping[str, Any]) -> int:
    """Return the power with which a room can be kept as it should be, in every respect."""
    state = _level(content.get("state_default"), 50)
    events = content.get("events")
    named: Mapping[str, Any] = events if isinstance(events, Mapping) else {}
    actions = [_level(content.get(one), 50) for one in ("kick", "ban", "redact")]
    invite = _level(content.get("invite"), 0)
    return max(*actions, invite, state, *(_level(named.get(one), state) for one in _KEPT))


def _level(value: object, default: int) -> int:
    """Return a level; before room version 10 it may be written as text."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return int(value)
    return max(-ABOVE_ALL, min(value, ABOVE_ALL)) if isinstance(value, int) else default


def power_levels(content: bytes | None, creators: frozenset[Mxid] = frozenset()) -> PowerLevels:
    """Read a power levels event; what is unreadable of it counts as the specification's default.

    Args:
        content: Of ``m.room.power_levels``; None where there is none.
        creators: Whose power has no bound.
    """
    # Lists of rooms ask for the same ones again and again.
    read = _remembered if content is None or len(content) <= _SHORT else _read
    return read(content, creators)


def _read(content: bytes | None, creators: frozenset[Mxid]) -> PowerLevels:
    found = _decode(content)
    return PowerLevels(
        users=_part(found, "users"),
        users_default=_level(found.get("users_default"), 0),
        events=_part(found, "events"),
        events_default=_level(found.get("events_default"), 0),
        redact=_level(found.get("redact"), 50),
        notify_room=_level(_part(found, "notifications").get("room"), 50),
        creators=creators,
    )


_remembered = lru_cache(maxsize=4096)(_read)


def creators_of(sender: Mxid, create: bytes) -> frozenset[Mxid]:
    """Return whose power in a room has no bound, by the sender and content of its first event."""
    if b"room_version" not in create:
        return frozenset()
    return (_remembered_creators if len(create) <= _SHORT else _creators)(sender, create)


def _creators(sender: Mxid, create: bytes) -> frozenset[Mxid]:
    found = _decode(create)
    return creators(str(found.get("room_version")), sender, found)


_remembered_creators = lru_cache(maxsize=4096)(_creators)


def _part(found: Mapping[str, Any], name: str) -> Mapping[str, object]:
    part = found.get(name)
    return part if isinstance(part, dict) else {}


def _decode(content: bytes | None) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(content or b"")
    except UNREADABLE:
        return {}
    return found if isinstance(found, dict) else {}
