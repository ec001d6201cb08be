"""Sending as OpenMeet's web app does it: a text and no id of it, answered with its event.

The app cannot say whether two equal texts are one message, sent a second time because nobody
answered, or two. It is one as long as the first was not answered with its event: while it waits,
and for a moment after whoever sent it was told that it still does. Else it is another one, however
soon it comes: the app itself keeps equal texts two seconds apart.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import time
from collections.abc import Callable
from typing import Final

from ..core.composing import Format
from ..core.content import decoded
from ..core.errors import (
    BadRequest,
    BridgeError,
    Conflict,
    Forbidden,
    InvalidParam,
    NotFound,
    TooLarge,
    Unavailable,
)
from ..core.ids import ClientTxnId, EventId
from ..storage import outbox_repeats
from ..storage.database import Database
from .sending import Actor, Message, Outcome, Sending

FIELD: Final = "body.message"

_PREFIX = "web."
_TOLD_FOR = 30.0
"""Seconds for which a text is known again after its sender was told that it waits."""

_MOST_TOLD = 10_000
_RETRY_MS = 5000
_MARKDOWN = re.compile(r"[#*_~>]|```")
"""What makes the app show a text as Markdown."""

_USABLE = re.compile(r"[A-Za-z0-9_.~:=+-]{1,128}")
_Key = tuple[str, str, str, bytes, bool]


class WebSending:
    """Sends what people say in the web app.

    Args:
        database: The outbox.
        sending: Accepts messages.
        now: Seconds, from any moment on.
    """

    def __init__(
        self, database: Database, sending: Sending, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._sending = sending
        self._now = now
        self._running: dict[_Key, asyncio.Task[Outcome]] = {}
        self._told: dict[_Key, tuple[ClientTxnId, float]] = {}

    async def send(self, actor: Actor, text: str, own_id: str | None = None) -> EventId:
        """Say something, as Markdown where the web app would show it so; return its event.

        Args:
            actor: Who, and where.
            text: What.
            own_id: The client's own id of the message, where it has one: then it is one message
                however often it is sent.

        Raises:
            Forbidden: They are in no such room, or may not write in it.
            InvalidParam: There is no text, or too much of it.
            Conflict: The homeserver does not take it.
            LimitExceeded: Too much waits already.
            Unavailable: It could not be sent yet, or, where the database is away, not accepted.
        """
        key = _key(actor, text, own_id)
        running = self._running.get(key)
        if running is None:
            running = asyncio.create_task(self._send(actor, key, text, own_id))
            self._running[key] = running
            running.add_done_callback(lambda task: self._ended(key, task))
        try:
            # Whoever hangs up must not take the answer from those who ask for the same.
            return _event(await asyncio.shield(running))
        except NotFound as error:
            raise Forbidden("You are not in this room.") from error
        except (BadRequest, TooLarge) as error:
            raise _invalid(error) from error

    def _ended(self, key: _Key, task: asyncio.Task[Outcome]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # those who still wait get it; nobody need

    async def _send(self, actor: Actor, key: _Key, text: str, own_id: str | None) -> Outcome:
        if own_id is not None:
            return await self._post(actor, _named(actor, own_id), text)
        txn_id = await self._known(actor, key, text) or _fresh()
        outcome = await self._post(actor, txn_id, text)
        if outcome.state == "pending":
            self._tell(key, txn_id)
        else:
            self._told.pop(key, None)
        return outcome

    async def _post(self, actor: Actor, txn_id: ClientTxnId, text: str) -> Outcome:
        chosen = Format.MARKDOWN if _MARKDOWN.search(text) else Format.PLAIN
        return await self._sending.send(actor, txn_id, Message(body=text, format=chosen))

    async def _known(self, actor: Actor, key: _Key, text: str) -> ClientTxnId | None:
        """Return the id of the message that this text is, if it was not answered yet."""
        told = self._told.get(key)
        if told is not None and self._now() - told[1] < _TOLD_FOR:
            return told[0]
        async with self._database.connection() as connection:
            waiting = await outbox_repeats.waiting(
                connection, actor.tenant, actor.user_slug, actor.room_id, _PREFIX
            )
        same = (txn_id for txn_id, content in waiting if decoded(content).get("body") == text)
        return next(same, None)

    def _tell(self, key: _Key, txn_id: ClientTxnId) -> None:
        self._told.pop(key, None)
        if len(self._told) >= _MOST_TOLD:
            del self._told[next(iter(self._told))]  # the oldest
        self._told[key] = txn_id, self._now()


def _key(actor: Actor, text: str, own_id: str | None) -> _Key:
    named = _digest(text if own_id is None else own_id)
    return actor.tenant, actor.user_slug, actor.room_id, named, own_id is None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _named(actor: Actor, own_id: str) -> ClientTxnId:
    # Any text may be one, of any length; and one of another room is another.
    return ClientTxnId(_PREFIX + _digest(f"{actor.room_id} {own_id}").hex())


def _fresh() -> ClientTxnId:
    return ClientTxnId(_PREFIX + secrets.token_urlsafe(12))


def _event(outcome: Outcome) -> EventId:
    if outcome.state == "pending":
        raise Unavailable(
            "The chat server does not answer. The message is kept, and will be sent as soon as it "
            "does; there is no need to send it again.",
            retry_after_ms=_RETRY_MS,
        )
    if outcome.event_id is not None:
        return outcome.event_id
    text = f"This was not sent: {outcome.error}"
    if outcome.errcode == "M_FORBIDDEN":
        raise Forbidden(text)
    if outcome.errcode == "M_TOO_LARGE":
        raise TooLarge(text, fields={FIELD: "is too long"})
    raise Conflict(text)


def _invalid(error: BridgeError) -> InvalidParam:
    return InvalidParam(error.message, fields={FIELD: _reason(error)})


def _reason(error: BridgeError) -> str:
    return next(iter(error.fields.values()), error.message)
