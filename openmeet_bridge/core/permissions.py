"""Who may do what in a room (client-server API, ``m.room.power_levels``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from .ids import Mxid


class PowerLevels(msgspec.Struct, frozen=True):
    """The part of ``m.room.power_levels`` that the bridge decides by."""

    users: dict[str, int] = {}
    users_default: int = 0
    events: dict[str, int] = {}
    events_default: int = 0
    state_default: int = 50

    def level(self, mxid: Mxid) -> int:
        """Return a user's power level (creators of room version 12 are not listed here)."""
        return self.users.get(mxid, self.users_default)

    def may_send(self, mxid: Mxid, event_type: str) -> bool:
        """Whether a user may send messages of a type."""
        return self.level(mxid) >= self.events.get(event_type, self.events_default)


ABOVE_ALL = 2**53
"""As which level the power of a creator counts, which has no bound (room version 12 and later)."""

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
    return value if isinstance(value, int) else default


_decoder = msgspec.json.Decoder(PowerLevels, strict=False)


def power_levels(content: bytes | None) -> PowerLevels:
    """Read a power levels event; unreadable content counts as the specification's defaults."""
    if content is None:
        return PowerLevels()
    try:
        return _decoder.decode(content)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return PowerLevels()
