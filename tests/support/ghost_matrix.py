"""A homeserver of a few dictionaries for tests of ghosts: it notes what it is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from openmeet_bridge.core.ids import EventId
from openmeet_bridge.matrix.errors import HomeserverError
from openmeet_bridge.matrix.homeserver import Homeserver


@dataclass
class GhostMatrix:
    """What the homeserver has, and every call that changed it.

    Attributes:
        calls: Names of the calls, with whom or what they are about.
        failures: Raised instead of an answer, by the call's name, once each in order.
        always: Raised instead of an answer, by the call's name, every time.
    """

    calls: list[tuple[str, str]] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    avatars: dict[str, str] = field(default_factory=dict)
    data: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    uploads: list[tuple[str, str, bytes, str]] = field(default_factory=list)
    redacted: dict[str, str] = field(default_factory=dict)
    rooms: dict[str, set[str]] = field(default_factory=dict)
    failures: dict[str, list[HomeserverError]] = field(default_factory=dict)
    always: dict[tuple[str, str], HomeserverError] = field(default_factory=dict)

    def as_homeserver(self) -> Homeserver:
        """The same, as the services want it."""
        return cast(Homeserver, self)

    def did(self, name: str) -> list[str]:
        """Of whom or what a call was made."""
        return [about for call, about in self.calls if call == name]

    def _call(self, name: str, about: str, by: str = "") -> None:
        self.calls.append((name, about))
        if self.failures.get(name):
            raise self.failures[name].pop(0)
        for key in ((name, by), (name, "")):
            if key in self.always:
                raise self.always[key]

    async def register_ghost(self, localpart: str) -> bool:
        self._call("register", localpart)
        return True

    async def create_device(self, user_id: str, device_id: str, display_name: str) -> None:
        self._call("device", user_id)

    async def set_displayname(self, user_id: str, displayname: str) -> None:
        self._call("name", user_id)
        self.names[user_id] = displayname

    async def set_avatar_url(self, user_id: str, avatar_url: str) -> None:
        self._call("avatar", user_id)
        self.avatars[user_id] = avatar_url

    async def send_state(
        self, room_id: str, type: str, state_key: str, content: Mapping[str, Any], user_id: str
    ) -> EventId:
        self._call(type, room_id)
        self.data[room_id, state_key] = content
        return EventId("$state")

    async def get_account_data(self, user_id: str, type: str) -> Mapping[str, Any] | None:
        self._call("get_data", user_id)
        return self.data.get((user_id, type))

    async def set_account_data(self, user_id: str, type: str, content: Mapping[str, Any]) -> None:
        self._call(type, user_id)
        self.data[user_id, type] = content

    async def upload(self, content_type: str, filename: str, data: bytes, user_id: str) -> str:
        self._call("upload", filename)
        self.uploads.append((content_type, filename, data, user_id))
        return f"mxc://test/{len(self.uploads)}"

    async def redact(
        self, room_id: str, event_id: str, txn_id: str, user_id: str, device_id: str | None = None
    ) -> EventId:
        self._call("redact", event_id, user_id)
        return EventId(self.redacted.setdefault(event_id, f"$redaction-of-{event_id}"))

    async def joined_rooms(self, user_id: str) -> list[str]:
        self._call("joined_rooms", user_id)
        return sorted(self.rooms.get(user_id, ()))

    async def leave(self, room_id: str, user_id: str) -> None:
        self._call("leave", room_id)
        self.rooms.get(user_id, set()).discard(room_id)

    async def deactivate(self, user_id: str) -> None:
        self._call("deactivate", user_id)

    async def delete_media(self, mxc: str, user_id: str) -> None:
        self._call("delete_media", mxc)
