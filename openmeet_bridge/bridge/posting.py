"""Posting: what somebody wants done goes into the outbox, in the transaction that decides on it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ..core.actions import Action
from ..core.errors import LimitExceeded
from ..core.events import CLIENT_TXN_KEY
from ..core.ids import ClientTxnId, EventId
from ..storage import outbox
from ..storage.database import Connection
from ..storage.outbox import Message
from .rights import Actor


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
    """How something stands: ``pending``, ``sent`` with its event, or ``failed`` with the reason."""

    state: str
    event_id: EventId | None = None
    errcode: str | None = None
    error: str | None = None


NOTHING_TO_DO = Outcome("sent")


@dataclass(frozen=True, slots=True)
class Posted:
    """What came of a request.

    Attributes:
        result: The row whose outcome is the answer; the answer itself where there is no row.
        withdrawn: Rows that were taken back before anybody tried to send them.
    """

    result: Message | Outcome
    withdrawn: tuple[int, ...] = ()


class Post:
    """The outbox, inside one transaction, for one person in one room.

    Args:
        connection: The transaction.
        actor: Who, and where.
        limits: Bounds.
    """

    def __init__(self, connection: Connection, actor: Actor, limits: Limits) -> None:
        self.connection = connection
        self.actor = actor
        self._limits = limits

    async def put(
        self,
        action: Action,
        content: bytes | None = None,
        client_txn_id: ClientTxnId | None = None,
        *,
        about: EventId | None = None,
        key: str | None = None,
        target: EventId | None = None,
        target_row: int | None = None,
    ) -> Message:
        """Put one thing in; without content it is a redaction with no reason.

        Raises:
            LimitExceeded: Too much waits already.
        """
        await self._check_space()
        own_id = client_txn_id or fresh_id()
        message, _ = await outbox.put(
            self.connection,
            self.actor.tenant,
            self.actor.user_slug,
            own_id,
            self.actor.room_id,
            self.actor.mxid,
            content or msgspec.json.encode({CLIENT_TXN_KEY: own_id}),
            action=action,
            about=about,
            key=key,
            target=target,
            target_row=target_row,
        )
        return message

    async def redact_too(self, targets: Sequence[EventId]) -> None:
        """Put in redactions of what goes with something else; nobody asks how they stand."""
        ids = [fresh_id() for _ in targets]
        contents = [msgspec.json.encode({CLIENT_TXN_KEY: one}) for one in ids]
        actor = self.actor
        place = actor.tenant, actor.user_slug, actor.room_id, actor.mxid
        await outbox.put_redactions(self.connection, *place, ids, contents, targets)

    async def _check_space(self) -> None:
        waiting = await outbox.pending_count(self.connection, self.actor.room_id)
        if waiting >= self._limits.pending_per_room:
            raise LimitExceeded(
                "Too many messages of this room wait to be sent.", retry_after_ms=5000
            )
        if await outbox.pending_total(self.connection) >= self._limits.pending:
            raise LimitExceeded("Too many messages wait to be sent.", retry_after_ms=5000)


def fresh_id() -> ClientTxnId:
    """Return an id for what has none of its own; no client can have chosen the same."""
    return ClientTxnId("/" + secrets.token_urlsafe(16))
