"""Integration API: how far Matrix follows a tenant's whole directory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ..bridge.progress import JobRow, Progress
from ..core.errors import InvalidParam
from ..openmeet.tenants import Tenant
from .endpoint import Call, Endpoints
from .following import milliseconds
from .integration_paths import BASE, TenantPath

ENDPOINTS = Endpoints(tag="Integration", auth="service")

State = Literal["pending", "failed", "done"]

_STATES: Mapping[State, tuple[str, ...]] = {
    "pending": ("pending", "running", "retrying"),
    "failed": ("failed",),
    "done": ("done",),
}
_SHOWN: Mapping[str, State] = {
    state: shown for shown, states in _STATES.items() for state in states
}


class TenantStatus(msgspec.Struct, omit_defaults=True, kw_only=True):
    """How a tenant stands.

    `settled`: nothing is pending and nothing has failed, so Matrix is as the directory says at
    `revision`. `suspended`: the tenant is deprovisioned, and nothing may be written.
    `compared_at`: when the directory was last compared with OpenMeet's database as a whole, where
    that is configured; `comparison_error`: why it could not be since.
    """

    revision: int
    pending: int
    failed: int
    settled: bool
    suspended: bool
    compared_at: int | None = None
    comparison_error: str | None = None


class JobsQuery(msgspec.Struct):
    """Which jobs."""

    state: State | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Annotated[str, Meta(description="`next` of the page before.", max_length=400)] | None = (
        None
    )


class Job(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What is done, or to be done, so that Matrix follows for one thing.

    `kind` is `user`, `group`, `meetup`, `direct`, or one of the bridge's own (`space`, `compare`,
    `erasure`). `wanted_at`: when it was last asked for; `settled_at`: when it was last done.
    """

    kind: str
    slug: str
    state: State
    attempts: int
    error: str | None = None
    wanted_at: int
    settled_at: int | None = None
    took_ms: int | None = None


class Jobs(msgspec.Struct, omit_defaults=True):
    """A page of jobs by kind and slug. Without `next` it is the last one."""

    jobs: list[Job]
    next: str | None = None


class IntegrationProgress:
    """The handlers that tell how a tenant stands.

    Args:
        progress: Knows it.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    @ENDPOINTS.get(BASE + "/status")
    async def tenant_status(self, call: Call[Tenant, TenantPath, None, None]) -> TenantStatus:
        """How far Matrix follows the whole directory of the tenant."""
        found = await self._progress.standing(call.caller.id)
        head = found.head
        return TenantStatus(
            revision=head.revision,
            pending=found.pending,
            failed=found.failed,
            settled=not found.pending and not found.failed,
            suspended=head.suspended,
            compared_at=None if head.compared_at is None else milliseconds(head.compared_at),
            comparison_error=head.comparison_error,
        )

    @ENDPOINTS.get(BASE + "/jobs")
    async def jobs(self, call: Call[Tenant, TenantPath, JobsQuery, None]) -> Jobs:
        """The jobs of the tenant, page by page: what is pending, what failed and why."""
        query = call.query
        states = () if query.state is None else _STATES[query.state]
        found = await self._progress.jobs(
            call.caller.id, states, _after(query.after), query.limit + 1
        )
        lines = [_job(row) for row in found[: query.limit]]
        more = len(found) > query.limit
        return Jobs(lines, f"{lines[-1].kind}:{lines[-1].slug}" if more else None)


def _job(row: JobRow) -> Job:
    return Job(
        kind=row.kind,
        slug=row.slug,
        state=_SHOWN[row.state],
        attempts=row.attempts,
        error=row.error,
        wanted_at=milliseconds(row.wanted_at),
        settled_at=None if row.settled_at is None else milliseconds(row.settled_at),
        took_ms=row.took_ms,
    )


def _after(cursor: str | None) -> tuple[str, str] | None:
    if cursor is None:
        return None
    kind, colon, slug = cursor.partition(":")
    if not colon:
        raise InvalidParam(
            "A parameter of the query cannot be used.",
            fields={"query.after": "is not the `next` of a page"},
        )
    return kind, slug
