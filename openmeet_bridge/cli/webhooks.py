"""``webhooks``: what OpenMeet was to be told and could not be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .desk import at_desk
from .exits import EXIT_CODES
from .options import config_option, json_option, limit_option
from .output import document, table

if TYPE_CHECKING:
    from ..app.desk import Desk
    from ..storage.webhook_list import WebhookRow

_STATES = ("pending", "failed", "done")
_TITLES = ("Tenant", "Type", "Endpoint", "State", "Tries", "Since", "Next try", "Error")
_LIMIT = 1000


@click.group(invoke_without_command=True, epilog=EXIT_CODES)
@click.option("--state", type=click.Choice(_STATES), help="Only these. Default: not done.")
@click.option("--tenant", metavar="ID", help="Only this tenant's. Default: all.")
@limit_option
@json_option
@config_option
@click.pass_context
def webhooks(
    context: click.Context,
    state: str | None,
    tenant: str | None,
    limit: int | None,
    as_json: bool,
    config_file: Path,
) -> None:
    """Show what OpenMeet is still to be told, what was given up, and why.

    `pending`: it will be told, or told again after a failure; `failed`: it was tried for a day,
    or the endpoint said that it is gone. What failed is kept for a week.

    \b
    Examples:
      openmeet-bridge webhooks
      openmeet-bridge webhooks --state failed
      openmeet-bridge webhooks retry
    """
    if context.invoked_subcommand is not None:
        return

    async def work(desk: Desk) -> list[WebhookRow]:
        from ..storage import webhook_list

        whose = None if tenant is None else desk.tenant(tenant)
        states = [state] if state else ["pending", "failed"]
        async with desk.database.connection() as connection:
            return await webhook_list.listed(connection, whose, states, limit or _LIMIT)

    rows = at_desk(config_file, work)
    if as_json:
        document(rows)
        return
    shown = [
        (
            one.tenant,
            one.type,
            one.endpoint,
            one.state,
            one.attempts,
            one.created_at,
            one.due_at,
            one.error,
        )
        for one in rows
    ]
    table(_TITLES, shown, nothing="nothing to show")
    if limit is None and len(rows) == _LIMIT:
        click.echo(f"Only the first {_LIMIT} are shown; --limit shows more.", err=True)


@webhooks.command("retry", epilog=EXIT_CODES)
@click.option("--tenant", metavar="ID", help="Only this tenant's. Default: all.")
@config_option
def retry(tenant: str | None, config_file: Path) -> None:
    """Tell at once what was given up, and what waits for its next try.

    What was told already is not told again.

    \b
    Examples:
      openmeet-bridge webhooks retry
      openmeet-bridge webhooks retry --tenant lsdfaopkljdfs
    """

    async def work(desk: Desk) -> int:
        from ..storage import webhook_list

        whose = None if tenant is None else desk.tenant(tenant)
        async with desk.database.connection() as connection:
            return await webhook_list.retry(connection, whose)

    count = at_desk(config_file, work)
    click.echo(f"{count} webhook{'' if count == 1 else 's'} will be tried again.")
