"""Direct chats that people begin themselves, in OpenMeet's web app."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from ..core.allowance import Allowance
from ..core.changes import PutDirect
from ..core.directory import User
from ..core.errors import Forbidden, InvalidParam, LimitExceeded, NotFound
from ..core.ids import PortalKind, PortalRef, TenantId
from ..core.naming import direct_slug
from ..storage import directory as stored
from ..storage.database import Connection, Database
from .directory import Directory

MOST_AN_HOUR: Final = 50
"""New direct chats of one user."""

_HOUR = 3600.0
_MOST_KEPT = 10_000


class DirectChats:
    """Finds and begins direct chats.

    Args:
        database: The directory, to read.
        directory: The directory, to write.
        now: Seconds, from any moment on.
    """

    def __init__(
        self, database: Database, directory: Directory, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._directory = directory
        self._now = now
        self._begun = Allowance(_HOUR, _MOST_KEPT)

    async def by_number(self, tenant: TenantId, number: int) -> User:
        """Return the user of a tenant who has a number of OpenMeet's.

        Raises:
            NotFound: There is none.
        """
        found = None
        if 0 < number < 1 << 63:
            async with self._database.connection() as connection:
                found = await stored.user_by_openmeet_id(connection, tenant, number)
        if found is None or not found.active:
            raise NotFound(f"User with id {number} not found")
        return found

    async def find(self, user: User, other: User) -> PortalRef | None:
        """Return the direct chat of two users; None where they have none."""
        ref = _ref(user, other)
        async with self._database.connection() as connection:
            return ref if await _is_there(connection, ref) else None

    async def open(self, user: User, other: User) -> PortalRef:
        """Return the direct chat of two users, which there is from now on.

        One that is there already is found, also when one of them blocks the other since: they
        may read what they said. None is begun then.

        Raises:
            InvalidParam: They are one and the same.
            Forbidden: One of them blocks the other, or they are of different tenants.
            LimitExceeded: The user has begun :data:`MOST_AN_HOUR` within an hour.
            Conflict: The tenant is suspended.
            Unavailable: The database is away.
        """
        if user.slug == other.slug and user.tenant == other.tenant:
            raise InvalidParam(
                "Nobody has a chat with themselves.", fields={"path.recipientId": "is yourself"}
            )
        if user.tenant != other.tenant:
            raise Forbidden("You cannot write to each other.")
        ref = _ref(user, other)
        async with self._database.connection() as connection:
            if await _is_there(connection, ref):
                return ref
            if await stored.is_blocked(connection, user.tenant, user.slug, other.slug):
                raise Forbidden("You cannot write to each other.")
        self._count(user)
        change = PutDirect(user.slug, other.slug)
        await self._directory.apply(user.tenant, [change], unless_suspended=True)
        return ref

    def _count(self, user: User) -> None:
        """Note that a user begins a chat, where they may."""
        wait = self._begun.take((user.tenant, user.slug), MOST_AN_HOUR, self._now())
        if wait:
            raise LimitExceeded(
                "You have begun many chats within an hour. Wait a while.",
                retry_after_ms=int(wait * 1000),
            )


def _ref(user: User, other: User) -> PortalRef:
    return PortalRef(user.tenant, PortalKind.DIRECT, direct_slug(user.slug, other.slug))


async def _is_there(connection: Connection, ref: PortalRef) -> bool:
    portal = await stored.portal(connection, ref)
    if portal is None or portal.deleted:
        return False
    return len(await stored.members(connection, ref)) == 2
