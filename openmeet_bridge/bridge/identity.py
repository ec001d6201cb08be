"""Identity: which user is behind a token or a ticket, as the directory has them at this moment."""

from __future__ import annotations

import secrets

from ..core.directory import User
from ..core.errors import UnknownToken
from ..core.ids import TenantId, UserSlug
from ..storage import directory, tickets
from ..storage.database import Database
from ..storage.tickets import Ticket


class Identity:
    """Finds users.

    Args:
        database: The directory, and the tickets.
        ticket_lifetime: Seconds for which a ticket is good.
    """

    def __init__(self, database: Database, *, ticket_lifetime: float) -> None:
        self._database = database
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
        async with self._database.connection() as connection:
            found = await directory.caller(connection, tenant, openmeet_id, None, issued_at)
            if found is None and slug is not None:
                by_slug = await directory.caller(
                    connection, tenant, None, UserSlug(slug), issued_at
                )
                unnumbered = by_slug is not None and by_slug.user.openmeet_id is None
                found = by_slug if unnumbered else None
        if found is None or not found.user.active or slug not in (None, found.user.slug):
            return None
        if found.signed_out:
            raise UnknownToken("The token was revoked: its user was signed out.")
        return found.user

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
