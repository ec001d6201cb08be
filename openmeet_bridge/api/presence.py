"""Web API v1: who types, and who is there."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ..bridge.presence import Presence
from ..bridge.typing import Typing
from ..core.entry import Person
from ..core.errors import NotFound
from ..core.ids import RoomId
from ..core.presence import State
from .endpoint import Call, Endpoints
from .room_paths import RoomPath
from .sessions import Session

ENDPOINTS = Endpoints(tag="Rooms and messages")


class TypingNotice(msgspec.Struct, forbid_unknown_fields=True):
    """Whether the caller types."""

    typing: bool


class PresenceNotice(msgspec.Struct, forbid_unknown_fields=True):
    """How the caller is there."""

    state: Literal["online", "idle"]


class PersonPresence(msgspec.Struct):
    """Whether somebody is there."""

    user: Person
    state: State
    last_seen: Annotated[
        int | None, Meta(description="When they were last active; null where that is not known.")
    ]


class PresenceList(msgspec.Struct):
    """Who of a room is there."""

    people: list[PersonPresence]


class PresenceApi:
    """The handlers of typing and presence.

    Args:
        typing: Passes typing notices on.
        presence: Knows who is there.
    """

    def __init__(self, typing: Typing, presence: Presence) -> None:
        self._typing = typing
        self._presence = presence

    @ENDPOINTS.put("/api/v1/rooms/{room_id}/typing", errors=(NotFound,))
    async def type_in(self, call: Call[Session, RoomPath, None, TypingNotice]) -> None:
        """Say that I type, or have stopped. Repeat every 10 to 20 seconds while it lasts.

        Without a repetition it ends after 30 seconds, and with a message it ends by itself.
        """
        caller, room_id = call.caller, RoomId(call.path.room_id)
        await self._typing.say(caller.tenant_id, room_id, caller.mxid, call.body.typing)
        if call.body.typing:
            self._presence.say(caller.mxid, active=True)

    @ENDPOINTS.put("/api/v1/presence")
    async def be(self, call: Call[Session, None, None, PresenceNotice]) -> None:
        """Say that I am active before this client, or idle.

        Whoever has a stream open is there. Each client says so once when its user turns to it or
        is back (`online`), and once when it is left or put into the background (`idle`). Somebody
        is idle when all their clients have said so, or after `presence.idle_after` without a sign
        of life: a message, typing, or `online`, which may be said again every few minutes.
        """
        self._presence.say(call.caller.mxid, active=call.body.state == "online")

    @ENDPOINTS.get("/api/v1/rooms/{room_id}/presence", errors=(NotFound,))
    async def presence(self, call: Call[Session, RoomPath, None, None]) -> PresenceList:
        """Who of a room is there, and when the others last were.

        Those who are there come first, then the last ones seen; a thousand at most. Whoever is not
        in the list is offline, was never seen, or does not show it.
        """
        caller, room_id = call.caller, RoomId(call.path.room_id)
        found = await self._presence.in_room(caller.tenant_id, room_id, caller.mxid)
        return PresenceList([PersonPresence(one.person, one.state, one.last_seen) for one in found])
