"""Delivery: from the outbox to the homeserver, each message and each change as one event.

One task a room sends its rows in order, each with a transaction id that follows from the row, as
a device that the homeserver remembers: however often a send is repeated, after whatever crash, it
becomes one event.

Of several workers one has a room's turn (``storage/room_turns``) and sends what any of them has
accepted. A worker that was stopped, and goes on after another has taken the turn, can at most
repeat the one message that it was about: the other has sent that first, so nothing gets out of
order.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog

from ..core.errors import Unavailable
from ..core.ids import EventId, Mxid, RoomId, TenantId
from ..matrix.errors import (
    HomeserverError,
    HomeserverUnavailable,
    RateLimited,
    Refused,
    TokenRefused,
)
from ..matrix.homeserver import Homeserver
from ..storage import outbox, outbox_changes, room_turns
from ..storage.database import Database
from ..storage.outbox import Message
from ..storage.room_turns import Attempt
from ..telemetry import OUTBOX_WORKERS, SENDS
from .duties import Duties
from .ghosts import DEVICE, Ghosts

log = structlog.get_logger(__name__)

_MEMORY = timedelta(hours=20)
"""How long a repeated send is safe: the homeserver remembers transaction ids for a day."""

_FORBIDDEN = "M_FORBIDDEN"
_DUPLICATE = "M_DUPLICATE_ANNOTATION"
_DUPLICATE_TRIES = 6
"""As often is looked whether a reaction that is there already has come to the log."""

_SWEEP = 5.0
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 30.0
_AT_ONCE = 32


class Delivery:
    """Sends what the outbox holds.

    Args:
        database: The outbox.
        homeserver: Where the messages go.
        ghosts: Makes senders that do not exist yet.
        duties: Who this worker is.
        settled: Called with the id of a message that was sent or given up.
        failed: Called with a message that can never be sent, to tell its sender.
        unreachable: Called when the homeserver gave no answer: somebody must see when it is back.
        readmitted: Lets a sender in whom the homeserver has put out without a word; whether it did.
    """

    def __init__(
        self,
        database: Database,
        homeserver: Homeserver,
        ghosts: Ghosts,
        duties: Duties,
        *,
        settled: Callable[[int], None],
        failed: Callable[[Message], None],
        unreachable: Callable[[], None],
        readmitted: Callable[[TenantId, RoomId, Mxid], Awaitable[bool]],
    ) -> None:
        self._database = database
        self._homeserver = homeserver
        self._ghosts = ghosts
        self._duties = duties
        self._settled = settled
        self._failed = failed
        self._unreachable = unreachable
        self._readmitted = readmitted
        self._workers: dict[RoomId, asyncio.Task[None]] = {}
        self._more: set[RoomId] = set()
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._back = asyncio.Event()
        self._free = asyncio.Event()
        self._stopped = False

    def wake(self, room_id: RoomId) -> None:
        """Say that a room has something to deliver."""
        self._more.add(room_id)
        if room_id in self._workers or self._stopped:
            return
        worker = asyncio.create_task(self._work(room_id), name=f"outbox {room_id}")
        self._workers[room_id] = worker
        OUTBOX_WORKERS.set(len(self._workers))

    def resume(self) -> None:
        """The homeserver is back: what waits for its next try is tried now."""
        self._back.set()
        self._back = asyncio.Event()

    def take_over(self) -> None:
        """Another worker is there no more: whatever it was about to send is free."""
        self._free.set()

    async def run(self) -> None:
        """Look now and then for messages that nobody sends: at start, those of the last run."""
        while True:
            try:
                await self._resume()
            except Unavailable as error:
                log.info("outbox.away", error=str(error))
            try:
                async with asyncio.timeout(_SWEEP):
                    await self._free.wait()
            except TimeoutError:
                continue
            self._free.clear()
            await self._clear_up()

    async def _resume(self) -> None:
        async with self._database.connection() as connection:
            for room_id in await room_turns.pending_rooms(connection, self._duties.worker):
                self.wake(room_id)

    async def _clear_up(self) -> None:
        try:
            async with self._database.connection() as connection:
                await room_turns.forget_dead(connection)
        except Unavailable as error:
            log.debug("turns.not_cleared", error=str(error))

    async def stop(self) -> None:
        """Stop all workers. What is not sent stays in the outbox."""
        self._stopped = True
        workers = list(self._workers.values())
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, room_id: RoomId) -> None:
        try:
            while room_id in self._more:
                self._more.discard(room_id)
                while (message := await self._next(room_id)) is not None:
                    async with self._turns:
                        pause = await self._deliver(message)
                    if pause is None:
                        break
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
                    found = await room_turns.next_pending(connection, room_id, self._duties.worker)
                if not found.called:
                    return found.message
            except Unavailable:
                await asyncio.sleep(_jittered(tries))
                tries += 1

    async def _deliver(self, message: Message) -> float | None:
        """Try to send a message once; return how long to wait before looking at the room again.

        None where the room is another worker's turn: that one has been called.
        """
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

    async def _try(self, message: Message) -> float | None:
        try:
            async with self._database.connection() as connection:
                attempt = await room_turns.attempt(connection, message, self._duties.worker)
            if attempt is Attempt.ANOTHERS or not self._duties.certain():
                return None
            if attempt is Attempt.NEEDLESS:
                return 0
            if _too_old(message):
                await self._settle_old(message)
                return 0
            await self._sent(message, await self._send(message))
        except TokenRefused:
            raise
        except Refused as error:
            return await self._refused(message, error)
        except RateLimited as error:
            SENDS.labels("limited").inc()
            return error.retry_after_ms / 1000 + random.uniform(0, 0.5)  # noqa: S311
        return 0

    async def _refused(self, message: Message, error: Refused) -> float:
        if error.errcode == "M_UNKNOWN_DEVICE" or "has not registered" in error.message:
            # The homeserver has lost the ghost or its device: restored from a backup, perhaps.
            await self._ghosts.renew(message.sender)
            return _jittered(message.attempts)
        if error.errcode == _FORBIDDEN and await self._readmitted(
            message.tenant, message.room_id, message.sender
        ):
            return _jittered(message.attempts)
        if error.errcode == _DUPLICATE and message.attempts < _DUPLICATE_TRIES:
            return await self._settle_duplicate(message)
        await self._give_up(message, error.errcode, error.message)
        return 0

    async def _send(self, message: Message) -> EventId | None:
        """Send a message or a change; return its event, None where there was nothing to do."""
        await self._ghosts.ensure(message.tenant, message.user_slug)
        if message.action.is_redaction:
            return await self._redact(message)
        return await self._homeserver.send_event(
            message.room_id,
            message.action.event_type,
            matrix_txn_id(message),
            message.content,
            message.sender,
            DEVICE,
        )

    async def _redact(self, message: Message) -> EventId | None:
        async with self._database.connection() as connection:
            # What stood before it in the outbox is settled by now.
            target = message.target or await outbox.aim(connection, message.id)
            if target is None:
                return None
            done = await outbox_changes.redacted_by(connection, message.room_id, target)
        return done or await self._homeserver.redact(
            message.room_id,
            target,
            matrix_txn_id(message),
            message.sender,
            DEVICE,
            message.content,
        )

    async def _sent(self, message: Message, event_id: EventId | None) -> None:
        async with self._database.connection() as connection:
            await outbox.mark_sent(connection, message.id, event_id, self._duties.worker)
        SENDS.labels("sent").inc()
        self._settled(message.id)

    async def _give_up(self, message: Message, errcode: str, reason: str) -> None:
        async with self._database.connection() as connection:
            await outbox.mark_failed(connection, message.id, errcode, reason)
            failed = await outbox.by_id(connection, message.id)
        SENDS.labels("failed").inc()
        log.warning("send.failed", room=message.room_id, errcode=errcode, reason=reason)
        self._settled(message.id)
        if failed is not None and failed.state == "failed":
            self._failed(failed)

    async def _settle_old(self, message: Message) -> None:
        """Decide on a message whose first attempt is so old that a repeat could double it."""
        async with self._database.connection() as connection:
            logged = await outbox_changes.logged(connection, message.sender, message.client_txn_id)
        if logged is not None:
            await self._sent(message, logged.event_id)
        else:
            await self._give_up(
                message,
                "ORG_OPENMEET_UNCERTAIN",
                "The homeserver was away too long to be sure that this was not sent before. "
                "Look whether it is there, and send it again if not.",
            )

    async def _settle_duplicate(self, message: Message) -> float:
        """Find the same reaction by the same person, given with another client: that is it."""
        async with self._database.connection() as connection:
            present = await outbox_changes.logged_reactions(
                connection,
                message.room_id,
                message.sender,
                message.about or EventId(""),
                message.key or "",
            )
        if not present:
            return _jittered(message.attempts)
        await self._sent(message, present[0])
        return 0

    def _later(self, message: Message, error: Exception) -> float:
        SENDS.labels("retried").inc()
        pause = _jittered(message.attempts)
        log.info("send.retry", room=message.room_id, error=str(error), seconds=round(pause, 2))
        return pause


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
    if message.action.may_be_repeated:
        return False
    return first is not None and datetime.now(UTC) - first > _MEMORY


def _jittered(attempts: int) -> float:
    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(attempts, 16))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  (jitter, not a secret)
