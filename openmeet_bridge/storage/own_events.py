"""Events by their ids alone, of the rooms in which somebody is now."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.ids import EventId, Mxid, RoomId, TenantId
from .database import Connection


async def in_rooms_of(
    connection: Connection, tenant: TenantId, mxid: Mxid, event_ids: Sequence[EventId]
) -> list[tuple[RoomId, int, EventId]]:
    """Return the room and the sort key of events in the rooms of a tenant that somebody is in.

    Events of other rooms are left out, as are those that nobody has heard of.
    """
    rows = await connection.fetch(
        """
        SELECT log.room_id, log.sort_key, log.event_id FROM log
        JOIN portal ON portal.room_id = log.room_id AND portal.tenant = log.tenant
        JOIN room_member AS mine ON mine.room_id = log.room_id AND mine.mxid = $2
        WHERE log.tenant = $1 AND log.event_id = ANY($3::text[])
              AND mine.membership = 'join' AND NOT mine.barred
        """,
        tenant,
        mxid,
        event_ids,
    )
    return [(row["room_id"], row["sort_key"], row["event_id"]) for row in rows]
