"""Sending: how what a person says or changes is accepted, once, and how it stands.

It is accepted by a committed row of the outbox. A message or an edit is known by the browser's own
id of it, and a reaction or a deletion by what it is about; so each is safe to repeat. What becomes
of the row is the delivery's; whoever asked is told, whichever process they have asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from ..core.actions import Action
from ..core.errors import Conflict, NotFound, TooLarge, Unavailable
from ..core.ids import ClientTxnId, EventId, RoomId
from ..storage import event_log, outbox, outbox_changes
from ..storage.database import Database
from ..storage.outbox import Message as Row
from ..storage.outbox import Sent
from ..storage.outbox_changes import Logged
from ..stream.broadcast import Broadcast, in_parts
from ..stream.bus import EVERYBODY
from ..stream.signals import Settled
from . import deleting, reacting
from .echo import NotSettled, echoed
from .posting import Limits, Outcome, Post, Posted
from .rights import Actor, NotYet, rights_of
from .writing import Message, Text, edit_content, message_content

__all__ = ["Actor", "Limits", "Message", "Outcome", "Sending", "Text"]

log = structlog.get_logger(__name__)

Found = TypeVar("Found", Row, Logged)

_PENDING = "pending"
_LOOK = 0.25
_AT_ONCE = 1000


class Sending:
    """Accepts what people say and change. All of it may be repeated.

    Every method raises:
        NotFound: They are in no such room, or what they name is not in it.
        Forbidden: The room does not let them.
        LimitExceeded: Too much waits already.
        Unavailable: The database is away; nothing was accepted.

    Args:
        database: The outbox.
        limits: Bounds.
        wake: Called with a room that has something to deliver.
        broadcast: Leads to the other processes: a message may be confirmed by any of them.
    """

    def __init__(
        self,
        database: Database,
        limits: Limits,
        wake: Callable[[RoomId], None],
        broadcast: Broadcast,
    ) -> None:
        self._database = database
        self._limits = limits
        self._wake = wake
        self._broadcast = broadcast
        self._waiting: dict[int, set[asyncio.Future[None]]] = {}
        broadcast.on(Settled, lambda said: self._tell_all(said.ids))

    async def send(self, actor: Actor, client_txn_id: ClientTxnId, message: Message) -> Outcome:
        """Accept a message, and wait a while for its event.

        Raises:
            BadRequest: It has no text, or refers to entries or people that are not there.
            TooLarge: It is too long.
            Conflict: The id was used for something else.
        """
        self._check_size(message.body)

        async def post(post: Post) -> Posted:
            known = await self._known(post, client_txn_id, None)
            if known is not None:
                return Posted(known)
            who = await rights_of(post.connection, actor)
            content = await message_content(post.connection, who, client_txn_id, message)
            row = await post.put(Action.SEND, content, client_txn_id)
            return Posted(_same(actor, row, None))

        return await self._do(actor, post)

    async def edit(
        self, actor: Actor, event_id: EventId, client_txn_id: ClientTxnId, text: Text
    ) -> Outcome:
        """Accept another text for a message of one's own.

        Raises:
            InvalidParam: It is nothing that was written.
            BadRequest: There is no text, or it addresses people who are not there.
            TooLarge: It is too long.
            Conflict: The message was deleted, or the id was used for something else.
        """
        self._check_size(text.body)

        async def post(post: Post) -> Posted:
            known = await self._known(post, client_txn_id, event_id)
            if known is not None:
                return Posted(known)
            who = await rights_of(post.connection, actor)
            content = await edit_content(post.connection, who, event_id, client_txn_id, text)
            row = await post.put(Action.EDIT, content, client_txn_id, about=event_id)
            return Posted(_same(actor, row, event_id))

        return await self._do(actor, post)

    async def react(self, actor: Actor, event_id: EventId, key: str) -> Outcome:
        """See to it that somebody has reacted to an entry with a key.

        Raises:
            InvalidParam: The key is none, or the entry has too many different ones.
            Conflict: The entry was deleted.
        """
        return await self._do(actor, lambda post: reacting.react(post, event_id, key))

    async def unreact(self, actor: Actor, event_id: EventId, key: str) -> Outcome:
        """See to it that somebody has not reacted to an entry with a key."""
        return await self._do(actor, lambda post: reacting.unreact(post, event_id, key))

    async def delete(self, actor: Actor, event_id: EventId, reason: str | None) -> Outcome:
        """See to it that an entry is deleted.

        Raises:
            InvalidParam: It is none that can be deleted.
        """
        return await self._do(actor, lambda post: deleting.delete(post, event_id, reason))

    async def take_back(self, actor: Actor, client_txn_id: ClientTxnId) -> Outcome:
        """See to it that a message of one's own is not there, sent already or not."""
        return await self._do(actor, lambda post: deleting.take_back(post, client_txn_id))

    async def status(self, actor: Actor, client_txn_id: ClientTxnId) -> Outcome:
        """Return how one of a person's messages or edits stands.

        Raises:
            NotFound: They have sent no such message.
        """
        async with self._database.connection() as connection:
            row = await outbox.get(connection, actor.tenant, actor.user_slug, client_txn_id)
            if row is not None:
                room_id, outcome = row.room_id, _outcome(row)
            else:
                logged = await outbox_changes.logged(connection, actor.mxid, client_txn_id)
                room_id = logged.room_id if logged else RoomId("")
                outcome = Outcome("sent", logged.event_id if logged else None)
        if room_id != actor.room_id:
            raise NotFound("You have sent no message with this id to this room.")
        return outcome

    def confirmed(self, sent: Sequence[Sent]) -> None:
        """Note that messages came back as events; whoever waits for them is told."""
        self._settle([one.id for one in sent])

    def settled(self, message_id: int) -> None:
        """Note that a message was sent or given up; whoever waits for it is told."""
        self._settle([message_id])

    def release(self) -> None:
        """Let nobody wait any longer: who still does is answered that the message is pending."""
        for message_id in list(self._waiting):
            self.tell(message_id)

    def tell(self, message_id: int) -> None:
        """Tell whoever waits in this process for a message that it is settled."""
        for told in self._waiting.pop(message_id, ()):
            if not told.done():
                told.set_result(None)

    async def run(self) -> None:
        """Look for ever for what another process has settled without its word reaching us."""
        while True:
            await asyncio.sleep(_LOOK)
            if self._waiting and not self._broadcast.alone:
                try:
                    await self.look()
                except Unavailable as error:
                    log.debug("settled.not_looked_at", error=str(error))

    async def look(self) -> None:
        """Tell those who wait in this process for what is settled already.

        Raises:
            Unavailable: The database is away.
        """
        for part in in_parts(list(self._waiting), _AT_ONCE):
            async with self._database.connection() as connection:
                self._tell_all(await outbox.settled(connection, part))

    def _settle(self, message_ids: Sequence[int]) -> None:
        # Who waits here has nearly always asked here: then nobody else waits.
        elsewhere = [one for one in message_ids if one not in self._waiting]
        self._tell_all(message_ids)
        for part in in_parts(elsewhere):
            self._broadcast.say(EVERYBODY, Settled(part))

    def _tell_all(self, message_ids: Sequence[int]) -> None:
        for message_id in message_ids:
            self.tell(message_id)

    # Accepting

    def _check_size(self, body: str) -> None:
        size = len(body.encode("utf-8", "surrogatepass"))
        if size > self._limits.message_bytes:
            raise TooLarge(
                f"The message has {size} bytes; the limit is {self._limits.message_bytes}.",
                fields={"body.body": f"at most {self._limits.message_bytes} bytes of UTF-8"},
            )

    async def _known(
        self, post: Post, client_txn_id: ClientTxnId, about: EventId | None
    ) -> Row | Outcome | None:
        """Return what was sent with an id already, whatever it says.

        The log knows it, for as long as there is one, after the outbox has forgotten it.
        """
        actor, connection = post.actor, post.connection
        row = await outbox.get(connection, actor.tenant, actor.user_slug, client_txn_id)
        if row is not None:
            return _same(actor, row, about)
        logged = await outbox_changes.logged(connection, actor.mxid, client_txn_id)
        if logged is None:
            return None
        _same(actor, logged, about)
        return Outcome("sent", logged.event_id)

    async def _do(self, actor: Actor, work: Callable[[Post], Awaitable[Posted]]) -> Outcome:
        # Shielded: whoever hangs up now must not leave an accepted message without its worker.
        result, told = await asyncio.shield(self._accept(actor, work))
        if isinstance(result, Outcome):
            return result
        return _outcome(await self._settled(result, told))

    async def _accept(
        self, actor: Actor, work: Callable[[Post], Awaitable[Posted]]
    ) -> tuple[Row | Outcome, asyncio.Future[None]]:
        try:
            posted = await self._post(actor, work)
        except NotYet as error:
            # Whoever has just sent a message may change it at once: it will be there in a moment.
            await self._come(error)
            posted = await self._post(actor, work)
        result = posted.result
        told = asyncio.get_running_loop().create_future()
        self._settle(posted.withdrawn)
        if isinstance(result, Row) and result.state == _PENDING:
            # Before the worker is woken: it cannot tell somebody who does not wait yet.
            self._waiting.setdefault(result.id, set()).add(told)
            self._wake(actor.room_id)
        return result, told

    async def _post(self, actor: Actor, work: Callable[[Post], Awaitable[Posted]]) -> Posted:
        async with self._database.transaction() as connection:
            return await work(Post(connection, actor, self._limits))

    async def _come(self, missing: NotYet) -> None:
        async def are_there() -> bool:
            async with self._database.connection() as connection:
                found = await event_log.known(connection, missing.event_ids)
            return len(found) == len(missing.event_ids)

        try:
            await echoed(are_there)
        except NotSettled:
            raise missing from None

    async def _settled(self, row: Row, told: asyncio.Future[None]) -> Row:
        """Wait until a row is sent or has failed, but not for ever; return it as it stands."""
        if row.state != _PENDING:
            return row
        try:
            async with asyncio.timeout(self._limits.wait):
                await told
        except TimeoutError:
            self._forget(row.id, told)
            return row
        async with self._database.connection() as connection:
            return await outbox.by_id(connection, row.id) or row

    def _forget(self, message_id: int, told: asyncio.Future[None]) -> None:
        waiting = self._waiting.get(message_id, set())
        waiting.discard(told)
        if not waiting:
            self._waiting.pop(message_id, None)


def _same(actor: Actor, found: Found, about: EventId | None) -> Found:
    """Return what was found under an id, where it is what the id is used for now."""
    if found.room_id != actor.room_id:
        raise NotFound("This message id was used for a message to another room.")
    if found.about != about:
        raise Conflict(
            "This message id was used for something else.",
            fields={"path.client_txn_id": "take another for every message and every edit"},
        )
    return found


def _outcome(row: Row) -> Outcome:
    return Outcome(row.state, row.event_id, row.errcode, row.error)
