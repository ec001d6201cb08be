"""How far Matrix follows a tenant's whole directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.ids import TenantId
from ..storage import directory, job_overview
from ..storage.database import Database
from ..storage.directory import Head
from ..storage.job_overview import JobRow

__all__ = ["JobRow", "Progress", "Standing"]

_ENDED = ("done", "failed")


@dataclass(frozen=True, slots=True)
class Standing:
    """How a tenant stands.

    Attributes:
        head: Of the directory.
        pending: Jobs that are to be done.
        failed: Jobs that the homeserver refuses for good.
    """

    head: Head
    pending: int
    failed: int


class Progress:
    """Tells how far Matrix follows.

    Args:
        database: Where the jobs are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def standing(self, tenant: TenantId) -> Standing:
        """Return how a tenant stands, at one moment."""
        async with self._database.snapshot() as connection:
            head = await directory.head(connection, tenant)
            sums = await job_overview.sums(connection, tenant)
        failed = sum(one.count for one in sums if one.state == "failed")
        pending = sum(one.count for one in sums if one.state not in _ENDED)
        return Standing(head, pending, failed)

    async def jobs(
        self, tenant: TenantId, states: Sequence[str], after: tuple[str, str] | None, limit: int
    ) -> list[JobRow]:
        """Return a page of a tenant's jobs, by kind and slug.

        Args:
            tenant: Whose.
            states: Only those in one of these; none: all.
            after: Kind and slug behind which to begin.
            limit: At most so many.
        """
        place = None if after is None else (tenant, *after)
        async with self._database.connection() as connection:
            return await job_overview.listed(connection, tenant, states, limit, place)
