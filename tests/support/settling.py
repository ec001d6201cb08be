"""Many portals with many members, written into a directory and settled by a bridge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from openmeet_bridge.bridge.directory import Directory
from openmeet_bridge.core.changes import Change, PutPortal, PutUser, ReplaceMembers
from openmeet_bridge.core.directory import Member, Portal, User, Visibility
from openmeet_bridge.core.ids import PortalKind, PortalRef, TenantId, UserSlug
from openmeet_bridge.core.naming import Naming
from openmeet_bridge.core.rules import Rules
from openmeet_bridge.storage.database import Database

from .waiting import PATIENCE

_AT_ONCE = 200
_POLL = 0.2


@dataclass(frozen=True)
class Town:
    """A tenant with portals, every third one a meetup of the group before it.

    Attributes:
        tenant: The tenant.
        portals: How many portals.
        members: How many members each has.
        users: How many users there are.
        tail: Of all slugs, so that several towns can be on one homeserver.
    """

    tenant: TenantId
    portals: int
    members: int
    users: int
    tail: str = ""

    def user(self, number: int) -> UserSlug:
        """Slug of a user."""
        return UserSlug(f"user-{number:05d}{self.tail}")

    def ref(self, number: int) -> PortalRef:
        """A portal."""
        kind = PortalKind.MEETUP if number % 3 == 2 else PortalKind.GROUP
        return PortalRef(self.tenant, kind, f"{kind.value}-{number:04d}{self.tail}")

    def members_of(self, number: int) -> list[Member]:
        """Members of a portal, an owner first."""
        slugs = [self.user((number * 7 + place) % self.users) for place in range(self.members)]
        return [Member(slug, "member" if place else "owner") for place, slug in enumerate(slugs)]

    def changes(self) -> list[Change]:
        """Everything, as changes of an empty directory."""
        made: list[Change] = [
            PutUser(User(self.tenant, self.user(number), None, f"User {number}", None))
            for number in range(self.users)
        ]
        for number in range(self.portals):
            ref = self.ref(number)
            group = self.ref(number - 1).slug if ref.kind is PortalKind.MEETUP else None
            public = Visibility.PUBLIC if number % 2 else Visibility.PRIVATE
            portal = Portal(
                ref, "", f"{ref.kind.title()} {number}", "A topic", visibility=public, group=group
            )
            made += [PutPortal(portal), ReplaceMembers(ref, tuple(self.members_of(number)))]
        return made


@dataclass
class Registrar:
    """Writes a directory and watches the jobs."""

    database: Database
    directory: Directory
    progress: list[dict[str, Any]] = field(default_factory=list)

    async def write(self, tenant: TenantId, changes: Sequence[Change]) -> None:
        """Apply changes, some at a time."""
        for start in range(0, len(changes), _AT_ONCE):
            await self.directory.apply(tenant, changes[start : start + _AT_ONCE], bulk=True)

    async def settled(self, seconds: float = PATIENCE) -> None:
        """Wait until no job is pending.

        Raises:
            AssertionError: A job failed for good, or they take too long.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            left = await self.pending()
            if not left:
                return
            assert not [row for row in left if row["permanent"]], left[:5]
            assert asyncio.get_running_loop().time() < deadline, (len(left), left[:5])
            await asyncio.sleep(_POLL)

    async def pending(self) -> list[asyncpg.Record]:
        """Jobs that are not done."""
        async with self.database.connection() as connection:
            return list(
                await connection.fetch(
                    "SELECT * FROM job WHERE wanted > done ORDER BY tenant, kind, slug"
                )
            )


@asynccontextmanager
async def registrar(database_url: str, naming: Naming, rules: Rules) -> AsyncIterator[Registrar]:
    """A writer of the directory of a running bridge."""
    database = Database(database_url)
    try:
        directory = Directory(
            database, naming, lambda _: rules, lambda: None, lambda _: None, lambda *_: None
        )
        yield Registrar(database, directory)
    finally:
        await database.close()
