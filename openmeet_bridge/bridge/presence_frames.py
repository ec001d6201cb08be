"""Presence frames: who is told of somebody's coming and going, and how many at a time.

A change goes to everybody who shares a room with the person, once to each stream. Rooms that very
many streams follow are told of few changes a second, the newest of each person: when all of a
large room come back at once, each of them would be told of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from ..core.ids import Mxid, RoomId, TenantId
from ..core.presence import OFFLINE, State
from ..storage import presence
from ..storage.database import Database
from ..storage.presence import Audience
from ..stream import frames
from ..stream.hub import Hub
from ..telemetry import EPHEMERAL_DROPPED, PRESENCE_CHANGES

LARGE_ROOM = 500
"""A room that more streams follow is told of few changes at a time."""

LARGE_ROOM_CHANGES = 5
"""So many people's changes are told to large rooms at a time at most."""

DELIVERIES = 10_000
"""So many streams are written to at a time, for large rooms and for all others; the changes that
are left come next time. A room with more streams than that is told of one change, and rests."""

_WAITING = 20_000

Found = dict[Mxid, list[Audience]]


@dataclass(frozen=True, slots=True)
class Change:
    """How somebody is there now.

    Attributes:
        mxid: Who.
        state: How.
        last_seen: When they were last active, in milliseconds, where that is known.
        ours: Whether it is for us to say: for people of OpenMeet it is, for those of Matrix not.
    """

    mxid: Mxid
    state: State
    last_seen: int | None
    ours: bool


class PresenceFrames:
    """Tells readers of others' presence.

    Args:
        database: Who is in which room, and who lets their presence be seen.
        hub: Delivers.
        tenants: Whose people may see one another's presence.
    """

    def __init__(self, database: Database, hub: Hub, tenants: Collection[TenantId]) -> None:
        self._database = database
        self._hub = hub
        self._tenants = tenants
        self._waiting: dict[Mxid, None] = {}
        self._budget = 0

    async def publish(
        self, changes: Sequence[Change], *, at_once: bool = False
    ) -> tuple[Found, Sequence[Change]]:
        """Tell readers how these people are there now.

        Args:
            changes: Each person once.
            at_once: Tell large rooms too.

        Returns:
            For whom it was, of each of these people, and the changes that must wait.

        Raises:
            Unavailable: The database is away, and nobody was told.
        """
        found = await self._audiences([one.mxid for one in changes])
        seen_by: Found = {}
        written = 0
        for number, change in enumerate(changes):
            if written >= DELIVERIES:
                return seen_by, changes[number:]
            audiences = [one for one in found.get(change.mxid, ()) if one.ours == change.ours]
            seen_by[change.mxid] = audiences
            told = sum(self._tell(change, one, at_once=at_once) for one in audiences)
            if told:
                PRESENCE_CHANGES.labels(change.state).inc()
            written += told
        return seen_by, ()

    async def publish_waiting(self, current: Callable[[Mxid], Change]) -> None:
        """Tell large rooms of some changes that wait.

        Args:
            current: Says how somebody is there now.

        Raises:
            Unavailable: The database is away, and nobody was told.
        """
        self._budget = min(self._budget + DELIVERIES, DELIVERIES)
        mxids = list(self._waiting)[:LARGE_ROOM_CHANGES]
        if not mxids or self._budget <= 0:
            return
        found = await self._audiences(mxids)
        for mxid in mxids:
            if self._budget <= 0:
                return
            self._waiting.pop(mxid, None)
            for audience in found.get(mxid, ()):
                small, large = self._rooms(audience)
                # Who shares a smaller room with the person too was told there.
                frame = _frame(current(mxid), audience)
                self._budget -= self._hub.to_rooms(audience.tenant, large, frame, but=small)

    async def _audiences(self, mxids: Sequence[Mxid]) -> Found:
        found: Found = {}
        async with self._database.connection() as connection:
            for audience in await presence.audiences(connection, mxids):
                if audience.tenant in self._tenants:
                    found.setdefault(audience.person.mxid, []).append(audience)
        return found

    def _tell(self, change: Change, audience: Audience, *, at_once: bool) -> int:
        small, large = self._rooms(audience)
        if at_once:
            small, large = small + large, []
        if large:
            self._wait(change.mxid)
        return self._hub.to_rooms(audience.tenant, small, _frame(change, audience))

    def _rooms(self, audience: Audience) -> tuple[list[RoomId], list[RoomId]]:
        followed = {one: self._hub.readers(one) for one in audience.room_ids}
        return (
            [one for one, readers in followed.items() if 0 < readers <= LARGE_ROOM],
            [one for one, readers in followed.items() if readers > LARGE_ROOM],
        )

    def _wait(self, mxid: Mxid) -> None:
        if len(self._waiting) >= _WAITING and mxid not in self._waiting:
            EPHEMERAL_DROPPED.labels("presence").inc()
            return
        self._waiting[mxid] = None


def _frame(change: Change, audience: Audience) -> frames.Frame:
    if not audience.shown:
        return frames.presence(audience.person, OFFLINE, None)
    return frames.presence(audience.person, change.state, change.last_seen)
