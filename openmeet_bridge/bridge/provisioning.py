"""Provisioning: bringing a whole tenant to Matrix, and taking it away again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from ..core.changes import DeletePortal, DeleteUser
from ..core.directory import Snapshot
from ..core.ids import PortalKind, TenantId
from ..core.provision_plan import USER, Plan, Present, Unit, Work, plan
from ..core.rules import Rules
from ..storage import directory, job_overview, overview
from ..storage.database import Database
from ..storage.job_overview import JobRow
from .feeding import KINDS

GHOSTS_PER_SECOND = 15.0
ROOMS_PER_SECOND = 0.9
JOINS_PER_SECOND = 5.3
"""What a Synapse of one process with SQLite did in the benchmark of provisioning, on two cores
that had other work as well: rather too slow than too fast. A room comes with its space."""

_ENOUGH_USERS = 20
_ENOUGH_ROOMS = 5
_MOST_FAILURES = 10_000


@dataclass(frozen=True, slots=True)
class Rates:
    """How fast Matrix follows.

    Attributes:
        ghosts: Users a second; ``rooms`` and ``joins`` likewise.
        measured: Whether this database's own jobs say so; else they are the benchmark's.
    """

    ghosts: float = GHOSTS_PER_SECOND
    rooms: float = ROOMS_PER_SECOND
    joins: float = JOINS_PER_SECOND
    measured: bool = False

    def seconds(self, work: Work) -> float:
        """Return how long work takes."""
        return work.ghosts / self.ghosts + work.rooms / self.rooms + work.joins / self.joins


class Provisioning:
    """Plans, and tells what became of it.

    Args:
        database: The directory and the projections.
        rules: Of each tenant.
        at_once: How many jobs the bridge runs at the same time.
    """

    def __init__(
        self, database: Database, rules: Callable[[TenantId], Rules], at_once: int
    ) -> None:
        self._database = database
        self._rules = rules
        self._at_once = at_once

    async def present(self, tenant: TenantId) -> Present:
        """Return what there is of a tenant, at one moment."""
        async with self._database.snapshot() as connection:
            return Present(
                await directory.snapshot(connection, tenant),
                await overview.overrides(connection, tenant),
                await overview.registered(connection, tenant),
                await overview.joined(connection, tenant),
            )

    async def plan(
        self, tenant: TenantId, said: Snapshot, kept: Collection[str] = frozenset()
    ) -> Plan:
        """Return what must be done so that a tenant holds what was said."""
        return plan(await self.present(tenant), said, self._rules(tenant), kept=kept)

    async def removal(self, tenant: TenantId) -> list[Unit]:
        """Return what takes everything of a tenant away: rooms first, then people."""
        async with self._database.snapshot() as connection:
            there = await directory.snapshot(connection, tenant)
        rooms = [Unit(ref.kind.value, ref.slug, (DeletePortal(ref),)) for ref in there.portals]
        return [*rooms, *(Unit(USER, slug, (DeleteUser(slug),)) for slug in there.users)]

    async def rates(self) -> Rates:
        """Return how fast Matrix followed until now, where enough has been done to tell."""
        async with self._database.connection() as connection:
            users = await job_overview.measured(connection, [USER])
            rooms = await job_overview.measured(connection, [*PortalKind])
        usual = Rates()
        ghosts, slower = usual.ghosts, 1.0
        if users.count >= _ENOUGH_USERS and users.seconds:
            ghosts = users.count * self._at_once / users.seconds
        if rooms.count >= _ENOUGH_ROOMS and rooms.seconds:
            expected = usual.seconds(Work(0, rooms.count, rooms.members))
            slower = rooms.seconds / self._at_once / expected
        measured = ghosts != usual.ghosts or slower != 1.0
        return Rates(ghosts, usual.rooms / slower, usual.joins / slower, measured)

    async def suspend(self, tenant: TenantId, suspended: bool) -> None:
        """Say whether OpenMeet's database may fill a tenant's directory by itself."""
        async with self._database.transaction() as connection:
            await directory.lock(connection, tenant)
            await directory.suspend(connection, tenant, suspended)

    async def retry(self, tenant: TenantId) -> int:
        """Let what failed before be tried again; return how many jobs that are."""
        async with self._database.connection() as connection:
            return await job_overview.retry(connection, tenant)

    async def failures(self, tenants: Sequence[TenantId]) -> list[JobRow]:
        """Return the jobs that failed for good."""
        found: list[JobRow] = []
        for tenant in tenants:
            async with self._database.connection() as connection:
                found += await job_overview.listed(connection, tenant, ["failed"], _MOST_FAILURES)
        return [job for job in found if job.kind in KINDS]
