"""Provisioning from an operator's desk: what is to be there, the feeding, and the report of it."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from ..bridge.feeding import Feeding, Load, Progress
from ..bridge.provisioning import Provisioning, Rates
from ..core.comparison import Problem
from ..core.errors import ConfigError, InvalidParam
from ..core.ids import TenantId
from ..core.provision_plan import Plan, Unit, Work
from ..storage.job_overview import JobRow
from .desk import Desk
from .lines import Lines

DATABASE = "database"
_SHOWN_COMPLAINTS = 20


@dataclass(frozen=True, slots=True)
class Planned:
    """One tenant's plan.

    Attributes:
        problems: What of the source cannot be used.
    """

    tenant: TenantId
    plan: Plan
    problems: Sequence[Problem] = ()


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast, and who is told.

    Attributes:
        window: Most unsettled jobs at once.
        rate: Most users and rooms written a second; None: as many as the window allows.
        tell: Called with how far it is, a few times a second.
    """

    window: int
    rate: float | None
    tell: Callable[[Progress], None]


@dataclass(slots=True)
class Report:
    """What became of a provisioning or deprovisioning, for machines and for later.

    Attributes:
        finished: All jobs came to an end: done, or failed for good. False: it was interrupted.
        done: What Matrix has more than before; negative: less.
        rates: The same for each second, never negative.
        problems: What could not be used or written, by tenant.
        failures: Jobs that failed for good.
    """

    command: str
    tenants: Sequence[TenantId]
    planned: Mapping[str, Any]
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    seconds: float = 0.0
    finished: bool = False
    progress: Progress = field(default_factory=Progress)
    done: Work = field(default_factory=Work)
    rates: Mapping[str, float] = field(default_factory=dict)
    problems: list[Mapping[str, str]] = field(default_factory=list)
    failures: Sequence[JobRow] = ()

    @property
    def good(self) -> bool:
        """Whether all is settled and nothing was left out."""
        return self.finished and not self.problems and not self.failures

    def write(self, file: Path) -> None:
        """Write it as JSON."""
        document = msgspec.json.format(msgspec.json.encode(self), indent=2)
        file.write_bytes(document + b"\n")


