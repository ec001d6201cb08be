"""OpenMeet's web app: the direct chats of its users, and what they have read anywhere."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ...bridge.arrivals import Arrivals
from ...bridge.direct_chats import DirectChats
from ...bridge.direct_lists import DirectLists
from ...bridge.discussions import Discussions
from ...bridge.web_reading import WebReading
from ...bridge.web_sending import WebSending
from ...bridge.web_timeline import WebTimeline
from ...core.directory import User
from ...core.errors import Forbidden, InvalidParam, LimitExceeded, NotFound, Unavailable
from ...core.ids import EventId, PortalRef, UserSlug
from ...core.web_chat import chat_of
from ..endpoint import Call, Endpoints
from ..sessions import Session
from . import TAG
from .direct_shapes import Chat, chat
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

_MOST_READ: Final = 500


class RecipientPath(msgspec.Struct):
    """Somebody, by OpenMeet's number of them."""

    recipientId: int


class OtherPath(msgspec.Struct):
    """Somebody, by OpenMeet's number of them."""

    userId: int


class ChatPath(msgspec.Struct):
    """A direct chat, by its `ulid`."""

    ulid: Annotated[str, Meta(min_length=1, max_length=1000)]


class ChatsQuery(msgspec.Struct):
    """Which chat to open: one by its `ulid`, or the one with a user, by slug. None: neither."""

    chat: str | None = None
    user: str | None = None


class ChatList(msgspec.Struct):
    """My direct chats, the most recently active first, and the one that was to be opened.

    `chats` are at most 200. Those most recently active, 50 of them, come with the messages that are
    not read, the first 20 of each; `chat` comes with the newest 100, read or not.
    """

    chats: list[Chat]
    chat: Chat | None


class ReadMessages(msgspec.Struct):
    """Messages that were read, by their event ids. Numbers mean nothing."""

    messages: Annotated[list[int | float | str], Meta(max_length=_MOST_READ)]


class MarkedMessages(msgspec.Struct):
    """Those of them that are marked as read now."""

    messages: list[EventId]


class Directs:
    """The handlers of direct chats.

    Args:
        chats: Finds and begins them.
        lists: Reads them.
        people: Knows users.
        arrivals: Brings people into the rooms where they may be.
        sending: Sends messages.
        timeline: Reads rooms.
        reading: Keeps what was read.
    """

    def __init__(
        self,
        chats: DirectChats,
        lists: DirectLists,
        people: Discussions,
        arrivals: Arrivals,
        sending: WebSending,
        timeline: WebTimeline,
        reading: WebReading,
    ) -> None:
        self._chats = chats
        self._lists = lists
        self._people = people
        self._arrivals = arrivals
        self._sending = sending
        self._timeline = timeline
        self._reading = reading

    @ENDPOINTS.get("/api/chat", errors=(LimitExceeded, Unavailable))
    async def direct_chats(self, call: Call[Session, None, ChatsQuery, None]) -> ChatList:
        """My direct chats.

        With `user`, the chat with them is begun where there is none, at most 50 in an hour; `chat`
        is null where there can be none: that is myself, or nobody, or one of us blocks the other.
        """
        caller, query = call.caller, call.query
        opened = None
        if query.user:
            opened = await self._with(caller.user, UserSlug(query.user))
        elif query.chat:
            opened = chat_of(caller.tenant_id, caller.user.slug, query.chat)
        shown = None if opened is None else await self._opened(caller, opened)
        listed = await self._lists.chats(caller.user, caller.mxid)
        return ChatList([chat(caller.user, one) for one in listed], shown)

    @ENDPOINTS.post("/api/chat/{ulid}/message", success=CREATED, errors=SEND_ERRORS)
    async def send_chat_message(
        self, call: Call[Session, ChatPath, None, NewWebMessage]
    ) -> SentMessage:
        """Say something in a direct chat of mine. As in an event's chat."""
        caller, ulid = call.caller, call.path.ulid
        text = call.body.text
        ref = chat_of(caller.tenant_id, caller.user.slug, ulid)
        if ref is None:
            raise _no_chat(ulid)
        try:
            return await self._send(caller, ref, text)
        except NotFound as error:
            raise _no_chat(ulid) from error

    @ENDPOINTS.post("/api/chat/direct/{recipientId}/message", success=CREATED, errors=SEND_ERRORS)
    async def send_direct_message(
        self, call: Call[Session, RecipientPath, None, NewWebMessage]
    ) -> SentMessage:
        """Say something to somebody, in the direct chat with them, which is begun if need be."""
        caller, text = call.caller, call.body.text
        other = await self._chats.by_number(caller.tenant_id, call.path.recipientId)
        return await self._send(caller, await self._chats.open(caller.user, other), text)

    @ENDPOINTS.get("/api/chat/direct/{userId}/messages", errors=READ_ERRORS)
    async def direct_messages(
        self, call: Call[Session, OtherPath, PageQuery, None]
    ) -> DiscussionMessages:
        """A page of the direct chat with somebody; empty, and with no room, where there is none."""
        caller, query = call.caller, call.query
        other = await self._chats.by_number(caller.tenant_id, call.path.userId)
        ref = await self._chats.find(caller.user, other)
        if ref is None:
            return DiscussionMessages([], "")
        room_id = await self._arrivals.room(caller.user, ref)
        page = await self._timeline.page(
            caller.tenant_id, caller.mxid, room_id, limit=query.size, before=query.before
        )
        return DiscussionMessages.of(page)

    @ENDPOINTS.post("/api/chat/messages/read", success={201: "Marked."})
    async def read_messages(self, call: Call[Session, None, None, ReadMessages]) -> MarkedMessages:
        """Mark rooms as read, each up to the newest of these messages.

        Messages of rooms that I am not in, or that do not exist, are left out.
        """
        caller = call.caller
        wanted = [EventId(one) for one in call.body.messages if isinstance(one, str)]
        marked = await self._reading.mark(caller.tenant_id, caller.user.slug, caller.mxid, wanted)
        return MarkedMessages(marked)

    async def _with(self, user: User, slug: UserSlug) -> PortalRef | None:
        try:
            return await self._chats.open(user, await self._people.user(user.tenant, slug))
        except (NotFound, InvalidParam, Forbidden):
            return None

    async def _opened(self, caller: Session, ref: PortalRef) -> Chat | None:
        try:
            await self._arrivals.room(caller.user, ref)
        except (NotFound, Forbidden):
            return None
        found = await self._lists.chat(caller.user, caller.mxid, ref)
        return None if found is None else chat(caller.user, found)

    async def _send(self, caller: Session, ref: PortalRef, text: str) -> SentMessage:
        room_id = await self._arrivals.room(caller.user, ref)
        return SentMessage(await self._sending.send(caller.actor(room_id), text))


def _no_chat(ulid: str) -> NotFound:
    return NotFound(f"Chat with ulid {ulid} not found")
