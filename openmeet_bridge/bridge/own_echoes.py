"""Own echoes: whoever has said something finds it, also where it has not come back to us yet."""

from __future__ import annotations

import asyncio
from typing import Final

from ..core.ids import Mxid, RoomId, TenantId
from ..storage import outbox
from ..storage.database import Database

RECENT: Final = 10.0
"""Seconds for which something sent is waited for; older is for the repair to find."""

_PATIENCE = 1.5
_FIRST_POLL = 0.02
_LONGEST_POLL = 0.2


class OwnEchoes:
    """Waits for what the homeserver has taken, and has not pushed to us yet.

    OpenMeet's web app needs it: it shows what its user has sent, replaces everything by the page
    that it loads next, and then leaves out the live copy, as something that it has shown already.

    Args:
        database: The outbox and the log.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def wait(self, tenant: TenantId, mxid: Mxid, room_id: RoomId) -> None:
        """Wait until the log has what somebody has just said in a room; not for long.

        Raises:
            Unavailable: The database is away.
        """
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        pause = _FIRST_POLL
        while await self._awaited(tenant, mxid, room_id):
            if asyncio.get_running_loop().time() + pause > deadline:
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_POLL)

    async def _awaited(self, tenant: TenantId, mxid: Mxid, room_id: RoomId) -> bool:
        async with self._database.connection() as connection:
            return await outbox.awaits_echo(connection, tenant, mxid, room_id, RECENT)
