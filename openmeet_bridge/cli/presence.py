"""``portals join``, ``kick`` and ``release``: an operator's word on who is in a room."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .desk import at_desk, told
from .exits import EXIT_CODES, FAILED, OK
from .options import config_option, portal_arguments, reason_option, tenant_option, wait_option
from .portals import ref_of

if TYPE_CHECKING:
    from ..app.desk import Desk
    from ..core.changes import Change
    from ..core.ids import PortalRef


@click.command("join", epilog=EXIT_CODES)
@portal_arguments
@click.argument("user")
@tenant_option
@reason_option
@wait_option
@config_option
def join(
    kind: str,
    slug: str,
    user: str,
    tenant: str | None,
    reason: str,
    wait: bool,
    config_file: Path,
) -> None:
    """Let a user of OpenMeet into a room, whatever OpenMeet says.

    It holds until `portals release`, whatever OpenMeet says meanwhile. USER is a slug, or the
    Matrix id of the user's ghost.

    \b
    Example:
      openmeet-bridge portals join group lake-hikers ann --reason "asked by the owner, ticket 12"
    """
    raise SystemExit(
        at_desk(config_file, _override(tenant, kind, slug, user, reason, inside=True, wait=wait))
    )


@click.command("kick", epilog=EXIT_CODES)
@portal_arguments
@click.argument("user")
@tenant_option
@reason_option
@wait_option
@config_option
def kick(
    kind: str,
    slug: str,
    user: str,
    tenant: str | None,
    reason: str,
    wait: bool,
    config_file: Path,
) -> None:
    """Take somebody out of a room, whatever OpenMeet says.

    A user of OpenMeet (a slug, or the Matrix id of the ghost) reads nothing more from that moment,
    on open streams either, and stays out until `portals release`. Somebody else's Matrix id,
    @name:server, is removed once and at once, and may come back where the room is open: ban
    people of Matrix from a Matrix client.

    \b
    Example:
      openmeet-bridge portals kick meetup picnic bob --reason "spam, ticket 12" --wait
    """

    async def work(desk: Desk) -> int:
        if user.startswith("@") and not await _is_ghost(desk, user):
            return await _kick_from_matrix(desk, ref_of(desk, tenant, kind, slug), user, reason)
        way = _override(tenant, kind, slug, user, reason, inside=False, wait=wait)
        return await way(desk)

    raise SystemExit(at_desk(config_file, work))


@click.command("release", epilog=EXIT_CODES)
@portal_arguments
@click.argument("user")
@tenant_option
@wait_option
@config_option
def release(
    kind: str, slug: str, user: str, tenant: str | None, wait: bool, config_file: Path
) -> None:
    """Take back what `portals join` or `portals kick` said: OpenMeet's word counts again.

    \b
    Example:
      openmeet-bridge portals release group lake-hikers ann
    """

    async def work(desk: Desk) -> int:
        from ..core.changes import DeleteOverride

        ref = await desk.portal(ref_of(desk, tenant, kind, slug))
        change = DeleteOverride(ref, await desk.user(ref.tenant, user))
        return await _apply(desk, ref, change, wait=wait)

    raise SystemExit(at_desk(config_file, work))


def _override(
    tenant: str | None,
    kind: str,
    slug: str,
    user: str,
    reason: str,
    *,
    inside: bool,
    wait: bool,
) -> Callable[[Desk], Awaitable[int]]:
    async def work(desk: Desk) -> int:
        from ..core.changes import PutOverride
        from ..core.directory import Override

        ref = await desk.portal(ref_of(desk, tenant, kind, slug))
        override = Override(await desk.user(ref.tenant, user), inside, reason)
        return await _apply(desk, ref, PutOverride(ref, override), wait=wait)

    return work


async def _apply(desk: Desk, ref: PortalRef, change: Change, *, wait: bool) -> int:
    applied = await desk.directory.apply(ref.tenant, [change])
    if not applied.differences:
        click.echo("That is so already.")
    return await told(desk, ref.tenant, ref.kind.value, ref.slug, wait=wait)


async def _is_ghost(desk: Desk, mxid: str) -> bool:
    from ..core.ids import Mxid
    from ..storage import ghosts

    async with desk.database.connection() as connection:
        return await ghosts.of_mxid(connection, Mxid(mxid)) is not None


async def _kick_from_matrix(desk: Desk, ref: PortalRef, mxid: str, reason: str) -> int:
    from ..storage import rooms

    async with desk.database.connection() as connection:
        room_id = await rooms.room_of(connection, ref)
    if room_id is None:
        click.echo(f"{ref.kind.value} {ref.slug} has no room", err=True)
        return FAILED
    await desk.homeserver.kick(room_id, mxid, reason, desk.naming.bot)
    click.echo(f"{mxid} is out of {room_id}.")
    return OK
