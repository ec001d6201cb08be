"""The comparison: makes the directory equal to OpenMeet's own database, again and again.

Rows that say when they changed are looked at often; now and then everything is, which is the only
way to see what was deleted. A hint of OpenMeet's makes a job for one thing. Whatever the reason,
the comparison decides: a lost or repeated or wrong hint does no harm.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from ..core import hints
from ..core.changes import Change, Difference
from ..core.comparison import Removals, changes, removals
from ..core.differences import differences
from ..core.directory import Snapshot
from ..core.errors import BridgeError, Conflict, InvalidParam
from ..core.hints import Subject
from ..core.ids import TenantId
from ..openmeet.database import OpenMeetDatabase, Reading
from ..storage import directory as stored
from ..storage import directory_part, jobs
from ..storage.database import Database
from ..storage.directory import Head
from .comparison_notes import Compared, Notes, age
from .directory import Directory
from .partial import Partial
from .slices import Moved, Outcome, Slices

log = structlog.get_logger(__name__)

COMPARE = "compare"
"""Kind of the job that compares one thing; its slug is ``meetup/12`` or ``group/@slug``."""

_TRIES = 5
_MANY = 1000
_HINT_DELAY = 1.0  # OpenMeet hints before it commits, and often several times
_EARLY_HINT_DELAY = 10.0
_REFUSED_DELAY = 30.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """When comparisons are made, in seconds.

    Attributes:
        interval: Between two looks for what changed.
        full_interval: Between two comparisons of everything.
    """

    interval: float = 30.0
    full_interval: float = 900.0


@dataclass(frozen=True, slots=True)
class _Plan:
    changes: Sequence[Change]
    removals: Removals


class Comparison:
    """Compares tenants' directories with OpenMeet's database.

    Args:
        database: Where the directory is read.
        directory: Where it is written.
        source: OpenMeet's database.
        tenants: Whose.
        schedule: When.
        max_removals: Larger parts of a tenant are not removed without an operator's word.
        wake: Called when there may be a job.
    """

    def __init__(
        self,
        database: Database,
        directory: Directory,
        source: OpenMeetDatabase,
        tenants: Sequence[TenantId],
        *,
        schedule: Schedule,
        max_removals: float,
        wake: Callable[[], None],
    ) -> None:
        self._database = database
        self._directory = directory
        self._source = source
        self._tenants = tenants
        self._schedule = schedule
        self._max_removals = max_removals
        self._wake = wake
        self._partial = Partial(database, source)
        self._notes = Notes(database)
        self._locks: dict[TenantId, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._next_full: dict[TenantId, float] = {}

    async def run(self) -> None:
        """Compare for ever, one tenant after the other."""
        while True:
            for tenant in self._tenants:
                await self._visit(tenant)
            await asyncio.sleep(_jittered(self._schedule.interval))

    async def _visit(self, tenant: TenantId) -> None:
        try:
            head = await self._directory.head(tenant)
            if head.suspended:
                return
            if self._is_full_due(tenant, age(tenant, head)):
                await self.compare(tenant)
            else:
                await self.catch_up(tenant)
        except BridgeError as error:
            log.warning("comparison.failed", tenant=tenant, error=error.message)
        except Exception:
            # A bug that one tenant's rows bring to light must not stop the others.
            log.exception("comparison.crashed", tenant=tenant)

    def _is_full_due(self, tenant: TenantId, seconds: float | None) -> bool:
        now = asyncio.get_running_loop().time()
        if tenant not in self._next_full:
            left = 0.0 if seconds is None else self._schedule.full_interval - seconds
            self._next_full[tenant] = now + left
        return now >= self._next_full[tenant]

    # Everything

    async def compare(
        self, tenant: TenantId, *, dry_run: bool = False, allow_removals: bool = False
    ) -> Compared:
        """Compare everything.

        Args:
            tenant: Whose directory.
            dry_run: Only tell what would change; ``refused`` tells whether it would be refused.
            allow_removals: However much would be removed.

        Raises:
            Unavailable: OpenMeet's database or the bridge's is away, or lacks what is needed.
            Conflict: The tenant is suspended.
            NotFound: There is no such tenant.
        """
        async with self._locks[tenant]:
            try:
                with self._notes.counted("full"):
                    compared, up_to = await self._compare(tenant, dry_run, allow_removals)
            except BridgeError as error:
                if not dry_run:
                    await self._notes.whole_failed(tenant, error)
                raise
            if not dry_run:
                await self._notes.whole(tenant, compared, up_to)
                pause = _jittered(self._schedule.full_interval)
                self._next_full[tenant] = asyncio.get_running_loop().time() + pause
        return compared

    async def _compare(
        self, tenant: TenantId, dry_run: bool, allow_removals: bool
    ) -> tuple[Compared, datetime | None]:
        outcome = Outcome()
        for last in (False,) * (_TRIES - 1) + (True,):
            reading = await self._source.snapshot(tenant)
            head, present = await self._present(tenant)
            # A large tenant takes a while; streams must not wait for it.
            plan = await asyncio.to_thread(_planned, present, reading)
            exceeding = plan.removals.exceeds(self._max_removals) and not allow_removals
            refused = plan.removals if exceeding else None
            if dry_run or refused:
                found = await asyncio.to_thread(_told, present, plan) if dry_run else []
                return Compared(found, reading.problems, head.revision, refused), None
            try:
                await self._write(tenant, plan, outcome, None if last else head.revision)
                break
            except Moved:
                continue
        return await self._compared(tenant, reading, outcome), reading.up_to

    async def _present(self, tenant: TenantId) -> tuple[Head, Snapshot]:
        async with self._database.snapshot() as connection:
            head = await stored.head(connection, tenant)
            _refuse_suspended(head)
            return head, await stored.snapshot(connection, tenant)

    # What changed, and single things

    async def catch_up(self, tenant: TenantId) -> Compared:
        """Compare what OpenMeet's rows say has changed; everything, where that is much.

        Raises as :meth:`compare` does.
        """
        head = await self._directory.head(tenant)
        if head.compared_up_to is None:
            return Compared([], [], head.revision)  # the full comparison comes first
        async with self._locks[tenant]:
            with self._notes.counted("incremental"):
                changed = await self._source.changed_since(tenant, head.compared_up_to)
                if len(changed.subjects) <= _MANY:
                    compared = await self._compare_some(tenant, changed.subjects)
                    if compared.refused is None:
                        await self._notes.seen(tenant, changed.up_to)
                    self._notes.ended(tenant, "incremental", compared)
                    return compared
        return await self.compare(tenant)

    async def compare_one(self, tenant: TenantId, subject: Subject) -> Compared:
        """Compare one user, or one group or meetup with who is in it.

        Raises as :meth:`compare` does.
        """
        # Without the lock: jobs must not queue up behind a comparison of everything. Whoever of the
        # two comes late with its changes finds another revision, and looks again.
        with self._notes.counted("single"):
            compared = await self._compare_some(tenant, frozenset([subject]))
        self._notes.ended(tenant, "single", compared)
        return compared

    async def compare_subject(self, tenant: TenantId, slug: str) -> None:
        """Do a job of the kind :data:`COMPARE`. Raises as :meth:`compare` does."""
        if tenant not in self._tenants or (await self._directory.head(tenant)).suspended:
            return
        try:
            subject = Subject.parse(slug)
        except InvalidParam:
            log.warning("comparison.strange_job", tenant=tenant, slug=slug)
            return
        await self.compare_one(tenant, subject)

    async def _compare_some(self, tenant: TenantId, subjects: frozenset[Subject]) -> Compared:
        outcome = Outcome()
        if not subjects:
            return Compared([], [], (await self._directory.head(tenant)).revision)
        for last in (False,) * (_TRIES - 1) + (True,):
            part = await self._partial.read(tenant, subjects)
            _refuse_suspended(part.head)
            plan = await asyncio.to_thread(_planned, part.present, part.reading)
            refused = await self._refused(tenant, plan.removals)
            if refused is not None:
                return Compared([], part.reading.problems, part.head.revision, refused)
            try:
                await self._write(tenant, plan, outcome, None if last else part.head.revision)
                break
            except Moved:
                continue
        return await self._compared(tenant, part.reading, outcome)

    async def _refused(self, tenant: TenantId, gone: Removals) -> Removals | None:
        """Return how much would go, if OpenMeet's tables look as if they had been emptied."""
        if not (gone.users or gone.portals):
            return None
        theirs = await self._source.counts(tenant)
        async with self._database.connection() as connection:
            users, portals = await directory_part.counts(connection, tenant)
        found = Removals(
            users=max(gone.users, users - theirs.users),
            portals=max(gone.portals, portals - theirs.portals),
            of_users=users,
            of_portals=portals,
        )
        return found if found.exceeds(self._max_removals) else None

    # Hints

    async def hint(self, tenant: TenantId, event: str, payload: Mapping[str, Any]) -> list[str]:
        """Take one of OpenMeet's domain events as a hint; return what will be compared.

        Many hints of one thing are one comparison of it. They are kept when this returns. Of an
        event that is unknown, or a tenant that is suspended, nothing is.

        Raises:
            InvalidParam: The event is of another tenant.
            Unavailable: The database is away.
        """
        stated = payload.get("tenantId")
        if stated is not None and str(stated) != tenant:
            raise InvalidParam(
                "The event is of another tenant.", fields={"payload.tenantId": "another tenant"}
            )
        found = sorted(str(subject) for subject in hints.subjects(event, payload))
        if not found or (await self._directory.head(tenant)).suspended:
            return []
        delay = _EARLY_HINT_DELAY if hints.is_early(event) else _HINT_DELAY
        await self._want(tenant, found, delay)
        return found

    async def _want(self, tenant: TenantId, subjects: Sequence[str], delay: float) -> None:
        async with self._database.transaction() as connection:
            for subject in subjects:
                await jobs.want(connection, tenant, COMPARE, subject, delay=delay)
        self._wake()

    # Writing

    async def _write(
        self, tenant: TenantId, plan: _Plan, outcome: Outcome, revision: int | None
    ) -> None:
        await Slices(self._directory, tenant, revision).write(plan.changes, outcome)

    async def _compared(self, tenant: TenantId, reading: Reading, outcome: Outcome) -> Compared:
        if outcome.later:
            await self._want(tenant, sorted(map(str, outcome.later)), _REFUSED_DELAY)
        revision = (await self._directory.head(tenant)).revision
        problems = [*reading.problems, *outcome.problems]
        return Compared(outcome.differences, problems, revision)


def _planned(present: Snapshot, reading: Reading) -> _Plan:
    wanted = reading.snapshot
    return _Plan(changes(present, wanted, kept=reading.unknown), removals(present, wanted))


def _told(present: Snapshot, plan: _Plan) -> list[Difference]:
    return differences(present, plan.changes)


def _refuse_suspended(head: Head) -> None:
    if head.suspended:
        raise Conflict(
            "The tenant is deprovisioned: nothing is taken from OpenMeet until it is provisioned "
            "again."
        )


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.9, 1.1)  # noqa: S311  (jitter, not a secret)
