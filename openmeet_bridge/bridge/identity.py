"""Identity: which user is behind a token or a ticket, as the directory has them at this moment."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from ..core.directory import User
from ..core.errors import UnknownToken
from ..core.ids import TenantId
from ..storage import directory, tickets
from ..storage.database import Database
from ..storage.directory import Caller, Named
from ..storage.tickets import Ticket
from .together import Together


class Identity:
    """Finds users.

    Args:
        database: The directory, and the tickets.
        ticket_lifetime: Seconds for which a ticket is good.
    """

    def __init__(self, database: Database, *, ticket_lifetime: float) -> None:
        self._database = database
        self._callers = Together(self._read_callers)
        self.ticket_lifetime = ticket_lifetime

    async def user(
        self, tenant: TenantId, openmeet_id: int, slug: str | None, issued_at: float | None = None
    ) -> User | None:
        """Return the user whom a token names, or None.

        OpenMeet's number identifies. The slug alone does so only for a user whose number OpenMeet
        has not told us; and where the token has both, both must fit.

        Raises:
            UnknownToken: The user was signed out since the token was issued.
        """
        if not 0 < openmeet_id < 1 << 63:
            return None
        found = await self._callers.get(Named(tenant, openmeet_id, slug, issued_at))
        if found is None or not found.user.active or slug not in (None, found.user.slug):
            return None
        if found.signed_out:
            raise UnknownToken("The token was revoked: its user was signed out.")
        return found.user

    async def _read_callers(self, named: Sequence[Named]) -> Mapping[Named, Caller]:
        async with self._database.connection() as connection:
            found = await directory.callers(connection, named)
        return {one: user for one, user in zip(named, found, strict=True) if user is not None}

    async def users(self, tenant: TenantId, limit: int) -> list[User]:
        """Return the users of a tenant by name."""
        async with self._database.connection() as connection:
            return await directory.users(connection, tenant, limit)

    async def issue_ticket(self, user: User, token_expires_at_ms: int) -> str:
        """Return a new single-use ticket for a user's stream."""
        secret = secrets.token_urlsafe(32)
        ticket = Ticket(user.tenant, user.slug, token_expires_at_ms)
        async with self._database.transaction() as connection:
            await tickets.put(connection, secret, ticket, self.ticket_lifetime)
        return secret

    async def spend_ticket(self, secret: str) -> tuple[User, int] | None:
        """Use a ticket up; return its user and when the token behind it ends (ms), or None."""
        async with self._database.transaction() as connection:
            ticket = await tickets.spend(connection, secret)
            if ticket is None:
                return None
            user = await directory.user(connection, ticket.tenant, ticket.user_slug)
        if user is None or not user.active:
            return None
        return user, ticket.token_expires_at
