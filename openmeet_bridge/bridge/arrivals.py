"""Arrivals: people who come before the bridge has heard of them, or before their room lets them in.

OpenMeet's web app knows at once that somebody has joined a group; the bridge hears of it a moment
later. Whoever asks for a room here waits that moment, instead of being sent away.
"""

from __future__ import annotations

from collections.abc import Callable

from ..core.directory import User
from ..core.ids import Mxid, PortalRef, RoomId, TenantId
from ..storage.database import Database
from .comparison import Comparison
from .ghosts import Ghosts
from .roster import Roster

_POLL = 0.1


class Arrivals:
    """Brings people to where they may be.

    Args:
        database: The directory.
        ghosts: Makes users of Matrix.
        roster: Knows who should be where.
        comparison: Asks OpenMeet's database; None where there is none.
        wake: Called when a job is wanted.
        patience: Longest time for which somebody waits, in seconds.
    """

    def __init__(
        self,
        database: Database,
        ghosts: Ghosts,
        roster: Roster,
        comparison: Comparison | None,
        wake: Callable[[], None],
        patience: float,
    ) -> None:
        self._database = database
        self._ghosts = ghosts
        self._roster = roster
        self._comparison = comparison
        self._wake = wake
        self._patience = patience

    async def user(self, tenant: TenantId, openmeet_id: int) -> User | None:
        """Return a user of whom the bridge has not heard, where OpenMeet's database has one.

        Raises:
            Unavailable: A database is away.
        """
        raise NotImplementedError

    async def matrix_user(self, user: User) -> Mxid:
        """Return somebody's Matrix user, which exists from now on.

        Raises:
            HomeserverError: It could not be made.
            Unavailable: The database is away.
        """
        return await self._ghosts.ensure(user.tenant, user.slug)

    async def room(self, user: User, ref: PortalRef) -> RoomId:
        """Return the room of a group, meetup or direct chat, in which the user is by then.

        Raises:
            NotFound: OpenMeet has no such thing.
            Forbidden: By what OpenMeet says of them, they are not in it.
            Unavailable: They may be in it, but it takes longer than one can wait.
        """
        raise NotImplementedError
