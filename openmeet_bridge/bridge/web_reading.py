"""Reading as OpenMeet's web app tells of it: the messages that were read, of any rooms at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..core.errors import NotFound
from ..core.ids import EventId, Mxid, RoomId, TenantId, UserSlug
from ..storage import own_events
from ..storage.database import Database
from .receipts import Receipts
from .rights import Actor


class WebReading:
    """Marks rooms as read.

    Args:
        database: Knows of which room an event is.
        receipts: Keeps the marks, and tells others of them.
        now_ms: Milliseconds since the epoch.
    """

    def __init__(self, database: Database, receipts: Receipts, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._receipts = receipts
        self._now_ms = now_ms

    async def mark(
        self, tenant: TenantId, slug: UserSlug, mxid: Mxid, event_ids: Sequence[EventId]
    ) -> list[EventId]:
        """Mark rooms as read up to the newest of some messages; return those that are read now.

        Messages of rooms in which the reader is not, and such as nobody has heard of, are left
        out.
        """
        async with self._database.connection() as connection:
            found = await own_events.in_rooms_of(connection, tenant, mxid, event_ids)
        newest: dict[RoomId, tuple[int, EventId]] = {}
        for room_id, sort_key, event_id in found:
            newest[room_id] = max(newest.get(room_id, (sort_key, event_id)), (sort_key, event_id))
        marked: set[RoomId] = set()
        for room_id, (_, event_id) in newest.items():
            actor = Actor(tenant, slug, mxid, room_id)
            try:
                await self._receipts.mark(actor, event_id, self._now_ms())
            except NotFound:
                continue  # not for them to read, or they went out meanwhile
            marked.add(room_id)
        known = {event_id for room_id, _, event_id in found if room_id in marked}
        return [event_id for event_id in dict.fromkeys(event_ids) if event_id in known]
