"""What is kept and told of comparisons: in the directory's head, in the metrics and in the log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from ..core.changes import Difference
from ..core.comparison import Problem, Removals
from ..core.errors import BridgeError, Unavailable
from ..core.ids import TenantId
from ..storage import directory
from ..storage.database import Database
from ..storage.directory import Head
from ..telemetry import COMPARISON_AGE, COMPARISON_PROBLEMS, COMPARISONS

log = structlog.get_logger(__name__)

_SHOWN_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of a comparison.

    Attributes:
        differences: What changed, or would.
        problems: What of OpenMeet's cannot be used.
        revision: The directory's, afterwards.
        refused: So much would have been removed that nothing was changed.
    """

    differences: Sequence[Difference]
    problems: Sequence[Problem]
    revision: int
    refused: Removals | None = None


class Notes:
    """Keeps and tells how comparisons ended.

    Args:
        database: Where the heads are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._told: dict[TenantId, set[Problem]] = defaultdict(set)

    @contextmanager
    def counted(self, extent: str) -> Iterator[None]:
        """Count a comparison that fails."""
        try:
            yield
        except BridgeError:
            COMPARISONS.labels(extent, "failed").inc()
            raise

    def ended(self, tenant: TenantId, extent: str, compared: Compared) -> None:
        """Count a comparison that came to its end, and log what is new."""
        outcome = "done" if compared.refused is None else "refused"
        COMPARISONS.labels(extent, outcome).inc()
        if compared.refused is not None:
            log.error("comparison.refused", tenant=tenant, reason=refusal(compared.refused))
        if compared.differences:
            log.info("comparison.changed", tenant=tenant, differences=len(compared.differences))
        self._tell_problems(tenant, compared.problems)

    async def whole(self, tenant: TenantId, compared: Compared, up_to: datetime | None) -> None:
        """Keep how a comparison of everything ended."""
        self.ended(tenant, "full", compared)
        COMPARISON_PROBLEMS.labels(tenant).set(len(compared.problems))
        self._told[tenant] = set(compared.problems)
        error = None if compared.refused is None else refusal(compared.refused)
        async with self._database.connection() as connection:
            await directory.compared(connection, tenant, up_to, error)

    async def whole_failed(self, tenant: TenantId, error: BridgeError) -> None:
        """Keep why a comparison of everything failed; the bridge's database may be away itself."""
        try:
            async with self._database.connection() as connection:
                await directory.compared(connection, tenant, None, error.message)
        except Unavailable as away:
            log.warning("comparison.not_noted", tenant=tenant, error=away.message)

    async def seen(self, tenant: TenantId, up_to: datetime) -> None:
        """Keep up to which moment OpenMeet's changes have been followed."""
        async with self._database.connection() as connection:
            await directory.seen(connection, tenant, up_to)

    def _tell_problems(self, tenant: TenantId, problems: Sequence[Problem]) -> None:
        fresh = [problem for problem in problems if problem not in self._told[tenant]]
        self._told[tenant].update(fresh)
        for problem in fresh[:_SHOWN_PROBLEMS]:
            log.warning(
                "comparison.problem",
                tenant=tenant,
                table=problem.table,
                id=problem.id,
                reason=problem.reason,
            )


def age(tenant: TenantId, head: Head) -> float | None:
    """Return, and show, how many seconds ago a tenant was last compared as a whole."""
    if head.compared_at is None:
        return None
    seconds = max(0.0, (datetime.now(UTC) - head.compared_at).total_seconds())
    COMPARISON_AGE.labels(tenant).set(seconds)
    return seconds


def refusal(found: Removals) -> str:
    """Return, for an operator, why a comparison changed nothing."""
    return (
        f"It would remove {found.users} of {found.of_users} users, {found.portals} of "
        f"{found.of_portals} groups and meetups, and {found.members} of {found.of_members} "
        "memberships; nothing was changed. If OpenMeet's database is right, an operator says so."
    )
