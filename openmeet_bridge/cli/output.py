"""What commands print: tables for people, plain lines for pipes, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

Row = Sequence[object]


def is_terminal() -> bool:
    """Whether a person looks at standard output."""
    return sys.stdout.isatty()


def document(value: Any) -> None:
    """Print a value as one JSON document."""
    encoded = msgspec.json.encode(value, enc_hook=str)
    click.echo(msgspec.json.format(encoded, indent=2).decode())


def table(titles: Sequence[str], rows: Iterable[Row], *, nothing: str) -> None:
    """Print rows: a table on a terminal, else lines whose columns are separated by tabs.

    Args:
        titles: Of the columns.
        rows: The cells of each row.
        nothing: Said, on standard error, where there is no row.
    """
    lines = [[cell(value) for value in row] for row in rows]
    if not lines:
        click.echo(nothing, err=True)
    elif is_terminal():
        _draw(titles, lines)
    else:
        for line in ([title.lower() for title in titles], *lines):
            click.echo("\t".join(line))


def details(pairs: Iterable[tuple[str, object]]) -> None:
    """Print what is known of one thing, a line each."""
    known = [(name, cell(value)) for name, value in pairs]
    width = max(len(name) for name, _ in known)
    for name, value in known:
        click.echo(f"{name:<{width}}  {value}")


def cell(value: object) -> str:
    """Return a value as one line of harmless text.

    Names come from people: control characters in them must not reach a terminal.
    """
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return "".join(one if one.isprintable() else "\ufffd" for one in str(value))


def duration(seconds: float) -> str:
    """Return a length of time for people: ``1 h 05 min``, ``3 min 20 s``, ``12 s``."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _draw(titles: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(*titles, box=SIMPLE_HEAD, pad_edge=False)
    for line in lines:
        # As Text: what people wrote is never read as markup.
        drawn.add_row(*map(Text, line))
    Console().print(drawn)
