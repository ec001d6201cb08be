"""Web API v1: sending."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ..bridge.sending import Outcome, Sending
from ..core.errors import BridgeError, Conflict, Forbidden, LimitExceeded, NotFound, TooLarge
from ..core.ids import ClientTxnId, EventId, RoomId
from .endpoint import Call, Endpoints, Reply
from .room_paths import MessagePath
from .sessions import Session

ENDPOINTS = Endpoints(tag="Rooms and messages")


class NewMessage(msgspec.Struct, forbid_unknown_fields=True):
    """A text message."""

    body: Annotated[str, Meta(min_length=1)]


class SendStatus(msgspec.Struct, omit_defaults=True):
    """How a message stands. `event_id` once it is sent; `errcode` and `error` when it failed."""

    status: Literal["sent", "pending", "failed"]
    event_id: EventId | None = None
    errcode: str | None = None
    error: str | None = None


class Messages:
    """The handlers of sending.

    Args:
        sending: Sends messages.
    """

    def __init__(self, sending: Sending) -> None:
        self._sending = sending

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
