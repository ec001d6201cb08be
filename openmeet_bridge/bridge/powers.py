"""Powers: who may do what in a room, by the state that we know of it."""

from __future__ import annotations

from ..core.ids import RoomId
from ..core.permissions import PowerLevels, creators_of, power_levels
from ..storage import rooms
from ..storage.database import Connection


async def levels_in(connection: Connection, room_id: RoomId) -> PowerLevels:
    """Return the power levels of a room."""
    levels, creator, first = await rooms.power(connection, room_id)
    return power_levels(levels, creators_of(creator, first))
