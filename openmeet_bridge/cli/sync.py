"""``sync``: the directory and OpenMeet's own database, compared now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .desk import NOBODY, at_desk
from .exits import EXIT_CODES, FAILED, OK
from .options import config_option, json_option
from .output import cell, document, table

if TYPE_CHECKING:
    from ..app.desk import Desk
    from ..bridge.comparison_notes import Compared
    from ..core.ids import TenantId

_TITLES = ("Tenant", "Kind", "Slug", "What", "Member", "Fields")
_SHOWN = 200


@click.command(epilog=EXIT_CODES)
@click.option(
    "--tenant",
    "tenants",
    metavar="ID",
    multiple=True,
    help="Whose; may be repeated. Default: all that are not suspended.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("--allow-removals", is_flag=True, help="However much that removes.")
@json_option
@config_option
def sync(
    tenants: tuple[str, ...],
    dry_run: bool,
    allow_removals: bool,
    as_json: bool,
    config_file: Path,
) -> None:
    """Compare with OpenMeet's database now, and make the directory equal to it.

    A running bridge does the same by itself, again and again. A comparison that would remove more
    than `openmeet.max_removals` changes nothing and ends with exit code 1: look at what it would
    remove, and if that is right, repeat with --allow-removals.

    \b
    Examples:
      openmeet-bridge sync --dry-run
      openmeet-bridge sync --tenant lsdfaopkljdfs --allow-removals
    """

    async def work(desk: Desk) -> tuple[dict[TenantId, Compared], bool]:
        whose = [desk.tenant(one) for one in dict.fromkeys(tenants)] or await _all(desk)
        found = {
            one: await desk.comparison.compare(one, dry_run=dry_run, allow_removals=allow_removals)
            for one in whose
        }
        return found, await desk.is_served()

    found, served = at_desk(config_file, work)
    if as_json:
        document(found)
    else:
        _show(found)
        changed = any(one.differences for one in found.values())
        if changed and not dry_run and not served:
            click.echo(NOBODY, err=True)
    refused = [one for one in found.values() if one.refused is not None]
    raise SystemExit(FAILED if refused and not allow_removals else OK)


async def _all(desk: Desk) -> list[TenantId]:
    """Return the tenants that may be compared; who is left out is said."""
    suspended = [one for one in desk.tenants if (await desk.directory.head(one)).suspended]
    for tenant in suspended:
        click.echo(f"left out: {cell(tenant)} is suspended (deprovisioned)", err=True)
    return [one for one in desk.tenants if one not in suspended]


def _show(found: dict[TenantId, Compared]) -> None:
    rows = [
        (tenant, one.kind, one.slug, one.what, one.member, ", ".join(one.fields))
        for tenant, compared in found.items()
        for one in compared.differences
    ]
    table(_TITLES, rows[:_SHOWN], nothing="no differences")
    if len(rows) > _SHOWN:
        click.echo(f"… and {len(rows) - _SHOWN} more; --json shows all", err=True)
    for tenant, compared in found.items():
        for problem in compared.problems[:_SHOWN]:
            click.echo(
                f"left out: {cell(tenant)}: {problem.table} {cell(problem.id)}: {problem.reason}",
                err=True,
            )
        gone = compared.refused
        if gone is not None:
            click.echo(
                f"{cell(tenant)}: this would remove {gone.users} of {gone.of_users} users, "
                f"{gone.portals} of {gone.of_portals} groups and meetups, {gone.members} of "
                f"{gone.of_members} memberships. If that is right: --allow-removals",
                err=True,
            )
