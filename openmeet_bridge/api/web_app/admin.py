"""OpenMeet's web app: its page for administrators, who have chat rooms made and closed."""

from __future__ import annotations

import msgspec

from ...bridge.room_office import RoomOffice
from ...core.errors import Forbidden, NotFound, Unavailable
from ...core.ids import PortalKind, PortalRef
from ..endpoint import Call, Endpoints
from ..room_paths import ID
from ..sessions import Session
from . import TAG

ENDPOINTS = Endpoints(tag=TAG, auth="web_app_admin", lenient=True)

_MADE = {201: "The room is there."}
_ERRORS = (Forbidden, NotFound, Unavailable)


class EntityPath(msgspec.Struct):
    """A group or a meetup."""

    slug: ID


class RoomMade(msgspec.Struct):
    """A chat room."""

    roomId: str
    message: str
    success: bool = True


class RoomClosed(msgspec.Struct):
    """What became of a chat room."""

    message: str
    success: bool = True


class AdminApi:
    """The handlers below ``/api/chat/admin``.

    Args:
        office: Makes and closes rooms.
    """

    def __init__(self, office: RoomOffice) -> None:
        self._office = office

    @ENDPOINTS.post("/api/chat/admin/event/{slug}/chatroom", success=_MADE, errors=_ERRORS)
    async def make_event_room(self, call: Call[Session, EntityPath, None, None]) -> RoomMade:
        """Have a meetup's chat room made, if it is not there yet."""
        return await self._make(_ref(call, PortalKind.MEETUP))

    @ENDPOINTS.delete("/api/chat/admin/event/{slug}/chatroom", errors=_ERRORS)
    async def close_event_room(self, call: Call[Session, EntityPath, None, None]) -> RoomClosed:
        """Close a meetup's chat room for good. A new one, empty, takes its place."""
        return await self._close(_ref(call, PortalKind.MEETUP))

    @ENDPOINTS.post("/api/chat/admin/group/{slug}/chatroom", success=_MADE, errors=_ERRORS)
    async def make_group_room(self, call: Call[Session, EntityPath, None, None]) -> RoomMade:
        """Have a group's chat room made, if it is not there yet."""
        return await self._make(_ref(call, PortalKind.GROUP))

    @ENDPOINTS.delete("/api/chat/admin/group/{slug}/chatroom", errors=_ERRORS)
    async def close_group_room(self, call: Call[Session, EntityPath, None, None]) -> RoomClosed:
        """Close a group's chat room for good. A new one, empty, takes its place."""
        return await self._close(_ref(call, PortalKind.GROUP))

    async def _make(self, ref: PortalRef) -> RoomMade:
        return RoomMade(await self._office.make(ref), "The chat room is there.")

    async def _close(self, ref: PortalRef) -> RoomClosed:
        return RoomClosed(await self._office.close(ref))


def _ref(call: Call[Session, EntityPath, None, None], kind: PortalKind) -> PortalRef:
    return PortalRef(call.caller.tenant_id, kind, call.path.slug)
