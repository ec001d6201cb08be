"""Unread: how much somebody has not read, and the telling of it to their own streams."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import structlog

from ..core.cursor import order_text
from ..core.errors import NotFound, Unavailable
from ..core.ids import Mxid, RoomId, TenantId
from ..storage import rooms, unread
from ..storage.database import Database
from ..storage.unread import Unread
from ..stream import frames
from ..stream.broadcast import Broadcast, in_parts
from ..stream.signals import UnreadChanged
from ..telemetry import EPHEMERAL_DROPPED

log = structlog.get_logger(__name__)

_WAITING = 10_000
_PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class Totals:
    """What somebody has not read in all of their rooms; of each room at most 100 are counted."""

    messages: int
    mentions: int
    rooms: int


def total(found: Collection[Unread]) -> Totals:
    """Return what somebody has not read in these rooms."""
    return Totals(
        sum(one.unread_count for one in found),
        sum(one.mention_count for one in found),
        sum(one.unread_count > 0 or one.marked_unread for one in found),
    )


class UnreadState:
    """Tells people what is unread, and lets them mark rooms by hand.

    One loop reads and tells all of it: what is told later was read later. Every process does so
    for its own streams, and the others only tell it that there is something to read.

    Args:
        database: Where it is counted.
        broadcast: Leads to people's streams.
    """

    def __init__(self, database: Database, broadcast: Broadcast) -> None:
        self._database = database
        self._broadcast = broadcast
        self._hub = broadcast.hub
        # What is told is the newest state: a room of somebody waits once.
        self._untold: dict[Mxid, set[RoomId]] = {}
        self._waiting = asyncio.Event()
        broadcast.on(UnreadChanged, lambda said: self._note(said.mxid, said.room_ids))

    async def totals(self, tenant: TenantId, mxid: Mxid) -> Totals:
        """Return what somebody has not read in all of their rooms."""
        async with self._database.connection() as connection:
            since = await unread.rooms_since(connection, tenant, mxid)
            return total((await unread.of(connection, mxid, since)).values())

    async def mark(self, tenant: TenantId, room_id: RoomId, mxid: Mxid, marked: bool) -> None:
        """Mark a room as unread until it is read next, or take the mark away.

        Raises:
            NotFound: They are in no such room.
        """
        async with self._database.transaction() as connection:
            if not await rooms.is_joined(connection, tenant, room_id, mxid):
                raise NotFound("You are in no such room.")
            change = unread.flag if marked else unread.unflag
            await change(connection, room_id, mxid)
        self.changed([(room_id, mxid)])

    def changed(self, pairs: Iterable[tuple[RoomId, Mxid]]) -> None:
        """Note that people have changed by themselves what is unread for them."""
        rooms_of: dict[Mxid, list[RoomId]] = {}
        for room_id, mxid in pairs:
            rooms_of.setdefault(mxid, []).append(room_id)
        for mxid, room_ids in rooms_of.items():
            self._note(mxid, room_ids)
            if self._broadcast.alone:
                continue
            for part in in_parts(room_ids):
                self._broadcast.say(mxid, UnreadChanged(mxid, part))

    def _note(self, mxid: Mxid, room_ids: Iterable[RoomId]) -> None:
        if not self._hub.streams_of(mxid):
            return
        if len(self._untold) >= _WAITING and mxid not in self._untold:
            EPHEMERAL_DROPPED.labels("unread").inc()
            return
        self._untold.setdefault(mxid, set()).update(room_ids)
        self._waiting.set()

    async def run(self) -> None:
        """Tell what has changed, for ever."""
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            while self._untold:
                mxid = next(iter(self._untold))
                rooms_of = self._untold.pop(mxid)
                try:
                    await self._tell(mxid, rooms_of)
                except Unavailable as error:
                    log.debug("unread.not_told", error=str(error))
                    self._untold.setdefault(mxid, set()).update(rooms_of)
                    await asyncio.sleep(_PAUSE)

    async def _tell(self, mxid: Mxid, room_ids: set[RoomId]) -> None:
        tenant = self._hub.tenant_of(mxid)
        if tenant is None:
            return
        async with self._database.connection() as connection:
            since = await unread.rooms_since(connection, tenant, mxid, room_ids)
            found = await unread.of(connection, mxid, since)
        for one in found.values():
            frame = frames.unread(
                one.room_id,
                order_text(one.read_key),
                one.unread_count,
                one.mention_count,
                marked=one.marked_unread,
            )
            self._hub.to_user(mxid, frame)
