"""``provision`` and ``deprovision``: a whole tenant to Matrix, and away from it."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .desk import at_desk, needs_bridge
from .exits import EXIT_CODES, FAILED, OK
from .options import Command, config_option
from .output import cell, duration, is_terminal, table
from .progress import shown

if TYPE_CHECKING:
    from ..app.desk import Desk
    from ..app.provisioning import Pace, Planned, Provisioner, Report
    from ..bridge.feeding import Load
    from ..core.ids import TenantId

_SHOWN = 20
_KINDS = {
    "user": "users",
    "group": "groups",
    "meetup": "meetups",
    "direct": "direct chats",
    "member": "memberships",
}


def _pace_options(command: Command) -> Command:
    """``--rate`` and ``--window``: how fast."""
    command = click.option(
        "--rate",
        type=click.FloatRange(min=0, min_open=True),
        help="Write at most so many users and rooms a second. Default: as the window allows.",
    )(command)
    return click.option(
        "--window",
        type=click.IntRange(min=1),
        default=200,
        show_default=True,
        help="At most so many unsettled jobs at once.",
    )(command)


def _running_options(command: Command) -> Command:
    """``--dry-run``, ``--report`` and ``--yes``."""
    command = click.option("--yes", is_flag=True, help="Do not ask; begin.")(command)
    command = click.option(
        "--report",
        "report_file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Write what came of it here, as JSON; also when it is interrupted.",
    )(command)
    return click.option("--dry-run", is_flag=True, help="Only show what would be done.")(command)


@click.command(epilog=EXIT_CODES)
@click.option(
    "--tenant", "tenants", metavar="ID", multiple=True, help="Whose; may be repeated. Default: all."
)
@click.option(
    "--from",
    "source",
    metavar="SOURCE",
    default="database",
    show_default=True,
    help="`database`: OpenMeet's own; a file with one JSON object a line; or - for standard input.",
)
@_pace_options
@_running_options
@config_option
def provision(
    tenants: tuple[str, ...],
    source: str,
    rate: float | None,
    window: int,
    dry_run: bool,
    report_file: Path | None,
    yes: bool,
    config_file: Path,
) -> None:
    """Bring all users, groups and meetups of tenants to Matrix. For the cutover.

    Shows first what is to be done and how long it may take. Then it writes everything into the
    directory, a slice at a time, while the running bridge makes users and rooms; changes that
    OpenMeet makes meanwhile go first. It waits until all is settled, and says what failed.

    Stop it whenever you like (Ctrl-C), or let it be killed: the same command goes on where it was.
    It only adds and corrects; what should not be there any more is removed by `sync`. A tenant
    that was deprovisioned is filled by OpenMeet's database again from now on.

    Lines are as the integration API describes: `{"type": "user", "slug": "ann", "name": "Ann"}`,
    `group`, `meetup` (with `members`) and `direct`. Nothing is changed if any line is bad.

    Exit code 0: all is settled. 1: something failed, was left out, or it was interrupted.

    \b
    Examples:
      openmeet-bridge provision --dry-run
      openmeet-bridge provision --report report.json
      openmeet-bridge provision --tenant lsdfaopkljdfs --from people.ndjson --window 100
      zcat people.ndjson.gz | openmeet-bridge provision --tenant lsdfaopkljdfs --from - --yes
    """

    async def plan(desk: Desk, work: Provisioner, report: Report) -> _Step | None:
        from ..app.provisioning import summary_of, work_of

        planned = await work.plans(_chosen(desk, tenants), source)
        report.tenants, report.planned = [one.tenant for one in planned], summary_of(planned)
        for one in planned:
            _show_plan(one)
        rates = await work.rates()
        said = "measured here" if rates.measured else "as benchmarked; yours may differ"
        whole = work_of(planned)
        click.echo(f"On Matrix: {whole.ghosts} users, {whole.rooms} rooms, {whole.joins} joins.")
        click.echo(
            f"That takes about {duration(rates.seconds(whole))} ({rates.ghosts:.1f} users, "
            f"{rates.rooms:.1f} rooms, {rates.joins:.1f} joins a second; {said})."
        )
        return lambda pace: work.provision(planned, report, pace)

    asked = _Asked("provision", rate, window, dry_run, report_file, yes)
    raise SystemExit(asked.run(config_file, plan))


@click.command(epilog=EXIT_CODES)
@click.option("--tenant", metavar="ID", required=True, help="Whose.")
@_pace_options
@_running_options
@config_option
def deprovision(
    tenant: str,
    rate: float | None,
    window: int,
    dry_run: bool,
    report_file: Path | None,
    yes: bool,
    config_file: Path,
) -> None:
    """Take a tenant away from Matrix: the way back of `provision`.

    Closes every room of the tenant and takes all its people out of them. From the first moment
    on, OpenMeet's database does not fill the directory any more, until `provision` is run again.
    Calls of the integration API still work: let OpenMeet stop them first, or what they write is
    made again.

    Closed rooms are not opened again: after another `provision`, rooms are new and empty.

    Stop it whenever you like: the same command goes on where it was.

    \b
    Examples:
      openmeet-bridge deprovision --tenant lsdfaopkljdfs --dry-run
      openmeet-bridge deprovision --tenant lsdfaopkljdfs --report report.json
    """

    async def plan(desk: Desk, work: Provisioner, report: Report) -> _Step | None:
        from ..app.provisioning import removals_of

        report.tenants = [desk.tenant(tenant)]
        loads = await work.removals(report.tenants)
        report.planned = removals_of(loads)
        _show_removal(loads)
        return lambda pace: work.deprovision(loads, report, pace)

    asked = _Asked("deprovision", rate, window, dry_run, report_file, yes)
    raise SystemExit(asked.run(config_file, plan))


_Step = Callable[["Pace"], Awaitable[None]]
_Planning = Callable[["Desk", "Provisioner", "Report"], Awaitable["_Step | None"]]


class _Asked:
    """One run, as the options ask for it: plan, ask, do, report."""

    def __init__(
        self,
        command: str,
        rate: float | None,
        window: int,
        dry_run: bool,
        report_file: Path | None,
        yes: bool,
    ) -> None:
        self._command = command
        self._rate = rate
        self._window = window
        self._dry_run = dry_run
        self._report_file = report_file
        self._yes = yes

    def run(self, config_file: Path, plan: _Planning) -> int:
        """Do it; return the exit code."""
        from ..app.provisioning import Report

        report = Report(self._command, [], {})
        try:
            begun = at_desk(config_file, lambda desk: self._at(desk, plan, report))
        except KeyboardInterrupt:
            click.echo(f"\nStopped. The same command goes on: {self._command}.", err=True)
            self._write(report)
            return FAILED
        self._write(report)
        if not begun:
            return OK
        _conclude(report)
        return OK if report.good else FAILED

    async def _at(self, desk: Desk, plan: _Planning, report: Report) -> bool:
        from ..app.provisioning import Pace, Provisioner

        step = await plan(desk, Provisioner(desk), report)
        if step is None or self._dry_run:
            return False
        self._ask()
        await needs_bridge(desk)
        with shown() as tell:
            await step(Pace(self._window, self._rate, tell))
        return True

    def _ask(self) -> None:
        if not self._yes and sys.stdin.isatty() and is_terminal():
            click.confirm("Begin?", abort=True)

    def _write(self, report: Report) -> None:
        if self._report_file is not None:
            report.write(self._report_file)


def _chosen(desk: Desk, tenants: tuple[str, ...]) -> list[TenantId]:
    return [desk.tenant(one) for one in dict.fromkeys(tenants)] or desk.tenants


def _show_plan(planned: Planned) -> None:
    click.echo(f"Tenant {cell(planned.tenant)}:")
    rows = [
        (name, tally.make, tally.change, tally.remove, tally.there)
        for kind, name in _KINDS.items()
        for tally in [planned.plan.tallies[kind]]
    ]
    titles = ("", "To make", "To change", "To remove", "There already")
    table(titles, rows, nothing="nothing")
    for problem in planned.problems[:_SHOWN]:
        click.echo(f"left out: {problem.table} {cell(problem.id)}: {problem.reason}", err=True)
    if len(planned.problems) > _SHOWN:
        click.echo(f"… and {len(planned.problems) - _SHOWN} more are left out", err=True)


def _show_removal(loads: list[Load]) -> None:
    from ..app.provisioning import removals_of

    for tenant, counts in removals_of(loads).items():
        parts = [f"{counts.get(kind, 0)} {name}" for kind, name in _KINDS.items()]
        click.echo(f"Tenant {cell(tenant)}: to remove: {', '.join(parts[:-1])}.")


def _conclude(report: Report) -> None:
    done, rates = report.done, report.rates
    click.echo(
        f"Done in {duration(report.seconds)}: {done.ghosts:+} users "
        f"({rates['ghosts_per_second']}/s), {done.rooms:+} rooms ({rates['rooms_per_second']}/s), "
        f"{done.joins:+} joins ({rates['joins_per_second']}/s)."
    )
    for one in report.problems[:_SHOWN]:
        click.echo(f"left out: {one['table']} {cell(one['id'])}: {one['reason']}", err=True)
    for job in report.failures[:_SHOWN]:
        click.echo(f"failed: {job.kind} {cell(job.slug)}: {cell(job.error)}", err=True)
    more = len(report.problems) + len(report.failures) - 2 * _SHOWN
    if more > 0:
        click.echo("More are in the report (--report), and in: openmeet-bridge jobs", err=True)
