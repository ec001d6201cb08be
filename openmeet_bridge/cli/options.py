"""Options that many commands have, each written once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

KINDS = ("group", "meetup", "direct")


def config_option(command: Command) -> Command:
    """``--config``: the configuration file."""
    return click.option(
        "-c",
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        default=Path("config.yaml"),
        envvar="OPENMEET_BRIDGE_CONFIG",
        show_envvar=True,
        show_default=True,
        help="The configuration file.",
    )(command)


def tenant_option(command: Command) -> Command:
    """``--tenant``: whose; may be left out where there is only one."""
    return click.option(
        "--tenant",
        metavar="ID",
        help="Whose; may be left out where only one tenant is configured.",
    )(command)


def json_option(command: Command) -> Command:
    """``--json``: for machines."""
    return click.option(
        "--json", "as_json", is_flag=True, help="One JSON document instead of a table."
    )(command)


def wait_option(command: Command) -> Command:
    """``--wait``: until the running bridge has done it."""
    return click.option(
        "--wait", is_flag=True, help="Wait until the running bridge has done it, or has failed."
    )(command)


def reason_option(command: Command) -> Command:
    """``--reason``: why an operator does this."""
    return click.option(
        "--reason", required=True, help="Why: kept with what you do, for who looks later."
    )(command)


def limit_option(command: Command) -> Command:
    """``--limit``: how many rows."""
    return click.option(
        "--limit", type=click.IntRange(min=1), help="At most so many rows. Default: all."
    )(command)


def search_option(command: Command) -> Command:
    """``--search``: part of a name or a slug."""
    return click.option(
        "--search", metavar="TEXT", help="Only those with this in their name or slug."
    )(command)


def portal_arguments(command: Command) -> Command:
    """``KIND SLUG``: a portal."""
    command = click.argument("slug")(command)
    return click.argument("kind", type=click.Choice(KINDS))(command)
