"""Web API v1: saying something, and changing what was said."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ..bridge.sending import Message, Outcome, Sending, Text
from ..core.composing import Format, Kind
from ..core.errors import (
    BadRequest,
    BridgeError,
    Conflict,
    Forbidden,
    InvalidParam,
    LimitExceeded,
    NotFound,
    TooLarge,
)
from ..core.ids import ClientTxnId, EventId
from .endpoint import Call, Endpoints, Reply
from .room_paths import ID, EditPath, EntryPath, MessagePath, ReactionPath
from .sessions import Session

ENDPOINTS = Endpoints(tag="Rooms and messages")

_SUCCESS = {200: "Sent.", 202: "Accepted; it will be sent when the homeserver is back."}
_DONE = {200: "It is so.", 202: "Accepted; it will be so when the homeserver is back."}
_REFUSALS = (NotFound, Forbidden, Conflict, LimitExceeded)

Mentions = Annotated[list[ID], Meta(max_length=50)]


class NewMessage(msgspec.Struct, forbid_unknown_fields=True):
    """A message.

    `body` is plain text, Markdown (CommonMark) or HTML, as `format` says. `reply_to` is the entry
    that it answers, `thread` the one with which its thread began. `mentions` are Matrix ids or
    slugs of people in the room whom it addresses, and `mention_room` addresses all of them.
    """

    body: Annotated[str, Meta(min_length=1)]
    format: Format = Format.PLAIN
    kind: Kind = Kind.TEXT
    reply_to: ID | None = None
    thread: ID | None = None
    mentions: Mentions = []
    mention_room: bool = False


class NewText(msgspec.Struct, forbid_unknown_fields=True):
    """What a message says from now on; the fields are those of a new message."""

    body: Annotated[str, Meta(min_length=1)]
    format: Format = Format.PLAIN
    mentions: Mentions = []
    mention_room: bool = False


class DeletionQuery(msgspec.Struct):
    """Why something is deleted; everybody in the room can read it."""

    reason: Annotated[str, Meta(max_length=500)] | None = None


class SendStatus(msgspec.Struct, omit_defaults=True):
    """How something stands. `event_id` once it is sent; `errcode` and `error` when it failed.

    There is no `event_id` where nothing had to be sent: a message that was taken back while it
    waited, a reaction that was not there.
    """

    status: Literal["sent", "pending", "failed"]
    event_id: EventId | None = None
    errcode: str | None = None
    error: str | None = None


class Messages:
    """The handlers of sending.

    Args:
        sending: Sends what people say and change.
    """

    def __init__(self, sending: Sending) -> None:
        self._sending = sending

    @ENDPOINTS.put(
        "/api/v1/rooms/{room_id}/messages/{client_txn_id}",
        success=_SUCCESS,
        errors=(*_REFUSALS, BadRequest, TooLarge),
    )
    async def send(self, call: Call[Session, MessagePath, None, NewMessage]) -> Reply[SendStatus]:
        """Send a message.

        `client_txn_id` is the caller's own id of the message. Repeating the request with it is
        always safe: there is one message, and the answer says how it stands. The message itself
        reaches every reader, the sender included, by the stream.
        """
        body = call.body
        message = Message(
            body=body.body,
            format=body.format,
            kind=body.kind,
            reply_to=_event(body.reply_to),
            thread=_event(body.thread),
            mentions=body.mentions,
            mention_room=body.mention_room,
        )
        txn_id = ClientTxnId(call.path.client_txn_id)
        actor = call.caller.actor(call.path.room_id)
        return _reply(await self._sending.send(actor, txn_id, message))

    @ENDPOINTS.get("/api/v1/rooms/{room_id}/messages/{client_txn_id}", errors=(NotFound,))
    async def send_status(self, call: Call[Session, MessagePath, None, None]) -> SendStatus:
        """How one of my messages or edits stands."""
        txn_id = ClientTxnId(call.path.client_txn_id)
        return _status(await self._sending.status(call.caller.actor(call.path.room_id), txn_id))

    @ENDPOINTS.delete(
        "/api/v1/rooms/{room_id}/messages/{client_txn_id}", success=_DONE, errors=_REFUSALS
    )
    async def take_back(self, call: Call[Session, MessagePath, None, None]) -> Reply[SendStatus]:
        """Take back one of my messages.

        While it waits it is taken back at once and never sent: its status is `failed` then, with
        `ORG_OPENMEET_WITHDRAWN`. Otherwise it is deleted as soon as it is sent. Safe to repeat.
        """
        txn_id = ClientTxnId(call.path.client_txn_id)
        return _reply(await self._sending.take_back(call.caller.actor(call.path.room_id), txn_id))

    @ENDPOINTS.put(
        "/api/v1/rooms/{room_id}/entries/{event_id}/edits/{client_txn_id}",
        success=_SUCCESS,
        errors=(*_REFUSALS, BadRequest, InvalidParam, TooLarge),
    )
    async def edit(self, call: Call[Session, EditPath, None, NewText]) -> Reply[SendStatus]:
        """Edit one of my messages.

        It stays what it is (text, emote or notice) and the answer to what it answers.
        `client_txn_id` is the caller's own id of the edit, another than that of the message;
        repeating the request with it is always safe. Readers get the message as it is then, in a
        frame `timeline.changed`.
        """
        body = call.body
        text = Text(
            body=body.body,
            format=body.format,
            mentions=body.mentions,
            mention_room=body.mention_room,
        )
        event_id, txn_id = EventId(call.path.event_id), ClientTxnId(call.path.client_txn_id)
        actor = call.caller.actor(call.path.room_id)
        return _reply(await self._sending.edit(actor, event_id, txn_id, text))

    @ENDPOINTS.put(
        "/api/v1/rooms/{room_id}/entries/{event_id}/reactions/{key}",
        success=_DONE,
        errors=(*_REFUSALS, InvalidParam),
    )
    async def react(self, call: Call[Session, ReactionPath, None, None]) -> Reply[SendStatus]:
        """React to an entry.

        `key` is an emoji, as a rule; at most 100 bytes of UTF-8. An entry has at most 50
        different ones. I have reacted with it once, however often this is said.
        """
        actor, event_id = call.caller.actor(call.path.room_id), EventId(call.path.event_id)
        return _reply(await self._sending.react(actor, event_id, call.path.key))

    @ENDPOINTS.delete(
        "/api/v1/rooms/{room_id}/entries/{event_id}/reactions/{key}",
        success=_DONE,
        errors=_REFUSALS,
    )
    async def unreact(self, call: Call[Session, ReactionPath, None, None]) -> Reply[SendStatus]:
        """Take back my reaction to an entry. Safe to repeat, also where there is none."""
        actor, event_id = call.caller.actor(call.path.room_id), EventId(call.path.event_id)
        return _reply(await self._sending.unreact(actor, event_id, call.path.key))

    @ENDPOINTS.delete(
        "/api/v1/rooms/{room_id}/entries/{event_id}",
        success=_DONE,
        errors=(*_REFUSALS, InvalidParam),
    )
    async def delete_entry(
        self, call: Call[Session, EntryPath, DeletionQuery, None]
    ) -> Reply[SendStatus]:
        """Delete an entry.

        My own; those of others where the room's `permissions.delete_others` says so. What it has
        said, in all its versions, is gone for good, on Matrix too. Safe to repeat.
        """
        actor, event_id = call.caller.actor(call.path.room_id), EventId(call.path.event_id)
        return _reply(await self._sending.delete(actor, event_id, call.query.reason))


def _event(event_id: str | None) -> EventId | None:
    return None if event_id is None else EventId(event_id)


def _reply(outcome: Outcome) -> Reply[SendStatus]:
    if outcome.state == "failed":
        raise _refusal(outcome)
    return Reply(200 if outcome.state == "sent" else 202, _status(outcome))


def _status(outcome: Outcome) -> SendStatus:
    state = outcome.state
    if state == "sent":
        return SendStatus("sent", outcome.event_id)
    if state == "failed":
        return SendStatus("failed", errcode=outcome.errcode, error=outcome.error)
    return SendStatus("pending")


def _refusal(outcome: Outcome) -> BridgeError:
    """Return the homeserver's final no as the answer to the one who wanted to send."""
    text = f"This was not sent: {outcome.error}"
    status = {"M_FORBIDDEN": 403, "M_TOO_LARGE": 413}.get(outcome.errcode or "", 409)
    return Conflict(text, errcode=outcome.errcode, status=status)
