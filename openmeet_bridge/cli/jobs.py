"""``jobs``: what is pending, done, failed, and why."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .desk import NOBODY, at_desk
from .exits import EXIT_CODES, FAILED, OK
from .options import config_option, json_option, limit_option
from .output import document, is_terminal, table

if TYPE_CHECKING:
    from ..app.desk import Desk
    from ..storage.job_overview import JobRow, Sum

_STATES = {
    "pending": ("pending", "running", "retrying"),
    "failed": ("failed",),
    "done": ("done",),
}
_TITLES = ("Tenant", "Kind", "Slug", "State", "Tries", "Next try", "Error")
_LIMIT = 1000
_LINE_SECONDS = 10.0
_SCREEN_SECONDS = 1.0


@click.group(invoke_without_command=True, epilog=EXIT_CODES)
@click.option("--state", type=click.Choice(sorted(_STATES)), help="Only these. Default: not done.")
@click.option("--tenant", metavar="ID", help="Only this tenant's. Default: all.")
@limit_option
@click.option("--watch", is_flag=True, help="Look again and again until nothing is pending.")
@json_option
@config_option
@click.pass_context
def jobs(
    context: click.Context,
    state: str | None,
    tenant: str | None,
    limit: int | None,
    watch: bool,
    as_json: bool,
    config_file: Path,
) -> None:
    """Show what the bridge has still to do, what failed, and why.

    A job makes one user or one room equal to the directory. `pending`: it will be done;
    `running`; `retrying`: it failed and is tried again by itself; `failed`: the homeserver refuses
    for good, and nothing happens until something changes or you say `jobs retry`.

    With --watch it ends when nothing is pending: with exit code 1 where something failed.

    \b
    Examples:
      openmeet-bridge jobs
      openmeet-bridge jobs --state failed
      openmeet-bridge jobs --watch
      openmeet-bridge jobs retry
    """
    if context.invoked_subcommand is not None:
        return
    if watch:
        raise SystemExit(at_desk(config_file, lambda desk: _watch(desk, tenant)))

    async def work(desk: Desk) -> tuple[list[JobRow], list[Sum], bool]:
        from ..storage import job_overview

        whose = None if tenant is None else desk.tenant(tenant)
        states = _STATES[state] if state else (*_STATES["pending"], *_STATES["failed"])
        async with desk.database.connection() as connection:
            rows = await job_overview.listed(connection, whose, states, limit or _LIMIT)
            return rows, await job_overview.sums(connection, whose), await desk.is_served()

    rows, sums, served = at_desk(config_file, work)
    if as_json:
        document({"served": served, "sums": sums, "jobs": rows})
        return
    shown = [
        (one.tenant, one.kind, one.slug, one.state, one.attempts, _next_try(one), one.error)
        for one in rows
    ]
    table(_TITLES, shown, nothing="nothing to show")
    click.echo(_summary(sums), err=True)
    if limit is None and len(rows) == _LIMIT:
        click.echo(f"Only the first {_LIMIT} are shown; --limit shows more.", err=True)
    if not served and _count(sums, "pending"):
        click.echo(NOBODY, err=True)


@jobs.command("retry", epilog=EXIT_CODES)
@click.option("--failed", is_flag=True, help="Only what failed for good.")
@click.option("--tenant", metavar="ID", help="Only this tenant's. Default: all.")
@config_option
def retry(failed: bool, tenant: str | None, config_file: Path) -> None:
    """Try at once what failed, and what waits for its next try.

    Harmless: a job looks at what there is and does only what is missing.

    \b
    Examples:
      openmeet-bridge jobs retry
      openmeet-bridge jobs retry --failed --tenant lsdfaopkljdfs
    """

    async def work(desk: Desk) -> tuple[int, bool]:
        from ..bridge.endings import Ending
        from ..storage import job_overview

        whose = None if tenant is None else desk.tenant(tenant)
        async with desk.database.connection() as connection:
            count = await job_overview.retry(connection, whose, failed_only=failed)
            # Nothing ends; but the running bridge hears that there are jobs.
            await desk.directory.endings.announce(connection, Ending())
        return count, await desk.is_served()

    count, served = at_desk(config_file, work)
    click.echo(f"{count} job{'' if count == 1 else 's'} will be tried again.")
    if count and not served:
        click.echo(NOBODY, err=True)


async def _watch(desk: Desk, tenant: str | None) -> int:
    """Show the sums until nothing is pending; return the exit code."""
    from ..storage import job_overview

    whose = None if tenant is None else desk.tenant(tenant)
    seconds = _SCREEN_SECONDS if is_terminal() else _LINE_SECONDS
    clock = asyncio.get_running_loop().time
    say_at, warned = 0.0, False
    while True:
        async with desk.database.connection() as connection:
            sums = await job_overview.sums(connection, whose)
        pending = _count(sums, "pending")
        if clock() >= say_at or not pending:
            _say(_summary(sums), last=not pending)
            say_at = clock() + seconds
        if not pending:
            return FAILED if _count(sums, "failed") else OK
        if not warned and not await desk.is_served():
            click.echo(NOBODY, err=True)
            warned = True
        await asyncio.sleep(_SCREEN_SECONDS)


def _say(line: str, *, last: bool) -> None:
    if is_terminal():
        # Over the former line; what is left of it is cleared.
        click.echo(f"\r{line}\x1b[K", nl=last)
    else:
        click.echo(line)


def _count(sums: list[Sum], state: str) -> int:
    return sum(one.count for one in sums if one.state in _STATES[state])


def _summary(sums: list[Sum]) -> str:
    parts = [f"{_count(sums, state)} {state}" for state in ("done", "pending", "failed")]
    waiting = sum(one.count for one in sums if one.state == "retrying")
    return ", ".join(parts) + (f" ({waiting} of them after a failure)" if waiting else "")


def _next_try(job: JobRow) -> object:
    return job.due_at if job.state == "retrying" else None
