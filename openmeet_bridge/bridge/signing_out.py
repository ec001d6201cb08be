"""Signing out: a user's tokens are of no use any more, and no stream stays that one has opened."""

from __future__ import annotations

from datetime import datetime

from ..core.errors import NotFound
from ..core.ids import TenantId, UserSlug
from ..storage import directory, ghosts, tickets
from ..storage.database import Database
from .endings import Ending, Endings


class SigningOut:
    """Signs users out.

    Args:
        database: Where it is kept.
        endings: Ends streams, in every process.
    """

    def __init__(self, database: Database, endings: Endings) -> None:
        self._database = database
        self._endings = endings

    async def sign_out(self, tenant: TenantId, slug: UserSlug) -> datetime:
        """Refuse a user's tokens that were issued until now, and end all of their streams.

        Returns:
            When that was, by the database's clock.

        Raises:
            NotFound: There is no such user.
            Unavailable: The database is away; nothing has changed.
        """
        async with self._database.transaction() as connection:
            moment = await directory.sign_out(connection, tenant, slug)
            if moment is None:
                raise NotFound(f"No user {slug!r} is known in this tenant.")
            await tickets.forget(connection, tenant, slug)
            ghost = await ghosts.of_user(connection, tenant, slug)
            ending = Ending(signed_out=[ghost.mxid] if ghost is not None else [])
            await self._endings.announce(connection, ending)
        self._endings.carry_out(ending)
        return moment
