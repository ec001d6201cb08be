"""Feeding the directory in slices, so that the bridge never has more to do than it may.

Nothing is kept of how far a feeding came: the directory and its jobs are that. Whoever is killed
in the middle plans again, and what is written already is no difference any more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ..core.changes import Change
from ..core.comparison import Problem, without
from ..core.errors import BridgeError, Unavailable
from ..core.ids import PortalKind, PortalRef, TenantId, UserSlug
from ..core.provision_plan import USER, Unit
from ..storage import instance, job_overview
from ..storage.database import Database
from .directory import Directory
from .ledger import SPACE

SLICE = 50
"""Most units in one SQL transaction: the tenant's directory is locked as long."""

KINDS = (USER, *(kind.value for kind in PortalKind), SPACE)
_POLL = 0.25
_LOOK_FOR_BRIDGE = 5.0
_PATIENCE_WITH_DATABASE = 120.0


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be written for one tenant."""

    tenant: TenantId
    units: Sequence[Unit]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a feeding is.

    Attributes:
        users: Users whom it concerns in all; so are ``rooms``.
        users_done: Those with whom the bridge is done, failed ones included.
        retrying: Jobs that failed and are tried again by themselves; ``error`` is of one of them.
        served: Whether a bridge works on the jobs.
    """

    users: int = 0
    users_done: int = 0
    rooms: int = 0
    rooms_done: int = 0
    retrying: int = 0
    error: str | None = None
    served: bool = True


@dataclass(slots=True)
class _Left:
    """What is not written yet, and what could not be."""

    units: deque[tuple[TenantId, Unit]]
    problems: list[tuple[TenantId, Problem]] = field(default_factory=list)
    users: set[tuple[TenantId, UserSlug]] = field(default_factory=set)
    portals: set[PortalRef] = field(default_factory=set)


class Feeding:
    """Feeds directories and waits until all is settled.

    Args:
        database: Where the jobs are.
        directory: Writes.
        window: Most unsettled jobs at once, over the tenants that are fed.
        rate: Most units a second; None: as many as the window allows.
        tell: Called with how far it is, a few times a second.
        written: Called once, when everything is in the directory and jobs are still to be done.
    """

    def __init__(
        self,
        database: Database,
        directory: Directory,
        *,
        window: int,
        rate: float | None,
        tell: Callable[[Progress], None],
        written: Callable[[], Awaitable[None]],
    ) -> None:
        self._database = database
        self._directory = directory
        self._window = window
        self._rate = rate
        self._tell = tell
        self._written: Callable[[], Awaitable[None]] | None = written
        self._served_at: float | None = None
        self._served = True

    async def run(self, loads: Sequence[Load]) -> list[tuple[TenantId, Problem]]:
        """Feed everything and wait for the end of all jobs; return what could not be written.

        Raises:
            Unavailable: The database is away, and stays away.
        """
        tenants = [load.tenant for load in loads]
        left = _Left(deque((load.tenant, unit) for load in loads for unit in load.units))
        concerned = await self._concerned(loads)
        clock = asyncio.get_running_loop().time
        began, given, away_since = clock(), 0, None
        while True:
            try:
                pending = await self._pending(tenants)
                await self._say(concerned, left, pending)
                if not left.units and self._written is not None:
                    await self._written()
                    self._written = None
                if not left.units and not pending.count:
                    return left.problems
                may = self._may(pending.count, given, clock() - began)
                given += await self._give(left, may)
                away_since = None
            except Unavailable:
                away_since = away_since or clock()
                if clock() - away_since > _PATIENCE_WITH_DATABASE:
                    raise
                may = 0
            if not may or not left.units:
                await asyncio.sleep(_POLL)

    def _may(self, pending: int, given: int, seconds: float) -> int:
        """Return how many units may be written now."""
        allowed = SLICE if self._rate is None else int(self._rate * seconds) + 1 - given
        return max(0, min(SLICE, allowed, self._window - pending))

    # Writing

    async def _give(self, left: _Left, count: int) -> int:
        """Write the next units, all of one tenant; return how many."""
        if not left.units or not count:
            return 0
        tenant = left.units[0][0]
        taken: list[Unit] = []
        for whose, unit in left.units:
            if whose != tenant or len(taken) == count:
                break
            taken.append(unit)
        await self._write(left, tenant, taken)
        for _ in taken:
            left.units.popleft()
        return len(taken)

    async def _write(self, left: _Left, tenant: TenantId, units: Sequence[Unit]) -> None:
        try:
            await self._apply(left, tenant, units)
        except Unavailable:
            raise
        except BridgeError:
            # One of them cannot be: the others must not suffer for it.
            for unit in units:
                await self._write_one(left, tenant, unit)

    async def _write_one(self, left: _Left, tenant: TenantId, unit: Unit) -> None:
        try:
            await self._apply(left, tenant, [unit])
        except Unavailable:
            raise
        except BridgeError as error:
            left.problems.append((tenant, Problem(unit.kind, unit.slug, error.message)))
            if unit.kind == USER:
                left.users.add((tenant, UserSlug(unit.slug)))
            else:
                left.portals.add(PortalRef(tenant, PortalKind(unit.kind), unit.slug))

    async def _apply(self, left: _Left, tenant: TenantId, units: Sequence[Unit]) -> None:
        users = {slug for whose, slug in left.users if whose == tenant}
        changes: list[Change] = []
        for unit in units:
            kept = (without(change, users, left.portals) for change in unit.changes)
            changes += [change for change in kept if change is not None]
        await self._directory.apply(tenant, changes, bulk=True)

    # Looking

    async def _concerned(self, loads: Sequence[Load]) -> set[tuple[TenantId, str, str]]:
        found = {(load.tenant, unit.kind, unit.slug) for load in loads for unit in load.units}
        for load in loads:
            async with self._database.connection() as connection:
                waiting = await job_overview.unsettled_subjects(connection, load.tenant)
            found |= {(load.tenant, kind, slug) for kind, slug in waiting if kind in KINDS}
        return found

    async def _pending(self, tenants: Sequence[TenantId]) -> job_overview.Pending:
        async with self._database.connection() as connection:
            return await job_overview.pending(connection, tenants, KINDS)

    async def _say(
        self,
        concerned: set[tuple[TenantId, str, str]],
        left: _Left,
        pending: job_overview.Pending,
    ) -> None:
        users = sum(kind == USER for _, kind, _ in concerned)
        rooms = sum(kind not in (USER, SPACE) for _, kind, _ in concerned)
        users_left, rooms_left = _split((unit.kind, 1) for _, unit in left.units)
        users_pending, rooms_pending = _split(pending.by_kind.items())
        self._tell(
            Progress(
                users,
                max(0, users - users_left - users_pending),
                rooms,
                max(0, rooms - rooms_left - rooms_pending),
                pending.retrying,
                pending.error,
                await self._is_served(),
            )
        )

    async def _is_served(self) -> bool:
        now = asyncio.get_running_loop().time()
        if self._served_at is None or now - self._served_at >= _LOOK_FOR_BRIDGE:
            async with self._database.connection() as connection:
                self._served = await instance.is_served(connection)
            self._served_at = now
        return self._served


def _split(counts: Iterable[tuple[str, int]]) -> tuple[int, int]:
    """Return how many are users, and how many rooms."""
    users = rooms = 0
    for kind, count in counts:
        if kind == USER:
            users += count
        elif kind != SPACE:
            rooms += count
    return users, rooms
