"""What an operator sees: the directory beside what is, judged by the rules."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ..core.directory import Portal, User
from ..core.errors import NotFound
from ..core.ids import Mxid, PortalRef, RoomId, TenantId, UserSlug
from ..core.rules import Place, Rules
from ..storage import directory, ghosts, overview, rooms
from ..storage.database import Connection, Database
from ..storage.directory import Head
from ..storage.ghosts import Ghost
from ..storage.overview import Inside, Page, PortalRow, TenantCounts, UserRow

PAGE = 500


@dataclass(frozen=True, slots=True)
class TenantView:
    """A tenant, with how its directory stands."""

    id: TenantId
    head: Head
    counts: TenantCounts


@dataclass(frozen=True, slots=True)
class PortalView:
    """A portal with its room.

    Attributes:
        wanted: People who should be in the room.
        archived: By the rules its room is read-only now.
    """

    row: PortalRow
    wanted: int
    archived: bool


@dataclass(frozen=True, slots=True)
class MemberView:
    """Somebody and a portal.

    Attributes:
        user: The user's slug; None: somebody from Matrix.
        place: Where the rules want the person: ``in``, ``out``, ``banned``; None: wherever.
        level: Power level that the rules give.
        membership: What the room has: ``join``, ``leave`` …; ``barred`` where the person was
            taken out and the homeserver does not know yet.
        override: What an operator said: ``in: reason`` or ``out: reason``.
    """

    user: UserSlug | None
    mxid: Mxid | None
    role: str | None
    status: str | None
    place: str | None
    level: int
    membership: str | None
    override: str | None


@dataclass(frozen=True, slots=True)
class PortalDetails:
    """All that is known of a portal."""

    view: PortalView
    portal: Portal
    former_aliases: Sequence[str]
    members: Sequence[MemberView]


@dataclass(frozen=True, slots=True)
class UserDetails:
    """All that is known of a user; without a ``row`` one who is gone from the directory."""

    row: UserRow | None
    user: User | None
    ghost: Ghost | None
    portals: Sequence[tuple[PortalRef, MemberView]]


class Overview:
    """Looks at everything and changes nothing.

    Args:
        database: The directory and the projections.
        rules: Of each tenant.
    """

    def __init__(self, database: Database, rules: Callable[[TenantId], Rules]) -> None:
        self._database = database
        self._rules = rules

    async def tenant(self, tenant: TenantId) -> TenantView:
        """Return how a tenant stands."""
        async with self._database.connection() as connection:
            return TenantView(
                tenant,
                await directory.head(connection, tenant),
                await overview.counts(connection, tenant),
            )

    async def known_tenants(self) -> list[TenantId]:
        """Return the tenants of which the database has anything."""
        async with self._database.connection() as connection:
            return await overview.tenants(connection)

    async def portals(
        self,
        tenant: TenantId,
        *,
        kind: str | None = None,
        problem: bool = False,
        search: str | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[PortalView]:
        """Yield portals by kind and slug, read a page at a time."""
        after: tuple[str, ...] | None = None
        left = limit
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            async with self._database.connection() as connection:
                rows = await overview.portals(
                    connection, tenant, Page(size, after, search), kind=kind, problem=problem
                )
                views = await self._views(connection, tenant, rows)
            for view in views:
                yield view
            if len(rows) < size:
                return
            after = (rows[-1].kind.value, rows[-1].slug)
            left = None if left is None else left - len(rows)

    async def users(
        self,
        tenant: TenantId,
        *,
        problem: bool = False,
        search: str | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[UserRow]:
        """Yield users by slug, read a page at a time."""
        after: tuple[str, ...] | None = None
        left = limit
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            async with self._database.connection() as connection:
                rows = await overview.users(
                    connection, tenant, Page(size, after, search), problem=problem
                )
            for row in rows:
                yield row
            if len(rows) < size:
                return
            after = (rows[-1].slug,)
            left = None if left is None else left - len(rows)

    async def portal(self, ref: PortalRef) -> PortalDetails:
        """Return all that is known of a portal.

        Raises:
            NotFound: There is none.
        """
        async with self._database.snapshot() as connection:
            row = await overview.portal(connection, ref)
            portal = await directory.portal(connection, ref)
            if row is None or portal is None:
                raise NotFound(f"No {ref.kind.value} {ref.slug!r} is known in this tenant.")
            (view,) = await self._views(connection, ref.tenant, [row])
            return PortalDetails(
                view,
                portal,
                await directory.former_aliases(connection, ref),
                await self._members(connection, ref, row.room_id),
            )

    async def user(self, tenant: TenantId, name: str) -> UserDetails:
        """Return all that is known of a user, by slug or by the ghost's Matrix id.

        Raises:
            NotFound: There is no such user and no such ghost.
        """
        async with self._database.snapshot() as connection:
            if name.startswith("@"):
                ghost = await ghosts.of_mxid(connection, Mxid(name))
                if ghost is not None and ghost.tenant != tenant:
                    ghost = None
            else:
                ghost = await ghosts.of_user(connection, tenant, UserSlug(name))
            slug = ghost.slug if ghost else UserSlug(name)
            user = await directory.user(connection, tenant, slug)
            if user is None and ghost is None:
                raise NotFound(f"No user {name!r} is known in this tenant.")
            row = await overview.user(connection, tenant, slug)
            found = []
            for ref in sorted(await directory.portals_of(connection, tenant, slug)):
                room_id = await rooms.room_of(connection, ref)
                everybody = await self._members(connection, ref, room_id)
                found += [(ref, one) for one in everybody if one.user == slug]
            return UserDetails(row, user, ghost, found)

    async def _views(
        self, connection: Connection, tenant: TenantId, rows: Sequence[PortalRow]
    ) -> list[PortalView]:
        refs = [PortalRef(tenant, row.kind, row.slug) for row in rows]
        said = await overview.said_of(connection, refs)
        rules, now = self._rules(tenant), datetime.now(UTC)
        views = []
        for ref, row in zip(refs, rows, strict=True):
            wanted = sum(
                rules.standing(ref.kind, *words).place is Place.IN for words in said[ref].values()
            )
            end = rules.archived_at(_timed(ref, row))
            archived = end is not None and end <= now
            views.append(PortalView(row, 0 if row.deleted else wanted, archived))
        return views

    async def _members(
        self, connection: Connection, ref: PortalRef, room_id: RoomId | None
    ) -> list[MemberView]:
        said = (await overview.said_of(connection, [ref]))[ref]
        present = await overview.inside(connection, ref.tenant, room_id) if room_id else []
        by_slug = {one.slug: one for one in present if one.slug is not None}
        rules = self._rules(ref.tenant)
        found = []
        for slug in sorted(said.keys() | by_slug.keys()):
            member, override = said.get(slug, (None, None))
            standing = rules.standing(ref.kind, member, override)
            one = by_slug.get(slug)
            word = None
            if override is not None:
                word = f"{'in' if override.inside else 'out'}: {override.reason}"
            found.append(
                MemberView(
                    slug,
                    one.mxid if one else None,
                    member.role if member else None,
                    member.status if member else None,
                    standing.place.value,
                    standing.level,
                    _membership(one),
                    word,
                )
            )
        return found + [
            MemberView(None, one.mxid, None, None, None, 0, _membership(one), None)
            for one in present
            if one.slug is None
        ]


def _timed(ref: PortalRef, row: PortalRow) -> Portal:
    """Return as much of a portal as the rules for archiving look at."""
    return Portal(
        ref, "", row.name, status=row.status, starts_at=row.starts_at, ends_at=row.ends_at
    )


def _membership(one: Inside | None) -> str | None:
    if one is None:
        return None
    return "barred" if one.barred and one.membership == "join" else one.membership
