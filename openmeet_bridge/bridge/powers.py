"""Powers: who may do what in a room, by the state that we know of it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from ..core.ids import Mxid, RoomId
from ..core.permissions import PowerLevels, creators_of, power_levels
from ..storage import rooms
from ..storage.database import Connection

_REMEMBERED: Final = 100_000


async def levels_in(connection: Connection, room_id: RoomId) -> PowerLevels:
    """Return the power levels of a room."""
    levels, creator, first = await rooms.power(connection, room_id)
    return power_levels(levels, creators_of(creator, first))


class Powers:
    """The power levels of many rooms at once. Who made a room never changes, and is remembered."""

    def __init__(self) -> None:
        self._creators: dict[RoomId, frozenset[Mxid]] = {}

    async def of(
        self, connection: Connection, room_ids: Collection[RoomId]
    ) -> dict[RoomId, PowerLevels]:
        """Return the power levels of rooms; where nothing is known, those of the specification."""
        await self._learn(connection, [one for one in room_ids if one not in self._creators])
        levels = await rooms.power_levels(connection, room_ids)
        nobody: frozenset[Mxid] = frozenset()
        return {
            one: power_levels(levels.get(one), self._creators.get(one, nobody)) for one in room_ids
        }

    async def _learn(self, connection: Connection, unknown: Collection[RoomId]) -> None:
        if not unknown:
            return
        if len(self._creators) + len(unknown) > _REMEMBERED:
            self._creators.clear()
        for room_id, (sender, content) in (await rooms.creations(connection, unknown)).items():
            self._creators[room_id] = creators_of(sender, content)
