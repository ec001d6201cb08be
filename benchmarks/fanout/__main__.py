"""The fan-out benchmark's command: ``python -m benchmarks.fanout``, or ``make bench-fanout``."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import click

from openmeet_bridge.storage.embedded import EmbeddedPostgres

from .. import machine
from . import (
    counts,
    fan,
    loads,
    mixed_rooms,
    openings,
    programs,
    results,
    returning,
    servers,
    small_rooms,
    troubled,
)
from .bench import Bench
from .client import write_tokens
from .cores import Cores
from .found import Found, goals_report

MEASUREMENTS: dict[str, Callable[[Bench], Found]] = {
    "fan": fan.run,
    "small-rooms": small_rooms.run,
    "loads": loads.run,
    "mixed-rooms": mixed_rooms.run,
    "openings": openings.run,
    "returning": returning.run,
    "counts": counts.run,
    "troubled": troubled.run,
}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(list(MEASUREMENTS)),
    help="Take this measurement only; may be given more than once.",
)
@click.option("--quick", is_flag=True, help="Two or three minutes: shows that all works.")
@click.option(
    "--without-postgres", is_flag=True, help="Leave out the whole bridge, whose log is on disk."
)
@click.option("--gentle", is_flag=True, help="Leave the processor to others in between.")
@click.option(
    "--report",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write fanout.md, fanout.json and the plots to this folder.",
)
def main(
    only: tuple[str, ...], quick: bool, without_postgres: bool, gentle: bool, folder: Path | None
) -> None:
    """Measure the bridge side by side with nchan, aiohttp, Node's Socket.IO and a bare loop in C.

    Takes about twenty minutes, in which the machine must be left alone.
    """
    began = time.monotonic()
    described = machine.describe()
    stolen = machine.Stolen()
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fanout-")))
        try:
            programs.client()
        except programs.Missing as missing:
            raise click.ClickException(str(missing)) from missing
        bench = _bench(home, stack, quick=quick, gentle=gentle, postgres=not without_postgres)
        described |= results.versions(bench)
        for name, value in described.items():
            click.echo(f"{name + ':':<20}{value}")
        found = Found()
        for name in only or tuple(MEASUREMENTS):
            bench.say(f"== {name}")
            try:
                one = MEASUREMENTS[name](bench)
            except (RuntimeError, OSError) as error:
                # What was measured before must not be lost.
                bench.left_out[name] = f"failed: {error}"
                bench.say(f"  failed: {error}")
                continue
            found.add(one)
            for report in one.reports:
                click.echo(f"\n{report.text()}")
        failed = {one: why for one, why in bench.left_out.items() if one in MEASUREMENTS}
    described["stolen by others on the host"] = str(stolen)
    click.echo(f"\n{goals_report(found.goals).text()}")
    click.echo(f"\nStolen by others on the host meanwhile: {stolen}.")
    click.echo(f"\nTook {(time.monotonic() - began) / 60:.1f} minutes.")
    if folder is not None:
        results.write(folder, described | failed, found, quick=quick)
    if failed:
        raise click.ClickException(f"not all could be measured: {', '.join(failed)}")


def _bench(home: Path, stack: ExitStack, *, quick: bool, gentle: bool, postgres: bool) -> Bench:
    cores = Cores()
    most_files = servers.allow_files()
    database = None
    if postgres:
        with cores.of_client():
            database = stack.enter_context(EmbeddedPostgres(home / "database"))
    tokens = write_tokens(home / "tokens")
    bench = Bench(home, cores, tokens, database, quick, most_files, gentle)
    bench.find_peers()
    return bench


if __name__ == "__main__":
    sys.exit(main())
