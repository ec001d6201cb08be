"""OpenMeet's web app: rooms by their Matrix ids."""

from __future__ import annotations

import msgspec

from ...bridge.web_sending import WebSending
from ...bridge.web_timeline import WebTimeline
from ...core.ids import RoomId
from ..endpoint import Call, Endpoints
from ..room_paths import ID
from ..sessions import Session
from . import TAG
from .discussion import (
    CREATED,
    READ_ERRORS,
    SEND_ERRORS,
    DiscussionMessages,
    NewWebMessage,
    PageQuery,
    SentMessage,
)

ENDPOINTS = Endpoints(tag=TAG, auth="web_app", lenient=True)


class MatrixRoomPath(msgspec.Struct):
    """A room, as Matrix names it."""

    roomId: ID


class WebRooms:
    """The handlers of rooms by id.

    Args:
        sending: Sends messages.
        timeline: Reads rooms.
    """

    def __init__(self, sending: WebSending, timeline: WebTimeline) -> None:
        self._sending = sending
        self._timeline = timeline

    @ENDPOINTS.get("/api/matrix/messages/{roomId}", errors=READ_ERRORS)
    async def room_messages(
        self, call: Call[Session, MatrixRoomPath, PageQuery, None]
    ) -> DiscussionMessages:
        """A page of a room that I am in, newest message first; of any other room 403."""
        caller, query = call.caller, call.query
        page = await self._timeline.page(
            caller.tenant_id,
            caller.mxid,
            RoomId(call.path.roomId),
            limit=query.size,
            before=query.before,
        )
        return DiscussionMessages.of(page)

    @ENDPOINTS.post("/api/matrix/messages/{roomId}", success=CREATED, errors=SEND_ERRORS)
    async def send_room_message(
        self, call: Call[Session, MatrixRoomPath, None, NewWebMessage]
    ) -> SentMessage:
        """Say something in a room that I am in. As in an event's chat."""
        actor = call.caller.actor(call.path.roomId)
        return SentMessage(await self._sending.send(actor, call.body.text))
