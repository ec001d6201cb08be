"""Who may do what in a room (client-server API, ``m.room.power_levels``)."""

from __future__ import annotations

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


_decoder = msgspec.json.Decoder(PowerLevels, strict=False)


def power_levels(content: bytes | None) -> PowerLevels:
    """Read a power levels event; unreadable content counts as the specification's defaults."""
    if content is None:
        return PowerLevels()
    try:
        return _decoder.decode(content)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return PowerLevels()
