"""OpenMeet's web app: the chats of its groups."""

from __future__ import annotations

from collections.abc import Collection

from aiohttp import web

from ...core.errors import Conflict, Forbidden, NotFound, Unavailable, UnknownToken
from ...core.ids import TenantId
from ..endpoint import Call, Endpoints
from ..sessions import Session, named_tenant
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

_JOINED = "Successfully joined group chat room"


class Groups:
    """The handlers of groups' chats.

    Args:
        conversations: Those of groups.
        tenants: All tenants: somebody who has not logged in names theirs.
    """

    def __init__(self, conversations: Conversations, tenants: Collection[TenantId]) -> None:
        self._conversations = conversations
        self._tenants = tenants

    @ENDPOINTS.post("/api/chat/group/{slug}/message", success=CREATED, errors=SEND_ERRORS)
    async def send_group_message(
        self, call: Call[Session, SlugPath, None, NewWebMessage]
    ) -> SentMessage:
        """Say something in a group's chat. As in an event's."""
        return await self._conversations.send(call.caller, call.path.slug, call.body.text)

    @ENDPOINTS.get("/api/chat/group/{slug}/messages", auth="web_app_guest", errors=READ_ERRORS)
    async def group_messages(
        self, call: Call[Session | None, SlugPath, PageQuery, None]
    ) -> DiscussionMessages:
        """A page of a group's chat, newest message first.

        Without a token: of a private group 403; of others no message, and the room's id if there
        is one. What is said in a room is for those who are in it, however open the group is.
        """
        caller, slug = call.caller, call.path.slug
        if caller is None:
            return await self._conversations.for_guest(self._named(call.request), slug)
        return await self._conversations.messages(caller, slug, call.query)

    @ENDPOINTS.post("/api/chat/group/{slug}/join", success={201: "Whether it worked."})
    async def join_group(self, call: Call[Session, SlugPath, None, None]) -> Joined:
        """Come into a group's chat; whoever may not is told why in the body."""
        return await self._conversations.join(call.caller, call.path.slug, _JOINED)

    @ENDPOINTS.post(
        "/api/chat/group/{slug}/members/{userSlug}",
        success={201: "They are in."},
        errors=(Forbidden, NotFound, Unavailable),
    )
    async def add_group_member(self, call: Call[Session, MemberPath, None, None]) -> web.Response:
        """Let somebody into a group's chat: myself, or, where I am in it, somebody else.

        Only members by OpenMeet's word come in; this makes it happen at once. The answer has no
        body.
        """
        await self._conversations.add(call.caller, call.path.slug, call.path.userSlug)
        return nothing(201)

    @ENDPOINTS.delete(
        "/api/chat/group/{slug}/members/{userSlug}",
        errors=(Forbidden, NotFound, Conflict, Unavailable),
    )
    async def remove_group_member(
        self, call: Call[Session, MemberPath, None, None]
    ) -> web.Response:
        """See to it that somebody who is no longer a member is out. As in an event's chat."""
        await self._conversations.remove(call.caller, call.path.slug, call.path.userSlug)
        return nothing(200)

    def _named(self, request: web.Request) -> TenantId:
        tenant = TenantId(named_tenant(request) or "")
        if tenant not in self._tenants:
            raise UnknownToken("There is no such tenant.")
        return tenant
