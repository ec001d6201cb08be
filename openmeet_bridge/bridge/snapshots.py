"""Making a tenant's directory equal to a whole one that OpenMeet has sent."""

from __future__ import annotations

import asyncio

from ..core.changes import Change
from ..core.comparison import Removals, changes, removals
from ..core.differences import differences
from ..core.directory import Snapshot
from ..core.errors import Conflict
from ..core.ids import TenantId
from ..storage import directory as stored
from ..storage.database import Database
from ..storage.directory import Head
from .directory import Applied, Directory

_TRIES = 5


class Snapshots:
    """Compares whole directories and makes the changes.

    Args:
        database: Where the directory is read.
        directory: Where it is written.
        max_removals: Larger parts of a tenant's users or portals are not removed unasked.
    """

    def __init__(self, database: Database, directory: Directory, max_removals: float) -> None:
        self._database = database
        self._directory = directory
        self._max_removals = max_removals

    async def replace(
        self,
        tenant: TenantId,
        wanted: Snapshot,
        *,
        dry_run: bool = False,
        if_revision: int | None = None,
        allow_removals: bool = False,
    ) -> Applied:
        """Make a tenant's directory equal to ``wanted``, all or nothing.

        Direct chats and blocks that it does not name stay.

        Args:
            tenant: Whose directory.
            wanted: What it should be.
            dry_run: Only tell what would change.
            if_revision: Only if the directory is still at this revision.
            allow_removals: However much would be removed.

        Raises:
            Conflict: Too much would be removed; or the directory has another revision, or did
                not stand still for long enough.
            BridgeError: As :meth:`Directory.apply`.
        """
        for last in (False,) * (_TRIES - 1) + (True,):
            head, present = await self._read(tenant)
            if if_revision not in (None, head.revision):
                # Nothing to try again: let the directory itself refuse.
                return await self._directory.apply(tenant, [], if_revision=if_revision)
            # A large tenant takes a while; streams must not wait for it.
            planned = await asyncio.to_thread(self._planned, present, wanted, allow_removals)
            if dry_run:
                return Applied(head.revision, differences(present, planned))
            try:
                return await self._directory.apply(
                    tenant,
                    planned,
                    if_revision=head.revision,
                    bulk=True,
                    unless_suspended=True,
                )
            except Conflict:
                if last or (await self._directory.head(tenant)).revision == head.revision:
                    raise
        raise AssertionError("the last try returns or raises")

    async def _read(self, tenant: TenantId) -> tuple[Head, Snapshot]:
        async with self._database.snapshot() as connection:
            head = await stored.head(connection, tenant)
            return head, await stored.snapshot(connection, tenant)

    def _planned(self, present: Snapshot, wanted: Snapshot, allow_removals: bool) -> list[Change]:
        if not allow_removals:
            self._guard(removals(present, wanted))
        return changes(present, wanted)

    def _guard(self, found: Removals) -> None:
        if not found.exceeds(self._max_removals):
            return
        raise Conflict(
            f"This would remove {found.users} of {found.of_users} users, {found.portals} of "
            f"{found.of_portals} groups and meetups, and {found.members} of {found.of_members} "
            f"memberships. If that is right, say allow_removals=true.",
            fields={"query.allow_removals": "is needed to remove so much"},
        )
