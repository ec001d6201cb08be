"""How a command comes to its desk, and waits for what the running bridge does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from .. import config as configuration
from .exits import FAILED, OK, fail

if TYPE_CHECKING:
    from ..app.desk import Desk
    from ..bridge.directory import Status
    from ..core.ids import TenantId

T = TypeVar("T")

NOBODY = "nobody works on these jobs: start `openmeet-bridge serve`"
_POLL = 0.25
_LOOK_FOR_BRIDGE = 5.0


def at_desk(config_file: Path, work: Callable[[Desk], Awaitable[T]]) -> T:
    """Run a command's work with all that it needs, and tidy up after it."""
    config = configuration.load(config_file)
    from ..app.desk import open_desk

    async def run() -> T:
        async with open_desk(config) as desk:
            return await work(desk)

    return asyncio.run(run())


async def needs_bridge(desk: Desk) -> bool:
    """Whether a bridge works on the jobs; say so where none does.

    Raises:
        SystemExit: None can come either, while this command runs the embedded database.
    """
    if await desk.is_served():
        return True
    if desk.alone:
        fail(NOBODY, FAILED)
    click.echo(f"{NOBODY}; waiting …", err=True)
    return False


async def settled(desk: Desk, tenant: TenantId, kind: str, slug: str) -> Status:
    """Wait until a job is done or has failed; return how it stands."""
    clock = asyncio.get_running_loop().time
    look_at, served = clock(), True
    while True:
        status = await desk.directory.status(tenant, kind, slug)
        if status.state != "pending":
            return status
        if served and clock() >= look_at:
            served = await needs_bridge(desk)
            look_at = clock() + _LOOK_FOR_BRIDGE
        await asyncio.sleep(_POLL)


async def told(desk: Desk, tenant: TenantId, kind: str, slug: str, *, wait: bool) -> int:
    """Say what becomes of a job that was just asked for; return the exit code."""
    if not wait:
        served = await desk.is_served()
        click.echo(
            "The running bridge does it now." if served else f"Written. But {NOBODY}",
            err=not served,
        )
        return OK
    status = await settled(desk, tenant, kind, slug)
    if status.state == "failed":
        click.echo(f"failed: {status.error}", err=True)
        return FAILED
    click.echo("done")
    return OK
