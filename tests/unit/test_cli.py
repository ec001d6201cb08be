"""The commands: what they print, what they write, how they exit."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from openmeet_bridge import cli
from openmeet_bridge.core.errors import Forbidden, Unavailable
from openmeet_bridge.matrix.registration import load

CONFIG = """\
homeserver: {url: "http://127.0.0.1:8008", server_name: example.org}
registration: registration.yaml
jwt_default: {algorithm: HS256, secret: a secret that is long enough for HS256}
tenants: [{id: one, name: One}]
listen: {homeserver: "127.0.0.1:7000"}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a configuration in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENMEET_BRIDGE_CONFIG", raising=False)
    monkeypatch.delenv("TENANTS_B64", raising=False)
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments)


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **members: Any) -> None:
    """Puts a module in the place of one that a command loads."""
    module = ModuleType(f"openmeet_bridge.{name}")
    for member, value in members.items():
        setattr(module, member, value)
    monkeypatch.setitem(sys.modules, module.__name__, module)


def every_command(
    group: click.Group = cli.main, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that is not hidden, those of groups included, with the words that name it."""
    for name, command in sorted(group.commands.items()):
        if not command.hidden:
            yield (*path, name), command
            if isinstance(command, click.Group):
                yield from every_command(command, (*path, name))


COMMANDS = list(every_command())


@pytest.mark.parametrize("path", [path for path, _ in COMMANDS], ids=" ".join)
def test_help_teaches_with_an_example(path: tuple[str, ...]) -> None:
    result = run(*path, "--help")
    assert result.exit_code == 0
    assert "Example" in result.output
    assert f"openmeet-bridge {' '.join(path)}" in result.output
    assert "Exit codes:" in result.output or path == ("openapi",)


def test_the_page_has_every_command() -> None:
    page = cli.cli_page()
    for path, _ in COMMANDS:
        assert f"\n{'#' * (len(path) + 1)} {' '.join(path)}\n" in page


def test_help_loads_little() -> None:
    """Whoever asks for help must not wait for a database driver and an HTTP client."""
    heavy = "{'asyncpg', 'aiohttp', 'mautrix', 'sqlalchemy', 'rich'}"
    program = (
        "import sys\n"
        "from openmeet_bridge.cli import main\n"
        "main(['provision', '--help'], standalone_mode=False)\n"
        f"sys.exit(str({heavy} & set(sys.modules)) if {heavy} & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_exit_codes_are_documented() -> None:
    assert "3  the database cannot be reached" in run("--help").output


def test_check_config_names_the_missing_registration(folder: Path) -> None:
    result = run("check-config")
    assert result.exit_code == cli.MISCONFIGURED
    assert "registration.yaml: cannot be read: No such file or directory" in result.stderr
    assert "openmeet-bridge generate-registration" in result.stderr


def test_generate_then_check(folder: Path) -> None:
    made = run("generate-registration")
    assert made.exit_code == 0
    file = folder / "registration.yaml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load(file, "example.org").url == "http://127.0.0.1:7000"
    checked = run("check-config")
    assert checked.exit_code == 0
    assert checked.stdout.startswith("config.yaml: good (example.org, 1 tenant, embedded database)")


def test_generate_never_overwrites_without_force(folder: Path) -> None:
    file = folder / "registration.yaml"
    file.write_text("precious")
    result = run("generate-registration")
    assert result.exit_code == cli.FAILED
    assert "--force" in result.stderr
    assert file.read_text() == "precious"
    assert run("generate-registration", "--force").exit_code == 0
    assert load(file, "example.org").server_name == "example.org"
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "registration.yaml"]


def test_generate_without_a_configuration(folder: Path) -> None:
    result = run("generate-registration", "--server-name", "other.org", "-o", "-")
    assert result.exit_code == 0
    assert "om_[a-z0-9._=/-]+:other\\.org$" in result.stdout
    assert run("generate-registration", "--server-name", "other.org", "--url", "http://b:1").output
    assert load("registration.yaml", "other.org").url == "http://b:1"


def test_generate_where_it_cannot_write(folder: Path) -> None:
    result = run("generate-registration", "-o", "none/registration.yaml")
    assert result.exit_code == cli.FAILED
    assert "cannot write none/registration.yaml: No such file" in result.stderr


def test_a_broken_configuration_is_one_line_and_exit_2(folder: Path) -> None:
    (folder / "config.yaml").write_text(CONFIG + "databse: embedded\n")
    result = run("check-config")
    assert result.exit_code == cli.MISCONFIGURED
    complaint = "config.yaml:6: databse: unknown key; did you mean database?"
    assert result.stderr == f"error: {complaint}\n"


def test_environment_names_the_configuration(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENMEET_BRIDGE_CONFIG", "elsewhere.yaml")
    assert "elsewhere.yaml: cannot be read" in run("check-config").stderr


def test_unknown_command_is_exit_2() -> None:
    assert run("swerve").exit_code == cli.MISCONFIGURED


def test_serve_hands_over_the_configuration(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("generate-registration")
    seen: list[str] = []

    def serve(config: Any, file: Any, workers: int | None) -> int:
        seen.append(f"{config.homeserver.server_name} from {file} by {workers}")
        return 7

    stand_in(monkeypatch, "app", serve=serve)
    assert run("serve", "--workers", "3").exit_code == 7
    assert run("serve").exit_code == 7
    assert seen == [f"example.org from config.yaml by {one}" for one in (3, None)]


@pytest.mark.parametrize(("error", "code"), [(Unavailable("away"), 3), (Forbidden("no"), 1)])
def test_errors_of_the_bridge(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    def fail(dsn: str) -> str:
        raise error

    (folder / "config.yaml").write_text(CONFIG + "database: postgresql://db/name\n")
    stand_in(monkeypatch, "storage.migrations", upgrade=fail)
    result = run("migrate")
    assert result.exit_code == code
    assert result.stderr.startswith("error: ")


def test_migrate(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "config.yaml").write_text(CONFIG + "database: postgresql://db/name\n")
    stand_in(monkeypatch, "storage.migrations", upgrade=lambda dsn: f"0001 of {dsn}")
    result = run("migrate")
    assert result.exit_code == 0
    assert "revision 0001 of postgresql://db/name." in result.output


def test_migrate_starts_the_embedded_database(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(RuntimeError):
        pass

    class Server:
        def __init__(self, data_dir: Path) -> None:
            self.dsn = f"postgresql:///{data_dir.name}"

        def __enter__(self) -> Server:
            return self

        def __exit__(self, *exc: object) -> None:
            return None

    monkeypatch.setattr("openmeet_bridge.cli.installed.installed", lambda module: True)
    stand_in(monkeypatch, "storage.embedded", EmbeddedPostgres=Server, EmbeddedPostgresError=Broken)
    stand_in(monkeypatch, "storage.migrations", upgrade=lambda dsn: dsn)
    assert "postgresql:///data" in run("migrate").output

    def fail(dsn: str) -> str:
        raise Broken("the data belong to another version")

    stand_in(monkeypatch, "storage.migrations", upgrade=fail)
    result = run("migrate")
    assert result.exit_code == cli.NO_DATABASE
    assert "another version" in result.stderr


def test_what_is_not_installed_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openmeet_bridge.cli.installed.installed", lambda module: False)
    assert "openmeet-bridge[demo]" in run("demo").stderr
    migrated = run("migrate")
    assert migrated.exit_code == cli.MISCONFIGURED
    assert "openmeet-bridge[embedded]" in migrated.stderr


def test_demo_hands_over_its_paths(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def demo(data_dir: Path | None, ready_file: Path | None) -> int:
        seen.extend((data_dir, ready_file))
        return 0

    monkeypatch.setattr("openmeet_bridge.cli.installed.installed", lambda module: True)
    stand_in(monkeypatch, "demo.run", run=demo)
    assert run("demo", "--data", "d", "--ready-file", "r.json").exit_code == 0
    assert seen == [Path("d"), Path("r.json")]


def test_doctor_tells_by_its_exit_code(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "doctor", run=lambda config, as_json: 1 if as_json else 0)
    assert run("doctor").exit_code == 0
    assert run("doctor", "--json").exit_code == 1


def test_openapi_prints_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "api.openapi", document_json=lambda: '{"openapi":"3.1.0"}\n')
    assert run("openapi").output == '{"openapi":"3.1.0"}\n'


@pytest.fixture
def operations() -> Iterator[HTTPServer]:
    """An operations listener whose readiness is its ``status``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(getattr(self.server, "status", 404))
            self.end_headers()
            self.wfile.write(self.path.encode())

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_health_asks_the_operations_listener(folder: Path, operations: HTTPServer) -> None:
    port = operations.server_port
    text = CONFIG.replace("listen: {", f'listen: {{operations: "0.0.0.0:{port}", ')
    (folder / "config.yaml").write_text(text)
    for status, code in ((200, cli.OK), (503, cli.FAILED)):
        operations.status = status  # type: ignore[attr-defined]
        result = run("health")
        assert (result.exit_code, result.stdout) == (code, "/health/ready\n")


def test_health_of_nobody(folder: Path) -> None:
    text = CONFIG.replace("listen: {", 'listen: {operations: "127.0.0.1:1", ')
    (folder / "config.yaml").write_text(text)
    result = run("health")
    assert result.exit_code == cli.FAILED
    assert "127.0.0.1:1 does not answer" in result.stderr


def test_every_option_is_described() -> None:
    for path, command in COMMANDS:
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, path
