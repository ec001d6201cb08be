"""``tenants``: the community sites, and how each stands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .desk import at_desk
from .exits import EXIT_CODES
from .options import config_option, json_option
from .output import details, document, table

if TYPE_CHECKING:
    from ..app.desk import Desk
    from ..bridge.overview import TenantView

_TITLES = ("Tenant", "Name", "Users", "Groups", "Meetups", "Directs", "Rooms", "Pending", "Failed")


@click.group(epilog=EXIT_CODES)
def tenants() -> None:
    """List and show tenants: OpenMeet's community sites.

    \b
    Example:
      openmeet-bridge tenants list
    """


@tenants.command("list", epilog=EXIT_CODES)
@config_option
@json_option
def list_tenants(config_file: Path, as_json: bool) -> None:
    """List all tenants: what there is of each, and how many jobs are pending or failed.

    A tenant that was taken out of the configuration, and of which the database still has
    something, is listed too; its name is missing.

    \b
    Example:
      openmeet-bridge tenants list
    """

    async def work(desk: Desk) -> list[TenantView]:
        ids = [*desk.tenants]
        ids += [one for one in await desk.overview.known_tenants() if one not in ids]
        return [await desk.overview.tenant(one) for one in ids]

    views = at_desk(config_file, work)
    if as_json:
        document(views)
        return
    names = _names(config_file)
    rows = [
        (
            one.id,
            names.get(one.id),
            one.counts.users,
            one.counts.groups,
            one.counts.meetups,
            one.counts.directs,
            one.counts.rooms,
            one.counts.pending,
            one.counts.failed,
        )
        for one in views
    ]
    table(_TITLES, rows, nothing="no tenants")


@tenants.command("show", epilog=EXIT_CODES)
@click.argument("tenant_id", metavar="ID")
@config_option
@json_option
def show_tenant(tenant_id: str, config_file: Path, as_json: bool) -> None:
    """Show how a tenant stands, and when it was last compared with OpenMeet's database.

    \b
    Example:
      openmeet-bridge tenants show lsdfaopkljdfs
    """

    async def work(desk: Desk) -> TenantView:
        return await desk.overview.tenant(desk.tenant(tenant_id))

    view = at_desk(config_file, work)
    if as_json:
        document(view)
        return
    head, counts = view.head, view.counts
    details(
        (
            ("tenant", view.id),
            ("name", _names(config_file).get(view.id)),
            ("revision", head.revision),
            ("suspended", head.suspended),
            ("compared with OpenMeet", head.compared_at),
            ("last comparison failed", head.comparison_error),
            ("users", f"{counts.users}, of whom the homeserver knows {counts.ghosts}"),
            ("groups", counts.groups),
            ("meetups", counts.meetups),
            ("direct chats", counts.directs),
            ("rooms", counts.rooms),
            ("memberships", counts.members),
            ("jobs pending", counts.pending),
            ("jobs failed", counts.failed),
        )
    )


def _names(config_file: Path) -> dict[str, str]:
    from .. import config as configuration

    return {one.id: one.name for one in configuration.load(config_file).tenants}
