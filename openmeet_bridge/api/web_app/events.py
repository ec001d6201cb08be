"""OpenMeet's web app: the chats of its events."""

from __future__ import annotations

from aiohttp import web

from ...core.errors import Conflict, Forbidden, NotFound, Unavailable
from ..endpoint import Call, Endpoints
from ..sessions import Session
from . import TAG
from .discussion import (
    CREATED,
    READ_ERRORS,
    SEND_ERRORS,
    DiscussionMessages,
    Joined,
    MemberPath,
    NewWebMessage,
    PageQuery,
    SentMessage,
    SlugPath,
    nothing,
)
from .discussions import Conversations

ENDPOINTS = Endpoints(tag=TAG, auth="web_app", lenient=True)

_JOINED = "Successfully joined event chat room"


class Events:
    """The handlers of events' chats.

    Args:
        conversations: Those of meetups.
    """

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations

    @ENDPOINTS.post("/api/chat/event/{slug}/message", success=CREATED, errors=SEND_ERRORS)
    async def send_event_message(
        self, call: Call[Session, SlugPath, None, NewWebMessage]
    ) -> SentMessage:
        """Say something in an event's chat.

        Answered with the event's final id. Where the homeserver does not answer in time, 503: the
        message is kept and will be sent. The same text, sent again before it was or within 30
        seconds of that answer, is the same message.
        """
        return await self._conversations.send(call.caller, call.path.slug, call.body.text)

    @ENDPOINTS.get("/api/chat/event/{slug}/messages", errors=READ_ERRORS)
    async def event_messages(
        self, call: Call[Session, SlugPath, PageQuery, None]
    ) -> DiscussionMessages:
        """A page of an event's chat, newest message first.

        Whoever attends and is not in the room yet is let in first, which takes a moment.
        """
        return await self._conversations.messages(call.caller, call.path.slug, call.query)

    @ENDPOINTS.post("/api/chat/event/{slug}/join", success={201: "Whether it worked."})
    async def join_event(self, call: Call[Session, SlugPath, None, None]) -> Joined:
        """Come into an event's chat; whoever may not is told why in the body."""
        return await self._conversations.join(call.caller, call.path.slug, _JOINED)

    @ENDPOINTS.post(
        "/api/chat/event/{slug}/members/{userSlug}", success={201: "Whether it worked."}
    )
    async def add_event_member(self, call: Call[Session, MemberPath, None, None]) -> Joined:
        """Let somebody into an event's chat: myself, or, where I am in it, somebody else.

        Only who attends by OpenMeet's word comes in; this makes it happen at once.
        """
        path = call.path
        return await self._conversations.let_in(call.caller, path.slug, path.userSlug, _JOINED)

    @ENDPOINTS.delete(
        "/api/chat/event/{slug}/members/{userSlug}",
        errors=(Forbidden, NotFound, Conflict, Unavailable),
    )
    async def remove_event_member(
        self, call: Call[Session, MemberPath, None, None]
    ) -> web.Response:
        """See to it that somebody who no longer attends is out: myself, or, as moderator, others.

        The answer has no body. OpenMeet decides who attends: it is asked anew, and whoever does by
        then stays in (409). That has to end on OpenMeet, and the room follows by itself.
        """
        await self._conversations.remove(call.caller, call.path.slug, call.path.userSlug)
        return nothing(200)
