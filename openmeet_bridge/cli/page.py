"""The commands' reference page: every ``--help``, as it is."""

from __future__ import annotations

from collections.abc import Iterator

import click

from .program import main

NAME = "openmeet-bridge"


def cli_page() -> str:
    """Return the page as Markdown."""
    parts = [
        "# Commands",
        "<!-- Made by `openmeet-bridge reference cli`; edit openmeet_bridge/cli/. -->",
        _help(_context(main, NAME, parent=None)),
    ]
    for heading, context in _shown(main, _context(main, NAME, parent=None), 2):
        parts += [heading, _help(context)]
    return "\n\n".join(parts) + "\n"


def _shown(
    group: click.Group, parent: click.Context, level: int
) -> Iterator[tuple[str, click.Context]]:
    """Yield each command that is not hidden, the commands of a group after the group."""
    shown = (command for command in group.commands.values() if not command.hidden)
    for command in sorted(shown, key=lambda item: item.name or ""):
        context = _context(command, command.name or "", parent)
        path = context.command_path.removeprefix(f"{NAME} ")
        yield f"{'#' * level} {path}", context
        if isinstance(command, click.Group):
            yield from _shown(command, context, level + 1)


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    # The width is fixed: the page must not depend on the terminal that made it.
    return click.Context(
        command,
        info_name=name,
        parent=parent,
        terminal_width=96,
        help_option_names=["-h", "--help"],
    )


def _help(context: click.Context) -> str:
    return f"```text\n{context.command.get_help(context).rstrip()}\n```"
