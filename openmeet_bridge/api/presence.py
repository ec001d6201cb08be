"""Web API v1: who types."""

from __future__ import annotations

import msgspec

from ..bridge.typing import Typing
from ..core.errors import NotFound
from ..core.ids import RoomId
from .endpoint import Call, Endpoints
from .room_paths import RoomPath
from .sessions import Session

ENDPOINTS = Endpoints(tag="Rooms and messages")


class TypingNotice(msgspec.Struct, forbid_unknown_fields=True):
    """Whether the caller types."""

    typing: bool


class PresenceApi:
    """The handlers of typing.

    Args:
        typing: Passes typing notices on.
    """

    def __init__(self, typing: Typing) -> None:
        self._typing = typing

    @ENDPOINTS.put("/api/v1/rooms/{room_id}/typing", errors=(NotFound,))
    async def type_in(self, call: Call[Session, RoomPath, None, TypingNotice]) -> None:
        """Say that I type, or have stopped. Repeat every 10 to 20 seconds while it lasts."""
        caller, room_id = call.caller, RoomId(call.path.room_id)
        await self._typing.say(caller.tenant_id, room_id, caller.mxid, call.body.typing)
