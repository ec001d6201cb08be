"""Web API v1: what a browser reads and does. Every answer is about the caller's own rooms."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ..bridge.identity import Identity
from ..bridge.receipts import Receipts
from ..bridge.sending import Outcome, Sending
from ..bridge.timeline import ListedWithLast, Timeline
from ..bridge.typing import Typing
from ..core.cursor import order_text
from ..core.entry import Entry, Person, Receipt
from ..core.errors import (
    BridgeError,
    Conflict,
    Forbidden,
    InvalidParam,
    LimitExceeded,
    NotFound,
    TooLarge,
    UnknownToken,
)
from ..core.ids import ClientTxnId, EventId, Mxid, PortalKind, RoomId, TenantId, UserSlug
from .endpoint import Call, Endpoints, Reply
from .sessions import COOKIE, Session, Sessions

ENDPOINTS = Endpoints(tag="Rooms and messages")

_ID = Annotated[str, Meta(min_length=1, max_length=255)]


class RoomPath(msgspec.Struct):
    """A room."""

    room_id: _ID


class MessagePath(msgspec.Struct):
    """One of the caller's own messages to a room."""

    room_id: _ID
    client_txn_id: Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[\w.~:=+-]+$")]


class TimelineQuery(msgspec.Struct):
    """Which part of a timeline. At most one of `before`, `after` and `around`."""

    limit: Annotated[int, Meta(ge=1)] = 50
    before: str | None = None
    after: str | None = None
    around: str | None = None


class TenantInfo(msgspec.Struct):
    """A community site."""

    id: TenantId
    name: str


class Me(msgspec.Struct):
    """Who the caller is."""

    tenant: TenantInfo
    user: Person
    expires_at: int


class Room(msgspec.Struct):
    """A room of the caller's, as the list shows it.

    `unread_count` stops at 100, which means 100 or more. `read_order` is the order of the last
    entry that the caller has read.
    """

    room_id: RoomId
    kind: PortalKind
    slug: str
    name: str
    topic: str
    avatar_url: str | None
    url: str | None
    member_count: int
    last_message: Entry | None
    unread_count: int
    read_order: str | None
    can_send: bool


class RoomList(msgspec.Struct):
    """The caller's rooms, most recently active first.

    Open the stream with `cursor`, and nothing that happened since is missed.
    """

    rooms: list[Room]
    cursor: str


class Member(msgspec.Struct):
    """Somebody who is in a room or invited to it.

    `role` is OpenMeet's; null for people who come from Matrix.
    """

    mxid: Mxid
    name: str
    avatar_url: str | None
    slug: UserSlug | None
    membership: str
    power_level: int
    role: str | None


class MemberList(msgspec.Struct):
    """Everybody in a room."""

    members: list[Member]


class TimelinePage(msgspec.Struct):
    """A piece of a room's timeline, oldest entry first, and how far everybody has read."""

    entries: list[Entry]
    has_before: bool
    has_after: bool
    receipts: list[Receipt]


class NewMessage(msgspec.Struct, forbid_unknown_fields=True):
    """A text message."""

    body: Annotated[str, Meta(min_length=1)]


class SendStatus(msgspec.Struct, omit_defaults=True):
    """How a message stands. `event_id` once it is sent; `errcode` and `error` when it failed."""

    status: Literal["sent", "pending", "failed"]
    event_id: EventId | None = None
    errcode: str | None = None
    error: str | None = None


class ReadUpTo(msgspec.Struct, forbid_unknown_fields=True):
    """The last event that was read."""

    event_id: _ID


class TypingNotice(msgspec.Struct, forbid_unknown_fields=True):
    """Whether the caller types."""

    typing: bool


class StreamTicket(msgspec.Struct):
    """A single-use ticket for a stream."""

    ticket: str
    expires_in_ms: int


class SignIn(msgspec.Struct, forbid_unknown_fields=True):
    """OpenMeet's access token."""

    token: str


