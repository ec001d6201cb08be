"""Typing: who types in which room, never kept, never stuck."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from ..core.entry import Person
from ..core.errors import NotFound
from ..core.ids import Mxid, RoomId, TenantId
from ..matrix.errors import HomeserverError
from ..matrix.homeserver import Homeserver
from ..storage import room_list, rooms
from ..storage.database import Database
from ..stream import frames
from ..stream.hub import Hub
from ..telemetry import EPHEMERAL_DROPPED

log = structlog.get_logger(__name__)

_TIMEOUT_MS = 30_000
_REPEAT = 10.0
# The homeserver tells who begins and who stops, not who goes on. Long enough for a long message;
# only a lost notice of the end makes anybody wait for it.
_EXPIRY = 90.0
_REMEMBERED = 10_000


class Typing:
    """Passes typing notices on, both ways.

    Args:
        database: Who is in which room.
        homeserver: Gets the notices of ghosts.
        hub: Gets the notices of everybody.
    """

    def __init__(self, database: Database, homeserver: Homeserver, hub: Hub) -> None:
        self._database = database
        self._homeserver = homeserver
        self._hub = hub
        self._told: dict[tuple[RoomId, Mxid], float] = {}
        self._expiry: dict[RoomId, asyncio.TimerHandle] = {}

    async def say(self, tenant: TenantId, room_id: RoomId, mxid: Mxid, typing: bool) -> None:
        """Say that a user types, or has stopped.

        The same again within ten seconds costs nothing. A homeserver that is away is no error:
        a typing notice is not worth one.

        Raises:
            NotFound: The user is in no such room.
        """
        async with self._database.connection() as connection:
            if not await rooms.is_joined(connection, tenant, room_id, mxid):
                raise NotFound("You are in no such room.")
        if self._is_news(room_id, mxid, typing):
            try:
                await self._homeserver.typing(room_id, mxid, typing, _TIMEOUT_MS)
            except HomeserverError as error:
                self._told.pop((room_id, mxid), None)
                log.debug("typing.not_sent", error=str(error))

    async def heard(self, room_id: RoomId, mxids: Sequence[Mxid]) -> None:
        """Tell a room's readers who types in it now."""
        if not self._hub.has_readers(room_id):
            return
        async with self._database.connection() as connection:
            known = await room_list.persons(connection, room_id, list(mxids))
        self._publish(room_id, [known[mxid] for mxid in mxids if mxid in known])

    def stop(self) -> None:
        """Forget all timers."""
        for timer in self._expiry.values():
            timer.cancel()
        self._expiry.clear()

    def _is_news(self, room_id: RoomId, mxid: Mxid, typing: bool) -> bool:
        now = asyncio.get_running_loop().time()
        told = self._told.get((room_id, mxid))
        if not typing:
            return self._told.pop((room_id, mxid), None) is not None
        if told is not None and now - told < _REPEAT:
            return False
        if len(self._told) >= _REMEMBERED:
            self._forget_old(now)
        if len(self._told) >= _REMEMBERED:
            EPHEMERAL_DROPPED.labels("typing").inc()
            return False
        self._told[room_id, mxid] = now
        return True

    def _forget_old(self, now: float) -> None:
        limit = now - _TIMEOUT_MS / 1000
        self._told = {key: told for key, told in self._told.items() if told > limit}

    def _publish(self, room_id: RoomId, persons: list[Person]) -> None:
        self._hub.to_room(room_id, frames.typing(room_id, persons))
        timer = self._expiry.pop(room_id, None)
        if timer is not None:
            timer.cancel()
        if persons:
            # The notice that somebody stopped may be lost with a failed transaction.
            loop = asyncio.get_running_loop()
            self._expiry[room_id] = loop.call_later(_EXPIRY, self._expire, room_id)

    def _expire(self, room_id: RoomId) -> None:
        self._expiry.pop(room_id, None)
        self._hub.to_room(room_id, frames.typing(room_id, []))
