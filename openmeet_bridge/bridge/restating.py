"""Restating: what the homeserver has taken back without a word is said anew.

Two changes that a homeserver accepts at the same moment make a room's history fork. Where the
branches meet, state resolution decides (room version 2 and later, "State resolution"): who came in
beside a change of the rules for coming in may be out again. The change that lost stays in the
timeline, and no event says that it counts no more. So the log shows a state that the homeserver
does not hold, and what is asked of the homeserver then changes nothing there: nobody is in who
could be put out, and state is what it should be. A new event makes both agree again; what is
missing then is done as ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import structlog

from ..core.events import MEMBER
from ..core.ids import Mxid, RoomId, TenantId
from ..core.room_plan import NO_MEMBER
from ..core.room_steps import Join, Kick, SetState, Step
from ..matrix.errors import Refused, TokenRefused
from ..matrix.homeserver import Homeserver
from ..storage import event_log, rooms
from ..storage.database import Database
from ..storage.event_log import StateRow

log = structlog.get_logger(__name__)

_MOST = 20
_REASON = "to be let in anew"


class Restating:
    """Makes homeserver and log agree about state.

    Args:
        database: The log.
        homeserver: What is true.
        bot: Looks and acts: it is in every room.
    """

    def __init__(self, database: Database, homeserver: Homeserver, bot: Mxid) -> None:
        self._database = database
        self._homeserver = homeserver
        self._bot = bot

    async def restate(self, steps: Iterable[tuple[RoomId, Step]]) -> None:
        """Say anew about what the log shows what is no more; of what it has yet to hear, nothing.

        Args:
            steps: Were carried out in these rooms, and the log does not show it. Where there are
                many, the homeserver is slow: only the first are looked at.

        Raises:
            HomeserverError: The homeserver does not answer as it should.
            Unavailable: The database is away.
        """
        for room_id, step in islice(steps, _MOST):
            match step:
                case Kick(mxid, reason):
                    if await self._taken_back(room_id, MEMBER, mxid):
                        # Never in again, not even for a moment.
                        await self._homeserver.ban(room_id, mxid, reason, self._bot)
                        await self._homeserver.unban(room_id, mxid, self._bot)
                case Join(mxid):
                    if await self._taken_back(room_id, MEMBER, mxid):
                        await self._homeserver.kick(room_id, mxid, _REASON, self._bot)
                case SetState(kind, key):
                    if shown := await self._taken_back(room_id, kind, key):
                        await self._homeserver.send_state(
                            room_id, kind, key, shown.content, self._bot
                        )

    async def readmit(self, tenant: TenantId, room_id: RoomId, mxid: Mxid) -> bool:
        """Let a ghost in anew who is inside as the log shows it, and out as the homeserver does.

        Args:
            tenant: Whose room it is.
            room_id: The room.
            mxid: The ghost.

        Returns:
            Whether it was so, and the homeserver has let them in.

        Raises:
            HomeserverError: The homeserver does not answer as it should.
            Unavailable: The database is away.
        """
        if not await self._is_in(tenant, room_id, mxid):
            return False
        if not await self._taken_back(room_id, MEMBER, mxid):
            return False
        try:
            await self._homeserver.invite(room_id, mxid, self._bot)
            await self._homeserver.join(room_id, mxid)
        except TokenRefused:
            raise
        except Refused as error:
            log.warning("member.not_readmitted", room=room_id, mxid=mxid, error=str(error))
            return False
        if not await self._is_in(tenant, room_id, mxid):
            # Taken out on OpenMeet while the homeserver let them in.
            await self._homeserver.kick(room_id, mxid, NO_MEMBER, self._bot)
        return True

    async def _is_in(self, tenant: TenantId, room_id: RoomId, mxid: Mxid) -> bool:
        async with self._database.connection() as connection:
            return await rooms.is_joined(connection, tenant, room_id, mxid)

    async def _taken_back(self, room_id: RoomId, kind: str, key: str) -> StateRow | None:
        """Return the event that the log shows, if the homeserver does not hold it any more."""
        held = await self._homeserver.state_event_id(room_id, kind, key, self._bot)
        async with self._database.connection() as connection:
            shown = await event_log.newest_state(connection, room_id, kind, key)
            if shown is None or shown.event_id == held:
                return None
            if held is not None and not await event_log.known(connection, [held]):
                return None  # the newer one: it is on its way to the log
        log.warning("state.taken_back", room=room_id, type=kind, state_key=key, lost=shown.event_id)
        return shown
