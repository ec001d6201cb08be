"""Names of rooms: OpenMeet's web app has a room's id, or the slug of its group, or makes one up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ..core.errors import NotFound
from ..core.ids import Mxid, PortalKind, PortalRef, RoomId, TenantId
from ..storage import rooms
from ..storage.database import Database

_MADE_UP: Final = re.compile(r"!(event|group)_([^:]+)(?::.*)?")
_KINDS: Final = {"event": PortalKind.MEETUP, "group": PortalKind.GROUP}


class RoomNames:
    """Finds rooms by whatever the web app calls them.

    Args:
        database: Knows the rooms, and who is in them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, tenant: TenantId, mxid: Mxid, name: str) -> RoomId:
        """Return the room that is meant, in which somebody is at this moment.

        Args:
            tenant: Whose room.
            mxid: Who must be in it.
            name: The room's id, the slug of its group or meetup, or ``!event_<slug>:…``, which
                the app invents where it was told no id.

        Raises:
            NotFound: They are in no such room.
            Unavailable: The database is away.
        """
        if "\0" in name:
            raise NotFound("You are in no such room.")
        async with self._database.connection() as connection:
            if name.startswith("!") and await rooms.is_joined(
                connection, tenant, RoomId(name), mxid
            ):
                return RoomId(name)
            for ref in _refs(tenant, name):
                room_id = await rooms.room_of(connection, ref)
                if room_id and await rooms.is_joined(connection, tenant, room_id, mxid):
                    return room_id
        raise NotFound("You are in no such room.")


def _refs(tenant: TenantId, name: str) -> Iterator[PortalRef]:
    made_up = _MADE_UP.fullmatch(name)
    if made_up:
        yield PortalRef(tenant, _KINDS[made_up[1]], made_up[2])
    elif not name.startswith("!"):
        yield PortalRef(tenant, PortalKind.GROUP, name)
        yield PortalRef(tenant, PortalKind.MEETUP, name)
