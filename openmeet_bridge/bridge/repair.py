"""Repair: finds what the homeserver's push has lost, and keeps the way between the two open.

Synapse keeps events that it has not pushed yet in memory: a restart loses them for ever. The bot
is in every room, so its ``/sync`` tells what happened since the last look, whole and in true
order. It is asked at start, after every outage on either side, when an own send has not come
back, and now and then.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from ..core.errors import Unavailable
from ..core.events import NUDGE, Event
from ..core.ids import Mxid, Position, RoomId
from ..core.naming import Naming
from ..matrix.answers import MessagesAnswer, SyncAnswer, SyncedRoom
from ..matrix.errors import HomeserverError, PingFailed, Refused, TokenRefused
from ..matrix.homeserver import Homeserver
from ..matrix.transactions import decode_events
from ..storage import event_log, outbox, repair_mark
from ..storage.database import UNKEEPABLE, Database
from ..telemetry import REPAIRED
from .ghosts import Ghosts
from .ingest import Ingest
from .pacing import patiently

log = structlog.get_logger(__name__)

_FILTER = {
    "presence": {"types": []},
    "account_data": {"types": []},
    "room": {
        "timeline": {"limit": 100},
        "state": {"types": []},
        "ephemeral": {"types": []},
        "account_data": {"types": []},
    },
}
_PAGE = 500
_LONGEST_SPAN = 20_000
_TICK = 2.0
_LONGEST_PAUSE = 5.0


class Repair:
    """Compares the log with the homeserver.

    Args:
        database: The log.
        homeserver: What is true.
        ghosts: Makes the bot.
        ingest: Puts what is missing into the log.
        naming: Names the bot and its room.
        appservice_id: The registration's id, for the ping.
        interval: Seconds between two looks when nothing calls for one.
        echo_overdue: Seconds after which an own send should have come back.
        recovered: Called when the homeserver answers (again).
        delivered: Waits until streams have been given all that the log holds.
    """

    def __init__(
        self,
        database: Database,
        homeserver: Homeserver,
        ghosts: Ghosts,
        ingest: Ingest,
        naming: Naming,
        appservice_id: str,
        *,
        interval: float,
        echo_overdue: float,
        recovered: Callable[[], None],
        delivered: Callable[[], Awaitable[None]],
    ) -> None:
        self._database = database
        self._homeserver = homeserver
        self._ghosts = ghosts
        self._ingest = ingest
        self._naming = naming
        self._appservice_id = appservice_id
        self._interval = interval
        self._echo_overdue = echo_overdue
        self._recovered = recovered
        self._delivered = delivered
        self._nudge_room: RoomId | None = None
        self._asked = asyncio.Event()
        self.reachable = False
        """Whether the homeserver answered when it was last asked."""

    def ask(self) -> None:
        """Ask for a look at once: a transaction was refused, or something seems to be missing."""
        self._asked.set()

    async def run(self) -> None:
        """Keep the log whole for ever."""
        while True:
            await self._connect()
            try:
                await self._watch()
            except HomeserverError as error:
                self.reachable = False
                log.warning("homeserver.lost", error=str(error))
            except Unavailable as error:
                log.warning("database.lost", error=str(error))

    async def once(self) -> int:
        """Compare once; return how many entries were missing or out of place.

        Raises:
            HomeserverError: The homeserver does not answer as it should.
            Unavailable: The database is away.
        """
        async with self._database.connection() as connection:
            fetched_at = (await event_log.head(connection)).position
            since = await repair_mark.get(connection)
        answer, since = await self._sync(since)
        repaired = 0
        for room_id, room in {**answer.rooms.join, **answer.rooms.leave}.items():
            repaired += await self._room(RoomId(room_id), room, since, fetched_at)
        async with self._database.connection() as connection:
            await repair_mark.put(connection, answer.next_batch)
        if repaired:
            REPAIRED.inc(repaired)
            log.warning("log.repaired", entries=repaired)
        return repaired

    async def _sync(self, since: str | None) -> tuple[SyncAnswer, str | None]:
        async def sync(place: str | None) -> SyncAnswer:
            return await patiently(lambda: self._homeserver.sync(self._naming.bot, place, _FILTER))

        try:
            return await sync(since), since
        except TokenRefused:
            raise
        except Refused as error:
            if since is None:
                raise
            # A homeserver that was restored from a backup does not know our place any more.
            log.warning("repair.place_lost", error=str(error))
            return await sync(None), None

    # The connection

    async def _connect(self) -> None:
        """Come (back) to terms with the homeserver; tries for ever."""
        tries = 0
        while True:
            try:
                await self._greet()
            except TokenRefused as error:
                log.error("homeserver.token_refused", error=str(error))
            except HomeserverError as error:
                log.warning("homeserver.away", error=str(error), tries=tries)
            except Unavailable as error:
                # The homeserver waits longer with each refused transaction: be back at once.
                tries = 0
                log.warning("database.away", error=str(error))
            else:
                self.reachable = True
                log.info("homeserver.reached")
                return
            await asyncio.sleep(random.uniform(0.5, 1) * min(_LONGEST_PAUSE, 0.5 * 2.0**tries))  # noqa: S311
            tries = min(tries + 1, 16)

    async def _greet(self) -> None:
        bot = await self._ghosts.ensure_bot()
        await self._resume_push(bot)
        await self.once()
        self._recovered()

    async def _resume_push(self, bot: Mxid) -> None:
        """Make the homeserver deliver at once what it has kept back.

        A ping ends its waiting time. After a restart of its own it starts to retry only with the
        next event that concerns us: so there is one.
        """
        try:
            await self._homeserver.ping(self._appservice_id, str(uuid.uuid4()))
        except PingFailed as error:
            # Also the answer while a retry is under way. The doctor looks closer.
            log.info("ping.failed", error=str(error))
        try:
            await self._nudge(bot)
        except Refused as error:
            self._nudge_room = None
            log.warning("nudge.refused", error=str(error))

    async def _nudge(self, bot: Mxid) -> None:
        if self._nudge_room is None:
            self._nudge_room = await self._find_nudge_room(bot)
        await self._homeserver.send_event(
            self._nudge_room, NUDGE, f"omnudge{uuid.uuid4().hex}", {}, bot
        )

    async def _find_nudge_room(self, bot: Mxid) -> RoomId:
        room_id = await self._homeserver.resolve_alias(self._naming.nudge_alias)
        if room_id is not None:
            return room_id
        body = {
            "room_alias_name": self._naming.nudge_localpart,
            "preset": "private_chat",
            "name": "Bridge check",
        }
        return await self._homeserver.create_room(bot, body)

    # Looking

    async def _watch(self) -> None:
        """Look when it is time, or when something calls for it; until the homeserver is away."""
        clock = asyncio.get_running_loop().time
        looked = clock()
        while True:
            asked = await self._wait_for_call()
            if asked:
                await self._resume_push(self._naming.bot)
            if asked or clock() - looked > self._interval or await self._overdue():
                await self.once()
                looked = clock()

    async def _wait_for_call(self) -> bool:
        try:
            async with asyncio.timeout(min(_TICK, self._interval)):
                await self._asked.wait()
        except TimeoutError:
            return False
        self._asked.clear()
        return True

    async def _overdue(self) -> bool:
        async with self._database.connection() as connection:
            return bool(await outbox.sent_without_echo(connection, self._echo_overdue, 1))

    async def _room(
        self, room_id: RoomId, room: SyncedRoom, since: str | None, fetched_at: Position
    ) -> int:
        span = self._read(room_id, room.timeline.events)
        try:
            if room.timeline.limited and room.timeline.prev_batch:
                span = await self._fill(room_id, room.timeline.prev_batch, since, span)
            if not span:
                return 0
            # What one repair says of who came and went, the next one may take back. Streams must
            # have heard the first before: they would miss that somebody is out.
            await self._delivered()
            return await self._ingest.repair(room_id, span, fetched_at)
        except TokenRefused:
            raise
        except (Refused, *UNKEEPABLE) as error:
            # One room that cannot be repaired must not keep all the others from it.
            log.error("room.not_repaired", room=room_id, error=str(error))
            return 0

    async def _fill(
        self, room_id: RoomId, start: str, since: str | None, newest: list[Event]
    ) -> list[Event]:
        """Fetch what lies between ``since`` and the newest events.

        Without ``since`` (a new database): back to what the log knows, or to the beginning.
        """
        span = list(reversed(newest))
        at: str | None = start
        while at is not None and len(span) < _LONGEST_SPAN:
            page = await self._page(room_id, at, since)
            events = self._read(room_id, page.chunk)
            span.extend(events)
            at = page.end if page.chunk else None
            if since is None and await self._knows_any(events):
                break
        else:
            if at is not None:
                log.error("log.gap_too_long", room=room_id, kept=len(span))
        return list(reversed(span))

    async def _page(self, room_id: RoomId, start: str, since: str | None) -> MessagesAnswer:
        return await patiently(
            lambda: self._homeserver.messages(room_id, self._naming.bot, "b", start, since, _PAGE)
        )

    async def _knows_any(self, events: list[Event]) -> bool:
        async with self._database.connection() as connection:
            return bool(await event_log.known(connection, [event.event_id for event in events]))

    def _read(self, room_id: RoomId, raws: list[msgspec.Raw]) -> list[Event]:
        decoded = decode_events(raws, room_id)
        for _, reason in decoded.bad:
            log.warning("repair.unreadable", room=room_id, reason=reason)
        return decoded.events
