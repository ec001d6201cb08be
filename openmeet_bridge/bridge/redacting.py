"""Redacting: everything that a person said is taken away, room by room, a batch at a time."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from ..core.cursor import BEFORE_ALL
from ..core.ids import Mxid, Position, RoomId
from ..matrix.errors import HomeserverError, RateLimited, Refused, TokenRefused
from ..matrix.homeserver import Homeserver
from ..storage import erasure
from ..storage.database import Database
from ..storage.erasure import Erasure, Trace
from . import relating
from .ghosts import DEVICE

_BATCH = 50
_AT_ONCE = 4
_SLICE_SECONDS = 120.0
_LONGEST_WAIT = 30.0
_IN_ORDER = frozenset({"m.room.member", "m.room.name"})
"""State: the homeserver shows the one before beside each, so the one before must go first."""


class MoreLater(Exception):
    """The job has had its time; it asks for itself again."""


class Redacting:
    """Redacts what people said.

    Args:
        database: The log, and how far an erasure is.
        homeserver: Where it is redacted.
        bot: Who redacts, wherever it can.
    """

    def __init__(self, database: Database, homeserver: Homeserver, bot: Mxid) -> None:
        self._database = database
        self._homeserver = homeserver
        self._bot = bot

    async def redact(self, found: Erasure) -> None:
        """Redact everything that the log has of a person; where it stopped before, it goes on.

        Raises:
            MoreLater: There is more, and it took long enough for one time.
            HomeserverError: The homeserver is away or wants us to wait; what is done is kept.
            Unavailable: The database is away.
        """
        progress = found.progress
        deadline = asyncio.get_running_loop().time() + _SLICE_SECONDS
        async with self._database.connection() as connection:
            rooms = await erasure.rooms_of(connection, found.mxid, progress.room)
        for room_id in rooms:
            while traces := await self._traces(found, room_id):
                await self._redact_all(found, traces)
                progress.position = traces[-1].position
                await self._save(found)
                if asyncio.get_running_loop().time() > deadline:
                    raise MoreLater
            progress.room, progress.position = room_id, BEFORE_ALL
            await self._save(found)

    async def _traces(self, found: Erasure, room_id: RoomId) -> list[Trace]:
        async with self._database.connection() as connection:
            return await erasure.traces(
                connection,
                room_id,
                found.mxid,
                Position(found.progress.position),
                _BATCH,
                with_names=await erasure.is_direct_of(connection, room_id),
            )

    async def _redact_all(self, found: Erasure, traces: Sequence[Trace]) -> None:
        turns = asyncio.Semaphore(_AT_ONCE)

        async def redact(trace: Trace) -> None:
            found.progress.media += _files(trace)
            async with turns:
                await self._redact_one(found, trace)

        said = [trace for trace in traces if trace.type not in _IN_ORDER]
        results = await asyncio.gather(*map(redact, said), return_exceptions=True)
        try:
            for result in results:
                if isinstance(result, BaseException):
                    raise result
            for trace in traces:
                if trace.type in _IN_ORDER:
                    await self._redact_one(found, trace)
        except HomeserverError:
            await self._save(found)
            raise

    async def _redact_one(self, found: Erasure, trace: Trace) -> None:
        # Whoever did it before a crash did it with the same id: the homeserver knows.
        txn_id = "omerase" + hashlib.sha256(trace.event_id.encode()).hexdigest()
        place = trace.room_id, trace.event_id
        try:
            redaction = await self._patiently(
                lambda: self._homeserver.redact(*place, txn_id, self._bot, DEVICE)
            )
        except TokenRefused:
            raise
        except Refused as refusal:
            try:
                # A room in which the bot is not, or has no power: everybody may redact their own.
                redaction = await self._patiently(
                    lambda: self._homeserver.redact(*place, f"{txn_id}own", found.mxid, DEVICE)
                )
            except Refused:
                reason = f"{refusal.errcode}: {refusal.message}"
                found.progress.refused[reason] = found.progress.refused.get(reason, 0) + 1
                return
        async with self._database.transaction() as connection:
            await relating.redact(connection, trace.room_id, trace.event_id, redaction)
            if trace.type == "m.room.name":
                await erasure.blank_name(connection, trace)
        found.progress.count(_kind(trace.type))

    async def _patiently(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """Make a call, and wait once if the homeserver says so."""
        try:
            return await call()
        except RateLimited as error:
            await asyncio.sleep(min(error.retry_after_ms / 1000, _LONGEST_WAIT))
            return await call()

    async def _save(self, found: Erasure) -> None:
        async with self._database.connection() as connection:
            await erasure.save(connection, found)


def _kind(event_type: str) -> str:
    names = {
        "m.room.message": "messages",
        "m.reaction": "reactions",
        "m.room.member": "memberships",
        "m.room.name": "names of direct chats",
    }
    return names.get(event_type, "other events")


def _files(trace: Trace) -> list[str]:
    """Return the files at the homeserver that a message of the person's carries."""
    if trace.type in ("m.room.member", "m.room.name"):
        return []  # the avatar is dealt with by its picture; it may be others' too
    try:
        content = msgspec.json.decode(trace.content, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return []
    info = content.get("info")
    places = [content.get("url"), info.get("thumbnail_url") if isinstance(info, dict) else None]
    return [one for one in places if isinstance(one, str) and one.startswith("mxc://")]
