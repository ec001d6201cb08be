"""Half-made rooms: what a homeserver leaves behind that dies while it makes a room.

Synapse writes a room's first event, and perhaps its alias, before its creator comes in. Killed in
between, it leaves a room that nobody can ever enter.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

import structlog

from ..core.events import CREATE
from ..core.ids import Mxid, RoomId
from ..matrix.errors import HomeserverUnavailable, Refused, TokenRefused
from ..matrix.homeserver import Homeserver

log = structlog.get_logger(__name__)

PATIENCE = 15.0
_REMEMBERED = 1000


class HalfMade:
    """Tells rooms that were never finished from those that are just being made.

    Args:
        homeserver: Asked whether the bot is in a room.
        bot: Who makes all rooms, and stays in them.
    """

    def __init__(self, homeserver: Homeserver, bot: Mxid) -> None:
        self._homeserver = homeserver
        self._bot = bot
        self._seen: OrderedDict[RoomId, float] = OrderedDict()

    async def is_given_up(self, room_id: RoomId) -> bool:
        """Whether a room will never be finished; False where the bot is in it.

        Raises:
            HomeserverUnavailable: It may be that the room is being made at this moment.
        """
        if await self._has_bot(room_id):
            self._seen.pop(room_id, None)
            return False
        now = asyncio.get_running_loop().time()
        since = self._seen.setdefault(room_id, now)
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        if now - since < PATIENCE:
            raise HomeserverUnavailable(f"the room {room_id} is being made")
        log.warning("room.half_made", room=room_id)
        return True

    async def _has_bot(self, room_id: RoomId) -> bool:
        try:
            await self._homeserver.get_state(room_id, CREATE, "", self._bot)
        except TokenRefused:
            raise
        except Refused as error:
            if error.status != 403:
                raise
            return False
        return True
