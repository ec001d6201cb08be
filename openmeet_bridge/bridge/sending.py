"""Sending: from a browser's request to an event, once.

A message is accepted by a committed row of the outbox. One worker a room sends its rows in order,
each with a transaction id that follows from the row, as a device that the homeserver remembers:
however often a send is repeated, by whomever after whatever crash, it becomes one event.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from ..core.errors import Forbidden, LimitExceeded, NotFound, TooLarge, Unavailable
from ..core.events import CLIENT_TXN_KEY, MESSAGE
from ..core.ids import ClientTxnId, EventId, Mxid, RoomId, TenantId, UserSlug
from ..core.permissions import power_levels
from ..matrix.errors import (
    HomeserverError,
    HomeserverUnavailable,
    RateLimited,
    Refused,
    TokenRefused,
)
from ..matrix.homeserver import Homeserver
from ..storage import event_log, outbox, rooms
from ..storage.database import Connection, Database
from ..storage.outbox import Message, Sent
from ..telemetry import OUTBOX_WORKERS, SENDS
from .ghosts import DEVICE, Ghosts

log = structlog.get_logger(__name__)

_MEMORY = timedelta(hours=20)
"""How long a repeated send is safe: the homeserver remembers transaction ids for a day."""

_SWEEP = 5.0
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 30.0
_AT_ONCE = 32
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
    """Accepts messages and sends them.

    Args:
        database: The outbox.
        homeserver: Where the messages go.
        ghosts: Makes senders that do not exist yet.
        limits: Bounds.
        failed: Called with a message that can never be sent, to tell its sender.
        unreachable: Called when the homeserver gave no answer: somebody must see when it is back.
    """

    def __init__(
        self,
        database: Database,
        homeserver: Homeserver,
        ghosts: Ghosts,
        limits: Limits,
        failed: Callable[[Message], None],
        unreachable: Callable[[], None],
    ) -> None:
        self._database = database
        self._homeserver = homeserver
        self._ghosts = ghosts
        self._limits = limits
        self._failed = failed
        self._unreachable = unreachable
        self._workers: dict[RoomId, asyncio.Task[None]] = {}
        self._more: set[RoomId] = set()
        self._waiting: dict[int, set[asyncio.Future[None]]] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._back = asyncio.Event()
        self._stopped = False

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
            self._tell(one.id)

    def resume(self) -> None:
        """The homeserver is back: what waits for its next try is tried now."""
        self._back.set()
        self._back = asyncio.Event()

    async def run(self) -> None:
        """Look now and then for messages that nobody sends: at start, those of the last run."""
        while True:
            try:
                await self._resume()
            except Unavailable as error:
                log.info("outbox.away", error=str(error))
            await asyncio.sleep(_SWEEP)

    async def _resume(self) -> None:
        async with self._database.connection() as connection:
            for room_id in await outbox.pending_rooms(connection):
                self._wake(room_id)

    def release(self) -> None:
        """Let nobody wait any longer: who still does is answered that the message is pending."""
        for message_id in list(self._waiting):
            self._tell(message_id)

    async def stop(self) -> None:
        """Stop all workers. What is not sent stays in the outbox."""
        self._stopped = True
        workers = list(self._workers.values())
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

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

    def _tell(self, message_id: int) -> None:
        for told in self._waiting.pop(message_id, ()):
            if not told.done():
                told.set_result(None)

    # Sending

    def _wake(self, room_id: RoomId) -> None:
        self._more.add(room_id)
        if room_id in self._workers or self._stopped:
            return
        worker = asyncio.create_task(self._work(room_id), name=f"outbox {room_id}")
        self._workers[room_id] = worker
        OUTBOX_WORKERS.set(len(self._workers))

    async def _work(self, room_id: RoomId) -> None:
        try:
            while room_id in self._more:
                self._more.discard(room_id)
                while (message := await self._next(room_id)) is not None:
                    async with self._turns:
                        pause = await self._deliver(message)
                    if pause:
                        await self._rest(pause)
        finally:
            # No await between the last look at _more and here: no wake-up falls in between.
            del self._workers[room_id]
            OUTBOX_WORKERS.set(len(self._workers))

    async def _rest(self, seconds: float) -> None:
        """Wait before the next try, but not when the homeserver comes back meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await self._back.wait()
        except TimeoutError:
            return

    async def _next(self, room_id: RoomId) -> Message | None:
        tries = 0
        while True:
            try:
                async with self._database.connection() as connection:
                    return await outbox.next_pending(connection, room_id)
            except Unavailable:
                await asyncio.sleep(_jittered(tries))
                tries += 1

    async def _deliver(self, message: Message) -> float:
        """Try to send a message once; return how long to wait before looking at the room again."""
        try:
            return await self._try(message)
        except (HomeserverError, Unavailable) as error:
            if isinstance(error, HomeserverUnavailable) and error.status is None:
                self._unreachable()
            return self._later(message, error)
        except Exception as error:
            # A bug must not stop the room for good; the message waits, and the log says why.
            log.exception("send.crashed", room=message.room_id)
            return self._later(message, error)

    async def _try(self, message: Message) -> float:
        try:
            if _too_old(message):
                await self._settle_old(message)
                return 0
            async with self._database.connection() as connection:
                await outbox.note_attempt(connection, message.id)
            await self._sent(message, await self._send(message))
        except TokenRefused:
            raise
        except Refused as error:
            if error.errcode == "M_UNKNOWN_DEVICE" or "has not registered" in error.message:
                # The homeserver has lost the ghost or its device: restored from a backup, perhaps.
                await self._ghosts.renew(message.sender)
                return _jittered(message.attempts)
            await self._give_up(message, error.errcode, error.message)
        except RateLimited as error:
            SENDS.labels("limited").inc()
            return error.retry_after_ms / 1000 + random.uniform(0, 0.5)  # noqa: S311
        return 0

    async def _send(self, message: Message) -> EventId:
        await self._ghosts.ensure(message.tenant, message.user_slug)
        return await self._homeserver.send_event(
            message.room_id,
            MESSAGE,
            matrix_txn_id(message),
            message.content,
            message.sender,
            DEVICE,
        )

    async def _sent(self, message: Message, event_id: EventId) -> None:
        async with self._database.connection() as connection:
            await outbox.mark_sent(connection, message.id, event_id)
        SENDS.labels("sent").inc()
        self._tell(message.id)

    async def _give_up(self, message: Message, errcode: str, reason: str) -> None:
        async with self._database.connection() as connection:
            await outbox.mark_failed(connection, message.id, errcode, reason)
            failed = await outbox.by_id(connection, message.id)
        SENDS.labels("failed").inc()
        log.warning("send.failed", room=message.room_id, errcode=errcode, reason=reason)
        self._tell(message.id)
        if failed is not None and failed.state == "failed":
            self._failed(failed)

    async def _settle_old(self, message: Message) -> None:
        """Decide on a message whose first attempt is so old that a repeat could double it."""
        async with self._database.connection() as connection:
            event_id = await event_log.sent_event(connection, message.sender, message.client_txn_id)
        if event_id is not None:
            await self._sent(message, event_id)
        else:
            await self._give_up(
                message,
                "ORG_OPENMEET_UNCERTAIN",
                "The homeserver was away too long to be sure that this was not sent before. "
                "Look whether it is there, and send it again if not.",
            )

    def _later(self, message: Message, error: Exception) -> float:
        SENDS.labels("retried").inc()
        pause = _jittered(message.attempts)
        log.info("send.retry", room=message.room_id, error=str(error), seconds=round(pause, 2))
        return pause


def _outcome(message: Message) -> Outcome:
    return Outcome(message.state, message.event_id, message.errcode, message.error)


def matrix_txn_id(message: Message) -> str:
    """Return the Matrix transaction id of a message.

    It follows from whose message it is, so that a crash cannot lose it; and it differs for every
    user, because the homeserver keeps one table of these for all ghosts together.
    """
    parts = (message.tenant, message.user_slug, message.client_txn_id)
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return "om" + hashlib.sha256(text).hexdigest()


def _too_old(message: Message) -> bool:
    first = message.first_attempt_at
    return first is not None and datetime.now(UTC) - first > _MEMORY


def _jittered(attempts: int) -> float:
    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(attempts, 16))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  (jitter, not a secret)
