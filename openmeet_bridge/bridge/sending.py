"""Sending: how a browser's message is accepted, once, and how it stands.

A message is accepted by a committed row of the outbox, unique for its sender and the browser's own
id of it. What becomes of the row is the delivery's; whoever asked is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from ..core.errors import Forbidden, LimitExceeded, NotFound, TooLarge
from ..core.events import CLIENT_TXN_KEY, MESSAGE
from ..core.ids import ClientTxnId, EventId, Mxid, RoomId, TenantId, UserSlug
from ..core.permissions import power_levels
from ..storage import outbox, rooms
from ..storage.database import Connection, Database
from ..storage.outbox import Message, Sent

_PENDING = "pending"


class Limits(msgspec.Struct, frozen=True):
    """Bounds of the outbox.

    Attributes:
        message_bytes: Longest text of a message, in bytes of UTF-8.
        pending_per_room: Messages of one room that may wait.
        pending: Messages that may wait in all.
        wait: How long a request waits for its event id, in seconds.
    """

    message_bytes: int = 32_768
    pending_per_room: int = 1000
    pending: int = 100_000
    wait: float = 10.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a message stands: ``pending``, ``sent`` with its event, or ``failed`` with the reason."""

    state: str
    event_id: EventId | None
    errcode: str | None
    error: str | None


class Sending:
    """Accepts messages.

    Args:
        database: The outbox.
        limits: Bounds.
        wake: Called with a room that has something to deliver.
    """

    def __init__(self, database: Database, limits: Limits, wake: Callable[[RoomId], None]) -> None:
        self._database = database
        self._limits = limits
        self._wake = wake
        self._waiting: dict[int, set[asyncio.Future[None]]] = {}

    async def submit(
        self,
        tenant: TenantId,
        user_slug: UserSlug,
        sender: Mxid,
        room_id: RoomId,
        client_txn_id: ClientTxnId,
        body: str,
    ) -> Outcome:
        """Accept a text message, and wait a while for its event.

        Safe to repeat with the same id: the answer is the state of the one message.

        Raises:
            NotFound: The sender is in no such room.
            Forbidden: The room does not let the sender write.
            TooLarge: The text is too long.
            LimitExceeded: Too many messages wait already.
            Unavailable: The database is away; the message was not accepted.
        """
        content = self._content(body, client_txn_id)
        # Shielded: whoever hangs up now must not leave an accepted message without its worker.
        message, told = await asyncio.shield(
            self._accept(tenant, user_slug, sender, room_id, client_txn_id, content)
        )
        return _outcome(await self._settled(message, told))

    async def _accept(
        self,
        tenant: TenantId,
        user_slug: UserSlug,
        sender: Mxid,
        room_id: RoomId,
        client_txn_id: ClientTxnId,
        content: bytes,
    ) -> tuple[Message, asyncio.Future[None]]:
        async with self._database.transaction() as connection:
            present = await outbox.get(connection, tenant, user_slug, client_txn_id)
            if present is None:
                await self._check(connection, tenant, room_id, sender)
                message, _ = await outbox.put(
                    connection, tenant, user_slug, client_txn_id, room_id, sender, content
                )
            else:
                message = present
        if message.room_id != room_id:
            raise NotFound("This message id was used for a message to another room.")
        told = asyncio.get_running_loop().create_future()
        if message.state == _PENDING:
            # Before the worker is woken: it cannot tell somebody who does not wait yet.
            self._waiting.setdefault(message.id, set()).add(told)
            self._wake(room_id)
        else:
            told.set_result(None)
        return message, told

    async def status(
        self, tenant: TenantId, user_slug: UserSlug, room_id: RoomId, client_txn_id: ClientTxnId
    ) -> Outcome:
        """Return how one of a user's messages stands.

        Raises:
            NotFound: The user has sent no such message.
        """
        async with self._database.connection() as connection:
            message = await outbox.get(connection, tenant, user_slug, client_txn_id)
        if message is None or message.room_id != room_id:
            raise NotFound("You have sent no message with this id to this room.")
        return _outcome(message)

    def confirmed(self, sent: Sequence[Sent]) -> None:
        """Note that messages came back as events; whoever waits for them is told."""
        for one in sent:
            self.tell(one.id)

    def release(self) -> None:
        """Let nobody wait any longer: who still does is answered that the message is pending."""
        for message_id in list(self._waiting):
            self.tell(message_id)

    # Accepting

    def _content(self, body: str, client_txn_id: ClientTxnId) -> bytes:
        size = len(body.encode("utf-8", "surrogatepass"))
        if size > self._limits.message_bytes:
            raise TooLarge(
                f"The message has {size} bytes; the limit is {self._limits.message_bytes}.",
                fields={"body.body": f"at most {self._limits.message_bytes} bytes of UTF-8"},
            )
        content = {"msgtype": "m.text", "body": body, CLIENT_TXN_KEY: client_txn_id}
        return msgspec.json.encode(content)

    async def _check(
        self, connection: Connection, tenant: TenantId, room_id: RoomId, sender: Mxid
    ) -> None:
        if not await rooms.is_joined(connection, tenant, room_id, sender):
            raise NotFound("You are in no such room.")
        levels = power_levels(await rooms.state(connection, room_id, "m.room.power_levels"))
        if not levels.may_send(sender, MESSAGE):
            raise Forbidden("You may read this room, but not write in it.")
        if await outbox.pending_count(connection, room_id) >= self._limits.pending_per_room:
            raise LimitExceeded(
                "Too many messages of this room wait to be sent.", retry_after_ms=5000
            )
        if await outbox.pending_total(connection) >= self._limits.pending:
            raise LimitExceeded("Too many messages wait to be sent.", retry_after_ms=5000)

    async def _settled(self, message: Message, told: asyncio.Future[None]) -> Message:
        """Wait until a message is sent or has failed, but not for ever; return it as it stands."""
        if message.state != _PENDING:
            return message
        try:
            async with asyncio.timeout(self._limits.wait):
                await told
        except TimeoutError:
            self._waiting.get(message.id, set()).discard(told)
            return message
        async with self._database.connection() as connection:
            return await outbox.by_id(connection, message.id) or message

    def tell(self, message_id: int) -> None:
        """Tell whoever waits for a message that it is settled."""
        for told in self._waiting.pop(message_id, ()):
            if not told.done():
                told.set_result(None)


def _outcome(message: Message) -> Outcome:
    return Outcome(message.state, message.event_id, message.errcode, message.error)
