"""Preferences: what people let others see of them."""

from __future__ import annotations

from ..core.directory import User
from ..core.ids import Mxid
from ..storage import preferences
from ..storage import presence as kept_presence
from ..storage.database import Database
from ..storage.preferences import Preferences
from .presence import Presence


class Preferring:
    """Keeps people's preferences.

    Args:
        database: Where they are.
        presence: Shows and hides people's presence.
    """

    def __init__(self, database: Database, presence: Presence) -> None:
        self._database = database
        self._presence = presence

    async def of(self, user: User) -> Preferences:
        """Return somebody's preferences.

        Raises:
            Unavailable: The database is away.
        """
        async with self._database.connection() as connection:
            return await preferences.of(connection, user.tenant, user.slug)

    async def put(self, user: User, mxid: Mxid, *, presence: bool, receipts: bool) -> None:
        """Change somebody's preferences. Who hides their presence is offline to all at once.

        Raises:
            Unavailable: The database is away.
        """
        async with self._database.transaction() as connection:
            before = await preferences.of(connection, user.tenant, user.slug)
            wanted = Preferences(presence, receipts)
            await preferences.put(connection, user.tenant, user.slug, wanted)
            if not presence:
                await kept_presence.forget(connection, mxid)
        if presence != before.presence:
            await self._presence.refresh(mxid)
