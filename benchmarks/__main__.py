"""The benchmarks' command: ``python -m benchmarks``, or ``make bench``."""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
from pathlib import Path

import click

from openmeet_bridge.storage.embedded import EmbeddedPostgres

from . import (
    delivery,
    latency,
    machine,
    provisioning,
    room_list,
    socketio,
    sync_cost,
    timeline,
    transactions,
)
from .report import Report

BENCHMARKS = {
    "transactions": transactions.run,
    "latency": latency.run,
    "sync_cost": sync_cost.run,
    "delivery": delivery.run,
    "socketio": socketio.run,
    "provisioning": provisioning.run,
    "room_list": room_list.run,
    "timeline": timeline.run,
}
_NEED_SYNAPSE = frozenset({"latency", "provisioning", "sync_cost"})


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(list(BENCHMARKS)),
    help="Run this one only; may be given more than once.",
)
@click.option("--quick", is_flag=True, help="Short runs: shows that all works, not how fast it is.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the figures to this file too.",
)
def main(only: tuple[str, ...], quick: bool, json_file: Path | None) -> None:
    """Measure the bridge: transactions, latency, cost of a delivery, making users and rooms.

    Starts a PostgreSQL of its own (fsync on), bridges in processes of their own and, for some, a
    Synapse. Takes about half an hour, nearly all of it for the provisioning; leave the machine
    alone meanwhile.
    """
    described = machine.describe()
    for name, value in described.items():
        click.echo(f"{name + ':':<20}{value}")
    found: dict[str, list[Report]] = {}
    with tempfile.TemporaryDirectory(prefix="openmeet-bench-") as folder:
        home = Path(folder)
        with EmbeddedPostgres(home / "database") as postgres:
            for name in only or tuple(BENCHMARKS):
                if name in _NEED_SYNAPSE and importlib.util.find_spec("synapse") is None:
                    click.echo(f"\n{name}: left out, Synapse is not installed (extra demo)")
                    continue
                click.echo(f"\n== {name}", err=True)
                found[name] = BENCHMARKS[name](home / name, postgres, quick=quick)
                for report in found[name]:
                    click.echo(f"\n{report.text()}")
    if json_file is not None:
        results = {name: [one.values() for one in reports] for name, reports in found.items()}
        document = {"machine": described, "quick": quick, "results": results}
        json_file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
