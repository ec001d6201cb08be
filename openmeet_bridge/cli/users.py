"""``users``: OpenMeet's people and their ghosts."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from ..core.ids import UserSlug
from .desk import at_desk, needs_bridge, told
from .exits import EXIT_CODES, FAILED, OK
from .options import (
    config_option,
    json_option,
    limit_option,
    search_option,
    tenant_option,
    wait_option,
)
from .output import cell, details, document, table
from .private_file import private_file

if TYPE_CHECKING:
    from ..app.desk import Desk
    from ..bridge.overview import UserDetails
    from ..core.erasure import ErasureReport
    from ..core.ids import TenantId
    from ..storage.overview import UserRow

_LOOKS_FOR_BRIDGE = 40

_TITLES = (
    "Slug",
    "Name",
    "OpenMeet id",
    "Active",
    "Matrix id",
    "Rooms",
    "Portals",
    "State",
    "Error",
)
_PORTAL_TITLES = ("Kind", "Slug", "Role", "Status", "Should be", "In room", "Operator")


@click.group(epilog=EXIT_CODES)
def users() -> None:
    """List, show and look after OpenMeet's people and their ghosts on Matrix.

    \b
    Example:
      openmeet-bridge users show ann
    """


@users.command("list", epilog=EXIT_CODES)
@tenant_option
@click.option("--problem", is_flag=True, help="Only those with which something is wrong.")
@search_option
@limit_option
@json_option
@config_option
def list_users(
    tenant: str | None,
    problem: bool,
    search: str | None,
    limit: int | None,
    as_json: bool,
    config_file: Path,
) -> None:
    """List users: their ghosts, and in how many portals and rooms they are.

    \b
    Example:
      openmeet-bridge users list --search ann
    """

    async def work(desk: Desk) -> list[UserRow]:
        found = desk.overview.users(
            desk.tenant(tenant), problem=problem, search=search, limit=limit
        )
        return [one async for one in found]

    found = at_desk(config_file, work)
    if as_json:
        document(found)
        return
    rows = [
        (
            one.slug,
            one.name,
            one.openmeet_id,
            one.active,
            one.mxid,
            one.rooms,
            one.memberships,
            one.state,
            one.error,
        )
        for one in found
    ]
    table(_TITLES, rows, nothing="no users")


@users.command("show", epilog=EXIT_CODES)
@click.argument("user")
@tenant_option
@json_option
@config_option
def show_user(user: str, tenant: str | None, as_json: bool, config_file: Path) -> None:
    """Show all that is known of a user. USER is a slug, or the Matrix id of the ghost.

    \b
    Examples:
      openmeet-bridge users show ann
      openmeet-bridge users show @om_lsdfaopkljdfs_ann:example.org
    """

    async def work(desk: Desk) -> UserDetails:
        return await desk.overview.user(desk.tenant(tenant), user)

    found = at_desk(config_file, work)
    if as_json:
        document(
            {
                "row": found.row,
                "user": found.user,
                "ghost": found.ghost,
                "portals": [
                    {"kind": ref.kind, "slug": ref.slug, "member": member}
                    for ref, member in found.portals
                ],
            }
        )
        return
    _show(found)


@users.command("resync", epilog=EXIT_CODES)
@click.argument("user")
@tenant_option
@wait_option
@config_option
def resync_user(user: str, tenant: str | None, wait: bool, config_file: Path) -> None:
    """Have the bridge look at a user's ghost again: name, picture, direct chats.

    \b
    Example:
      openmeet-bridge users resync ann --wait
    """

    async def work(desk: Desk) -> int:
        whose = desk.tenant(tenant)
        slug = await desk.user(whose, user)
        await desk.directory.ask_again(whose, "user", slug)
        return await told(desk, whose, "user", slug, wait=wait)

    raise SystemExit(at_desk(config_file, work))


@users.command("sign-out", epilog=EXIT_CODES)
@click.argument("user")
@tenant_option
@config_option
def sign_out_user(user: str, tenant: str | None, config_file: Path) -> None:
    """Refuse all tokens of a user that were issued until now, and end their streams at once.

    The user comes back with a token that OpenMeet issues afterwards.

    \b
    Example:
      openmeet-bridge users sign-out ann
    """

    async def work(desk: Desk) -> None:
        whose = desk.tenant(tenant)
        await desk.services.signing_out.sign_out(whose, await desk.user(whose, user))

    at_desk(config_file, work)
    click.echo(f"{user}: signed out")


@users.command("export", epilog=EXIT_CODES)
@click.argument("user")
@tenant_option
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it here, readable by you alone. Default: standard output.",
)
@config_option
def export_user(user: str, tenant: str | None, output: Path | None, config_file: Path) -> None:
    """Write all that the bridge keeps of a person: one JSON object a line.

    For a person who asks for their data. It holds what they have said in rooms, and nothing that
    others have said; `record` says what each line is.

    \b
    Example:
      openmeet-bridge users export ann -o ann.ndjson
    """

    async def work(desk: Desk) -> int:
        import msgspec

        from ..bridge.data_export import DataExport

        whose, count = desk.tenant(tenant), 0
        slug = await _slug(desk, whose, user)
        with _target(output) as file:
            async for record in DataExport(desk.database).records(whose, slug):
                file.write(msgspec.json.encode(record, enc_hook=str).decode() + "\n")
                count += 1
        return count

    count = at_desk(config_file, work)
    if output is not None:
        click.echo(f"{output}: {count} records")


@users.command("erase", epilog=EXIT_CODES)
@click.argument("user")
@tenant_option
@click.option("--yes", is_flag=True, help="Do not ask; there is no way back.")
@wait_option
@json_option
@config_option
def erase_user(
    user: str, tenant: str | None, yes: bool, wait: bool, as_json: bool, config_file: Path
) -> None:
    """Erase a person for good: messages, names, pictures, memberships, our own copies.

    From that moment the person reads nothing more, on open streams either; the rest is a job of
    the running bridge. There is no way back, and nobody can have the slug again. The same command
    later shows how far it is.

    Exit code 1: something is left that you must do yourself; the report says what and how.

    \b
    Example:
      openmeet-bridge users erase ann --yes --wait
    """
    if not yes:
        click.confirm(f"Erase {user} for good? There is no way back.", abort=True)

    async def work(desk: Desk) -> ErasureReport:
        whose = desk.tenant(tenant)
        slug = await _slug(desk, whose, user)
        report = await desk.services.erasures.request(whose, slug)
        look = 0
        while wait and report.state == "running":
            if look % _LOOKS_FOR_BRIDGE == 0:
                await needs_bridge(desk)
            look += 1
            await asyncio.sleep(0.25)
            report = await desk.services.erasures.report(whose, slug)
        return report

    report = at_desk(config_file, work)
    document(report) if as_json else _show_erasure(report)
    raise SystemExit(FAILED if any(one.do for one in report.left) else OK)


async def _slug(desk: Desk, tenant: TenantId, name: str) -> UserSlug:
    """Return the slug of a user, of one who is gone from the directory too."""
    found = await desk.overview.user(tenant, name)
    whose = found.user or found.ghost
    return UserSlug(name) if whose is None else whose.slug


def _target(output: Path | None) -> AbstractContextManager[TextIO]:
    if output is None:
        return nullcontext(sys.stdout)
    return private_file(output, force=True)


def _show_erasure(report: ErasureReport) -> None:
    details(
        (
            ("user", report.slug),
            ("Matrix id", report.mxid),
            ("state", report.state),
            ("asked for", report.requested_at),
            ("finished", report.finished_at),
            ("last error", report.error),
        )
    )
    click.echo()
    table(("Erased", "How many"), report.erased.items(), nothing="nothing erased yet")
    for one in report.left:
        click.echo(f"left: {one.count} of {cell(one.what)}: {cell(one.why)}", err=True)
        if one.do:
            click.echo(f"  do: {one.do}", err=True)


def _show(found: UserDetails) -> None:
    row, ghost = found.row, found.ghost
    details(
        (
            ("slug", row.slug if row else ghost.slug if ghost else None),
            ("name", row.name if row else None),
            ("OpenMeet id", row.openmeet_id if row else None),
            ("on OpenMeet", ("active" if row.active else "inactive") if row else "gone"),
            ("Matrix id", ghost.mxid if ghost else None),
            ("Matrix id at OpenMeet, not usable", ghost.claimed_mxid if ghost else None),
            ("known to the homeserver", ghost.registered if ghost else None),
            ("name on Matrix", ghost.name if ghost else None),
            ("picture on Matrix", ghost.avatar_mxc if ghost else None),
            ("erased", ghost.erased_at if ghost else None),
            ("job", row.state if row else None),
            ("error", row.error if row else None),
        )
    )
    click.echo()
    rows = [
        (
            ref.kind,
            ref.slug,
            one.role,
            one.status,
            one.place,
            one.membership,
            one.override,
        )
        for ref, one in found.portals
    ]
    table(_PORTAL_TITLES, rows, nothing="in no portal")