class Provisioner:
    """Provisions and deprovisions tenants.

    Args:
        desk: All that is needed.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._provisioning = Provisioning(desk.database, desk.rules, desk.config.rooms.jobs_at_once)

    async def plans(self, tenants: Sequence[TenantId], source: str) -> list[Planned]:
        """Return what must be done so that tenants hold what a source says.

        Args:
            tenants: Whose; exactly one where the source is lines.
            source: ``database``, ``-`` for standard input, or the path of a file.

        Raises:
            ConfigError: The source cannot be used.
            InvalidParam: A line is bad.
        """
        if source == DATABASE:
            return await self._from_database(tenants)
        if len(tenants) != 1:
            raise ConfigError("--from", None, source, "lines are of one tenant: name it (--tenant)")
        return [await self._from_lines(tenants[0], _lines_of(source))]

    async def rates(self) -> Rates:
        """Return how fast it will be."""
        return await self._provisioning.rates()

    async def removals(self, tenants: Sequence[TenantId]) -> list[Load]:
        """Return what takes everything of tenants away."""
        return [Load(one, await self._provisioning.removal(one)) for one in tenants]

    async def provision(self, planned: Sequence[Planned], report: Report, pace: Pace) -> None:
        """Write what was planned and wait for the end; the report says what became of it.

        A tenant that was suspended is so until everything is written: else a comparison with
        OpenMeet's database would write the rest at once, whatever the window.
        """
        for one in planned:
            await self._provisioning.retry(one.tenant)
            report.problems += _told(one.tenant, one.problems)

        async def written() -> None:
            for one in planned:
                await self._provisioning.suspend(one.tenant, False)

        loads = [Load(one.tenant, one.plan.units) for one in planned]
        await self._feed(loads, report, pace, written)

    async def deprovision(self, loads: Sequence[Load], report: Report, pace: Pace) -> None:
        """Take tenants away and wait for the end; OpenMeet's database fills them no more."""
        for load in loads:
            await self._provisioning.suspend(load.tenant, True)
            await self._provisioning.retry(load.tenant)
        await self._feed(loads, report, pace, _nothing)

    async def _feed(
        self,
        loads: Sequence[Load],
        report: Report,
        pace: Pace,
        written: Callable[[], Awaitable[None]],
    ) -> None:
        before = await self._there(report.tenants)

        def tell(progress: Progress) -> None:
            report.progress = progress
            pace.tell(progress)

        feeding = Feeding(
            self._desk.database,
            self._desk.directory,
            window=pace.window,
            rate=pace.rate,
            tell=tell,
            written=written,
        )
        try:
            for tenant, problem in await feeding.run(loads):
                report.problems += _told(tenant, [problem])
            report.finished = True
        finally:
            report.seconds = (datetime.now(UTC) - report.started_at).total_seconds()
            after = await self._there(report.tenants)
            report.done = Work(*(new - old for new, old in zip(after, before, strict=True)))
            report.failures = await self._provisioning.failures(report.tenants)
            report.rates = _rates(report)

    async def _there(self, tenants: Sequence[TenantId]) -> tuple[int, int, int]:
        ghosts = rooms = joins = 0
        for tenant in tenants:
            present = await self._provisioning.present(tenant)
            ghosts += len(present.registered)
            rooms += len(present.joined)
            joins += sum(present.joined.values())
        return ghosts, rooms, joins

    async def _from_database(self, tenants: Sequence[TenantId]) -> list[Planned]:
        planned = []
        for tenant in tenants:
            reading = await self._desk.openmeet.snapshot(tenant)
            plan = await self._provisioning.plan(tenant, reading.snapshot, reading.unknown)
            planned.append(Planned(tenant, plan, reading.problems))
        return planned

    async def _from_lines(self, tenant: TenantId, raw: Iterable[bytes]) -> Planned:
        present = await self._provisioning.present(tenant)
        lines = Lines(tenant, self._desk.naming)
        lines.read(raw, present.directory.users)
        if lines.complaints:
            shown = [str(one) for one in lines.complaints[:_SHOWN_COMPLAINTS]]
            more = len(lines.complaints) - len(shown)
            shown += [f"… and {more} more"] if more else []
            raise InvalidParam("Nothing was changed. What is wrong:\n  " + "\n  ".join(shown))
        return Planned(tenant, await self._provisioning.plan(tenant, lines.snapshot))


async def _nothing() -> None:
    return None


def _lines_of(source: str) -> list[bytes]:
    if source == "-":
        return sys.stdin.buffer.read().splitlines()
    try:
        return Path(source).read_bytes().splitlines()
    except OSError as error:
        raise ConfigError("--from", None, source, f"cannot be read: {error.strerror}") from error


def _told(tenant: TenantId, problems: Iterable[Problem]) -> list[Mapping[str, str]]:
    return [
        {"tenant": tenant, "table": one.table, "id": one.id, "reason": one.reason}
        for one in problems
    ]


def _rates(report: Report) -> dict[str, float]:
    done = report.done
    return {
        f"{name}_per_second": round(abs(count) / max(report.seconds, 0.001), 2)
        for name, count in (("ghosts", done.ghosts), ("rooms", done.rooms), ("joins", done.joins))
    }


def summary_of(planned: Sequence[Planned]) -> dict[str, Any]:
    """Return plans as the report and ``--json`` show them."""
    return {
        one.tenant: {
            "write": one.plan.tallies,
            "matrix": one.plan.work,
            "problems": list(one.problems),
        }
        for one in planned
    }


def removals_of(loads: Sequence[Load]) -> dict[str, dict[str, int]]:
    """Return what a deprovisioning takes away, as the report shows it."""
    return {load.tenant: _by_kind(load.units) for load in loads}


def _by_kind(units: Iterable[Unit]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for unit in units:
        counts[unit.kind] = counts.get(unit.kind, 0) + 1
    return counts


def work_of(planned: Sequence[Planned]) -> Work:
    """Return what Matrix lacks, over all tenants."""
    works = [one.plan.work for one in planned]
    return Work(
        sum(one.ghosts for one in works),
        sum(one.rooms for one in works),
        sum(one.joins for one in works),
    )
