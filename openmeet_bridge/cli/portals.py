"""``portals``: rooms of groups, meetups and direct chats."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .desk import at_desk, told
from .exits import EXIT_CODES
from .options import (
    KINDS,
    config_option,
    json_option,
    limit_option,
    portal_arguments,
    search_option,
    tenant_option,
    wait_option,
)
from .output import cell, details, document, table

if TYPE_CHECKING:
    from ..app.desk import Desk
    from ..bridge.merging import Merged
    from ..bridge.overview import MemberView, PortalDetails, PortalView
    from ..core.ids import PortalRef

_TITLES = ("Kind", "Slug", "State", "Joined", "Wanted", "Archived", "Room", "Problem")
_MEMBER_TITLES = (
    "User",
    "Role",
    "Status",
    "Should be",
    "Power",
    "In room",
    "Operator",
    "Matrix id",
)


@click.group(epilog=EXIT_CODES)
def portals() -> None:
    """List, show and mend the rooms of groups, meetups and direct chats.

    \b
    Example:
      openmeet-bridge portals list --problem
    """


@portals.command("list", epilog=EXIT_CODES)
@tenant_option
@click.option("--kind", type=click.Choice(KINDS), help="Only these.")
@click.option("--problem", is_flag=True, help="Only those with which something is wrong.")
@search_option
@limit_option
@json_option
@config_option
def list_portals(
    tenant: str | None,
    kind: str | None,
    problem: bool,
    search: str | None,
    limit: int | None,
    as_json: bool,
    config_file: Path,
) -> None:
    """List portals with their rooms: who should be in, who is in, and what is wrong.

    `Joined` counts OpenMeet's people in the room, `Wanted` those who should be there. They differ
    while a job is pending; where they differ and nothing is pending, `portals show` says who.

    \b
    Examples:
      openmeet-bridge portals list --problem
      openmeet-bridge portals list --kind meetup --search picnic
    """

    async def work(desk: Desk) -> list[PortalView]:
        found = desk.overview.portals(
            desk.tenant(tenant), kind=kind, problem=problem, search=search, limit=limit
        )
        return [one async for one in found]

    views = at_desk(config_file, work)
    if as_json:
        document(views)
        return
    rows = [
        (
            one.row.kind,
            one.row.slug,
            "deleted" if one.row.deleted else one.row.state,
            one.row.joined,
            one.wanted,
            one.archived,
            one.row.room_id,
            one.row.error or one.row.problem,
        )
        for one in views
    ]
    table(_TITLES, rows, nothing="no portals")


@portals.command("show", epilog=EXIT_CODES)
@portal_arguments
@tenant_option
@json_option
@config_option
def show_portal(kind: str, slug: str, tenant: str | None, as_json: bool, config_file: Path) -> None:
    """Show all that is known of a portal, and everybody who is, or should be, in its room.

    \b
    Example:
      openmeet-bridge portals show group lake-hikers
    """

    async def work(desk: Desk) -> PortalDetails:
        return await desk.overview.portal(ref_of(desk, tenant, kind, slug))

    found = at_desk(config_file, work)
    if as_json:
        document(found)
        return
    _show(found)


@portals.command("resync", epilog=EXIT_CODES)
@portal_arguments
@tenant_option
@wait_option
@config_option
def resync_portal(kind: str, slug: str, tenant: str | None, wait: bool, config_file: Path) -> None:
    """Have the bridge look at a room again, and do what is missing.

    Harmless: where nothing is missing, nothing is done.

    \b
    Example:
      openmeet-bridge portals resync group lake-hikers --wait
    """

    async def work(desk: Desk) -> int:
        ref = await desk.portal(ref_of(desk, tenant, kind, slug))
        await desk.directory.ask_again(ref.tenant, kind, slug)
        return await told(desk, ref.tenant, kind, slug, wait=wait)

    raise SystemExit(at_desk(config_file, work))


@portals.command("plan", epilog=EXIT_CODES)
@portal_arguments
@tenant_option
@json_option
@config_option
def plan(kind: str, slug: str, tenant: str | None, as_json: bool, config_file: Path) -> None:
    """Show what the bridge would do for a room now. Changes nothing, and asks nobody.

    Nothing to do means: the room is as it should be.

    \b
    Example:
      openmeet-bridge portals plan group lake-hikers
    """

    async def work(desk: Desk) -> list[dict[str, object]]:
        ref = await desk.portal(ref_of(desk, tenant, kind, slug))
        steps = await desk.services.portals.plan(ref)
        return [{"step": type(one).__name__} | asdict(one) for one in steps]

    steps = at_desk(config_file, work)
    if as_json:
        document(steps)
        return
    rows = [(one.pop("step"), _words(one)) for one in steps]
    table(("Step", "Of what"), rows, nothing="nothing to do")


@portals.command("merge", epilog=EXIT_CODES)
@portal_arguments
@click.argument("room_id")
@tenant_option
@config_option
def merge(kind: str, slug: str, room_id: str, tenant: str | None, config_file: Path) -> None:
    """Give up a duplicate ROOM_ID in favour of the portal's own room.

    People of Matrix in it are invited to the portal's room, it says where it has gone, and the
    ghosts and the bot leave it. What was said in it is not moved. Where the bot is not in it,
    invite the bot first. A second time does what the first could not.

    \b
    Example:
      openmeet-bridge portals merge group lake-hikers '!abcdef:example.org'
    """

    async def work(desk: Desk) -> Merged:
        from ..core.ids import RoomId

        ref = await desk.portal(ref_of(desk, tenant, kind, slug))
        return await desk.services.merging.merge(ref, RoomId(room_id))

    merged = at_desk(config_file, work)
    click.echo(f"{room_id} is merged into {merged.room_id}.")
    click.echo(f"{len(merged.invited)} people of Matrix were invited to it.")
    for mxid, why in merged.not_invited.items():
        click.echo(f"not invited: {mxid}: {cell(why)}", err=True)
    if not merged.tombstone:
        click.echo("The bot has no power to say in it where it has gone.", err=True)


def ref_of(desk: Desk, tenant: str | None, kind: str, slug: str) -> PortalRef:
    """Return the portal that a command names, whether it is there or not."""
    from ..core.ids import PortalKind, PortalRef

    return PortalRef(desk.tenant(tenant), PortalKind(kind), slug)


def _words(step: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in step.items())


def _show(found: PortalDetails) -> None:
    row, portal = found.view.row, found.portal
    details(
        (
            ("kind", row.kind),
            ("slug", row.slug),
            ("name", row.name),
            ("room", row.room_id),
            ("alias", portal.alias),
            ("former aliases", " ".join(found.former_aliases)),
            ("page", portal.url),
            ("visibility", row.visibility),
            ("status", "deleted" if row.deleted else row.status),
            ("starts", portal.starts_at),
            ("ends", portal.ends_at),
            ("group", portal.group),
            ("archived", found.view.archived),
            ("job", row.state),
            ("error", f"{row.error} (tried {row.attempts} times)" if row.error else None),
            ("problem", row.problem),
            ("people", f"{row.joined} in the room, {found.view.wanted} should be"),
        )
    )
    click.echo()
    table(_MEMBER_TITLES, map(_member, found.members), nothing="nobody")


def _member(one: MemberView) -> tuple[str, ...]:
    cells = (
        one.user or "(from Matrix)",
        one.role,
        one.status,
        one.place,
        one.level,
        one.membership,
        one.override,
        one.mxid,
    )
    return tuple(cell(value) for value in cells)