class Client:
    """The handlers of the web API.

    Args:
        identity: Issues tickets.
        sessions: Checks the token of a sign-in.
        timeline: Reads rooms.
        sending: Sends messages.
        receipts: Keeps read marks.
        typing: Passes typing notices on.
        secure_cookie: Whether browsers may send the cookie over https only.
        now: Seconds since the epoch.
    """

    def __init__(
        self,
        identity: Identity,
        sessions: Sessions,
        timeline: Timeline,
        sending: Sending,
        receipts: Receipts,
        typing: Typing,
        *,
        secure_cookie: bool,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._identity = identity
        self._sessions = sessions
        self._timeline = timeline
        self._sending = sending
        self._receipts = receipts
        self._typing = typing
        self._secure_cookie = secure_cookie
        self._now = now

    @ENDPOINTS.get("/api/v1/me", tag="Session")
    async def me(self, call: Call[Session, None, None, None]) -> Me:
        """Who am I?"""
        caller = call.caller
        tenant = TenantInfo(caller.tenant.id, caller.tenant.name)
        return Me(tenant, caller.person, caller.expires_at_ms)

    @ENDPOINTS.post("/api/v1/session", tag="Session", auth="none", errors=(UnknownToken,))
    async def sign_in(self, call: Call[None, None, None, SignIn]) -> Reply[Me]:
        """Keep my token in a cookie.

        For pages that must survive a reload without keeping a token where scripts can read it:
        the cookie is HttpOnly. Requests that change something must then carry the header
        `X-Requested-With: openmeet`.
        """
        request = call.request
        named = request.headers.get("X-Tenant-Id", request.query.get("tenantId"))
        session = await self._sessions.by_token(call.body.token, named)
        seconds = max(0, session.expires_at_ms // 1000 - int(self._now()))
        tenant = TenantInfo(session.tenant.id, session.tenant.name)
        body = Me(tenant, session.person, session.expires_at_ms)
        return Reply(200, body, (self._cookie(call.body.token, seconds),))

    @ENDPOINTS.delete("/api/v1/session", tag="Session", auth="none")
    async def sign_out(self, call: Call[None, None, None, None]) -> Reply[None]:
        """Forget the cookie."""
        return Reply(200, None, (self._cookie("", 0),))

    @ENDPOINTS.get("/api/v1/rooms")
    async def rooms(self, call: Call[Session, None, None, None]) -> RoomList:
        """My rooms."""
        listed, cursor = await self._timeline.rooms(call.caller.tenant_id, call.caller.mxid)
        return RoomList([_room(one) for one in listed], str(cursor))

    @ENDPOINTS.get("/api/v1/rooms/{room_id}", errors=(NotFound,))
    async def room(self, call: Call[Session, RoomPath, None, None]) -> Room:
        """One of my rooms."""
        caller, room_id = call.caller, RoomId(call.path.room_id)
        return _room(await self._timeline.room(caller.tenant_id, caller.mxid, room_id))

    @ENDPOINTS.get("/api/v1/rooms/{room_id}/members", errors=(NotFound,))
    async def members(self, call: Call[Session, RoomPath, None, None]) -> MemberList:
        """Who is in a room."""
        caller, room_id = call.caller, RoomId(call.path.room_id)
        people, levels = await self._timeline.members(caller.tenant_id, caller.mxid, room_id)
        return MemberList(
            [
                Member(
                    mxid=one.person.mxid,
                    name=one.person.name,
                    avatar_url=one.person.avatar_url,
                    slug=one.person.slug,
                    membership=one.membership,
                    power_level=levels.level(one.person.mxid),
                    role=one.role,
                )
                for one in people
            ]
        )

    @ENDPOINTS.get("/api/v1/rooms/{room_id}/timeline", errors=(NotFound, InvalidParam))
    async def timeline(self, call: Call[Session, RoomPath, TimelineQuery, None]) -> TimelinePage:
        """A page of a room's timeline.

        Without a place: the end of it. With `before` or `after`: next to the entry of that order.
        With `around`: half a page on each side of an event. `limit` is cut to the server's own.
        """
        caller, query = call.caller, call.query
        page = await self._timeline.page(
            caller.tenant_id,
            caller.mxid,
            RoomId(call.path.room_id),
            limit=query.limit,
            before=query.before,
            after=query.after,
            around=None if query.around is None else EventId(query.around),
        )
        return TimelinePage(page.entries, page.has_before, page.has_after, page.receipts)

    @ENDPOINTS.put(
        "/api/v1/rooms/{room_id}/messages/{client_txn_id}",
        success={200: "Sent.", 202: "Accepted; it will be sent when the homeserver is back."},
        errors=(NotFound, Forbidden, Conflict, TooLarge, LimitExceeded),
    )
    async def send(self, call: Call[Session, MessagePath, None, NewMessage]) -> Reply[SendStatus]:
        """Send a text message.

        `client_txn_id` is the caller's own id of the message. Repeating the request with it is
        always safe: there is one message, and the answer says how it stands. The message itself
        reaches every reader, the sender included, by the stream.
        """
        caller = call.caller
        outcome = await self._sending.submit(
            caller.tenant_id,
            caller.user.slug,
            caller.mxid,
            RoomId(call.path.room_id),
            ClientTxnId(call.path.client_txn_id),
            call.body.body,
        )
        if outcome.state == "failed":
            raise _refusal(outcome)
        return Reply(200 if outcome.state == "sent" else 202, _status(outcome))

    @ENDPOINTS.get("/api/v1/rooms/{room_id}/messages/{client_txn_id}", errors=(NotFound,))
    async def send_status(self, call: Call[Session, MessagePath, None, None]) -> SendStatus:
        """How one of my messages stands."""
        caller = call.caller
        return _status(
            await self._sending.status(
                caller.tenant_id,
                caller.user.slug,
                RoomId(call.path.room_id),
                ClientTxnId(call.path.client_txn_id),
            )
        )

    @ENDPOINTS.post("/api/v1/rooms/{room_id}/read", errors=(NotFound,))
    async def read(self, call: Call[Session, RoomPath, None, ReadUpTo]) -> None:
        """Mark a room as read up to an event. A mark never moves back."""
        await self._receipts.mark(
            call.caller.tenant_id,
            RoomId(call.path.room_id),
            call.caller.mxid,
            EventId(call.body.event_id),
            int(self._now() * 1000),
        )

    @ENDPOINTS.put("/api/v1/rooms/{room_id}/typing", errors=(NotFound,))
    async def type_in(self, call: Call[Session, RoomPath, None, TypingNotice]) -> None:
        """Say that I type, or have stopped. Repeat every 10 to 20 seconds while it lasts."""
        caller, room_id = call.caller, RoomId(call.path.room_id)
        await self._typing.say(caller.tenant_id, room_id, caller.mxid, call.body.typing)

    @ENDPOINTS.post("/api/v1/stream/tickets", tag="Session")
    async def ticket(self, call: Call[Session, None, None, None]) -> StreamTicket:
        """Get a ticket for a stream.

        For `EventSource` and `WebSocket`, which cannot send a header. It is good once, for some
        seconds, in place of a token that must not stand in an address.
        """
        caller = call.caller
        ticket = await self._identity.issue_ticket(caller.user, caller.expires_at_ms)
        return StreamTicket(ticket, int(self._identity.ticket_lifetime * 1000))

    def _cookie(self, token: str, seconds: int) -> tuple[str, str]:
        secure = "; Secure" if self._secure_cookie else ""
        return (
            "Set-Cookie",
            f"{COOKIE}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}",
        )


def _room(listed: ListedWithLast) -> Room:
    room = listed.room
    return Room(
        room_id=room.room_id,
        kind=room.kind,
        slug=room.slug,
        name=room.name,
        topic=room.topic,
        avatar_url=room.avatar_url,
        url=room.url,
        member_count=room.member_count,
        last_message=listed.last,
        unread_count=room.unread_count,
        read_order=None if room.read_key is None else order_text(room.read_key),
        can_send=listed.can_send,
    )


def _status(outcome: Outcome) -> SendStatus:
    state = outcome.state
    if state == "sent":
        return SendStatus("sent", outcome.event_id)
    if state == "failed":
        return SendStatus("failed", errcode=outcome.errcode, error=outcome.error)
    return SendStatus("pending")


def _refusal(outcome: Outcome) -> BridgeError:
    """Return the homeserver's final no as the answer to the one who wanted to send."""
    text = f"The message was not sent: {outcome.error}"
    status = {"M_FORBIDDEN": 403, "M_TOO_LARGE": 413}.get(outcome.errcode or "", 409)
    return Conflict(text, errcode=outcome.errcode, status=status)
