"""The directory as OpenMeet writes it: every change is kept, and asks for the jobs it needs.

Change and jobs are one SQL transaction: a change is never kept without its job.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..core.directory import Portal, User
from ..core.errors import InvalidParam, NotFound
from ..core.ids import PortalKind, PortalRef, RoomId, TenantId, UserSlug
from ..core.naming import Naming, direct_slug
from ..storage import directory, jobs, rooms
from ..storage.database import Connection, Database
from .reconciler import USER


@dataclass(frozen=True, slots=True)
class Status:
    """How far Matrix follows the directory for one thing."""

    state: str
    attempts: int
    error: str | None
    room_id: RoomId | None


class Directory:
    """What OpenMeet says there should be.

    Args:
        database: Where it is kept.
        naming: Refuses names that Matrix cannot have, before they are kept.
        wake: Called after each change: there is a job.
        user_gone: Called when a user was deleted, to end what is open.
    """

    def __init__(
        self,
        database: Database,
        naming: Naming,
        wake: Callable[[], None],
        user_gone: Callable[[TenantId, UserSlug], None],
    ) -> None:
        self._database = database
        self._naming = naming
        self._wake = wake
        self._user_gone = user_gone

    async def put_user(self, user: User) -> Status:
        """Write a user."""
        self._naming.ghost(user.tenant, user.slug)
        async with self._database.transaction() as connection:
            await directory.put_user(connection, user)
            await jobs.want(connection, user.tenant, USER, user.slug)
            await self._want_portals_of(connection, user.tenant, user.slug)
        return await self._changed(user.tenant, USER, user.slug)

    async def delete_user(self, tenant: TenantId, slug: UserSlug) -> Status:
        """Remove a user: out of every room, every stream ended."""
        async with self._database.transaction() as connection:
            await self._want_portals_of(connection, tenant, slug)
            if await directory.delete_user(connection, tenant, slug):
                await jobs.want(connection, tenant, USER, slug)
        self._user_gone(tenant, slug)
        return await self._changed(tenant, USER, slug)

    async def put_portal(self, portal: Portal) -> Status:
        """Write a group or a meetup."""
        async with self._database.transaction() as connection:
            await directory.put_portal(connection, portal)
            await self._want(connection, portal.ref)
        return await self._changed(*_job(portal.ref))

    async def delete_portal(self, ref: PortalRef) -> Status:
        """Remove a portal: everybody goes out, and the room is closed."""
        async with self._database.transaction() as connection:
            if await directory.delete_portal(connection, ref):
                await self._want(connection, ref)
        return await self._changed(*_job(ref))

    async def put_direct(self, tenant: TenantId, first: UserSlug, second: UserSlug) -> Status:
        """Write that two users have a direct chat.

        Raises:
            InvalidParam: The two are one.
            NotFound: One of them is not known.
        """
        if first == second:
            raise InvalidParam(
                "A direct chat needs two users.", fields={"path.second": "is the first user"}
            )
        ref = PortalRef(tenant, PortalKind.DIRECT, direct_slug(first, second))
        async with self._database.transaction() as connection:
            people = [await self._user(connection, tenant, slug) for slug in (first, second)]
            name = " & ".join(user.name for user in people)
            portal = Portal(
                ref, self._naming.alias(ref), name, "", None, None, public=False, deleted=False
            )
            await directory.put_portal(connection, portal)
            for slug in (first, second):
                await directory.put_member(connection, ref, slug, "member")
            await self._want(connection, ref)
        return await self._changed(*_job(ref))

    async def put_member(self, ref: PortalRef, user_slug: UserSlug, role: str) -> Status:
        """Write that a user belongs to a portal.

        Raises:
            NotFound: The portal or the user is not known.
        """
        async with self._database.transaction() as connection:
            await self._portal(connection, ref)
            await self._user(connection, ref.tenant, user_slug)
            await directory.put_member(connection, ref, user_slug, role)
            await self._want(connection, ref)
        return await self._changed(*_job(ref))

    async def delete_member(self, ref: PortalRef, user_slug: UserSlug) -> Status:
        """Remove a user from a portal."""
        async with self._database.transaction() as connection:
            if await directory.delete_member(connection, ref, user_slug):
                await self._want(connection, ref)
        return await self._changed(*_job(ref))

    async def status(self, tenant: TenantId, kind: str, slug: str) -> Status:
        """Return how far Matrix follows.

        Raises:
            NotFound: Nothing of this name was ever written.
        """
        async with self._database.connection() as connection:
            job = await jobs.status(connection, tenant, kind, slug)
            room_id = None
            if kind != USER:
                ref = PortalRef(tenant, PortalKind(kind), slug)
                room_id = await rooms.room_of(connection, ref)
        if job is None:
            raise NotFound(f"No {kind} {slug!r} is known in this tenant.")
        state = "failed" if job.permanent else "settled" if job.done >= job.wanted else "pending"
        return Status(state, job.attempts, job.error, room_id)

    async def _changed(self, tenant: TenantId, kind: str, slug: str) -> Status:
        self._wake()
        return await self.status(tenant, kind, slug)

    async def _want(self, connection: Connection, ref: PortalRef) -> None:
        await jobs.want(connection, *_job(ref))

    async def _want_portals_of(
        self, connection: Connection, tenant: TenantId, slug: UserSlug
    ) -> None:
        for kind, portal_slug in await directory.portals_of(connection, tenant, slug):
            await jobs.want(connection, tenant, kind, portal_slug)

    async def _user(self, connection: Connection, tenant: TenantId, slug: UserSlug) -> User:
        user = await directory.user(connection, tenant, slug)
        if user is None:
            raise NotFound(f"No user {slug!r} is known in this tenant: PUT the user first.")
        return user

    async def _portal(self, connection: Connection, ref: PortalRef) -> Portal:
        portal = await directory.portal(connection, ref)
        if portal is None or portal.deleted:
            raise NotFound(f"No {ref.kind} {ref.slug!r} is known: PUT the {ref.kind} first.")
        return portal


def _job(ref: PortalRef) -> tuple[TenantId, str, str]:
    return ref.tenant, ref.kind.value, ref.slug
