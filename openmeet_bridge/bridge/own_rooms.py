"""Own rooms: where somebody is, by name."""

from __future__ import annotations

from ..core.ids import Mxid, TenantId
from ..storage import own_rooms
from ..storage.database import Database
from ..storage.own_rooms import OwnRoom


class OwnRooms:
    """Tells people where they are.

    Args:
        database: Who is where.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self, tenant: TenantId, mxid: Mxid) -> list[OwnRoom]:
        """Return the rooms in which somebody is at this moment, by name.

        Raises:
            Unavailable: The database is away.
        """
        async with self._database.connection() as connection:
            found = await own_rooms.own_rooms(connection, tenant, mxid)
        return sorted(found, key=lambda one: (one.name, one.room_id))
