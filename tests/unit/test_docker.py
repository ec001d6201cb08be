"""The files of docker/, as far as they can be checked without an engine."""

from __future__ import annotations

import http.client
import re
import shlex
import signal
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from openmeet_bridge import cli
from openmeet_bridge import config as configuration
from openmeet_bridge.demo.synapse import Child
from openmeet_bridge.matrix.registration import generate

from ..support.ports import free_port
from ..support.quick_synapse import Nursery

TOP = Path(__file__).parent.parent.parent
DOCKER = TOP / "docker"
IMAGE = re.compile(r"[a-z0-9./-]+:v?\d+[.\d]*[a-z0-9.-]*")
BRIDGE_IDS = "10001:10001"


def yaml(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path)


@pytest.fixture(scope="module")
def stages() -> list[list[list[str]]]:
    """The Dockerfile's stages: each a list of instructions, each a list of words."""
    text = (DOCKER / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    found: list[list[list[str]]] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        words = line.split()
        if words[0] == "FROM":
            found.append([])
        found[-1].append(words)
    return found


@pytest.fixture(scope="module")
def compose() -> Any:
    """The compose file, merge keys resolved."""
    return yaml(DOCKER / "compose.yaml")


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of secrets."""
    folder = tmp_path_factory.mktemp("docker") / "secrets"
    subprocess.run([str(DOCKER / "make-secrets"), str(folder)], check=True, capture_output=True)
    return folder


def instructions(stage: list[list[str]], name: str) -> list[list[str]]:
    return [words[1:] for words in stage if words[0] == name]


# The image


def test_it_has_more_than_one_stage(stages: list[list[list[str]]]) -> None:
    assert len(stages) == 2
    bases = [stage[0][1] for stage in stages]
    assert len(set(bases)) == 1, "the virtual environment needs the Python it was made with"
    assert all(IMAGE.fullmatch(base) and "latest" not in base for base in bases)


def test_every_source_exists_and_reaches_the_builder(stages: list[list[list[str]]]) -> None:
    lines = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    for source in (
        source
        for stage in stages
        for words in instructions(stage, "COPY")
        if not words[0].startswith("--from")
        for source in words[:-1]
    ):
        assert (TOP / source).exists(), source
        assert source.split("/")[0] in allowed, source


def test_the_last_stage_has_no_compiler_and_no_root(stages: list[list[list[str]]]) -> None:
    last = stages[-1]
    commands = " ".join(" ".join(words) for words in instructions(last, "RUN"))
    assert not re.search(r"apt|pip|gcc|build|curl", commands)
    assert instructions(last, "COPY") == [
        ["--from=builder", "/opt/openmeet-bridge", "/opt/openmeet-bridge"]
    ]
    assert instructions(last, "USER") == [[BRIDGE_IDS]]
    order = [words[0] for words in last]
    assert order.index("USER") > max(i for i, name in enumerate(order) if name in ("RUN", "COPY"))


def test_its_health_and_its_command_are_commands(stages: list[list[list[str]]]) -> None:
    last = stages[-1]
    (health,) = instructions(last, "HEALTHCHECK")
    for words in (health[health.index("CMD") + 1 :], *instructions(last, "CMD")):
        command: list[str] = msgspec.json.decode(" ".join(words))
        assert command[-1] in cli.main.commands
    assert instructions(last, "ENTRYPOINT") == [['["openmeet-bridge"]']]


def test_everything_installed_is_pinned_and_hashed(stages: list[list[list[str]]]) -> None:
    commands = [" ".join(words) for words in instructions(stages[0], "RUN")]
    installs = [part for text in commands for part in text.split("&&") if "pip install" in part]
    assert len(installs) == 3
    for install in installs:
        assert "--require-hashes" in install or "--no-deps /wheels" in install
    assert "--build-constraints requirements/dev.txt --require-hashes" in " ".join(commands)


def test_the_pin_of_uvloop_is_cut_out_whole(stages: list[list[list[str]]], tmp_path: Path) -> None:
    commands = " ".join(" ".join(words) for words in instructions(stages[0], "RUN"))
    program = re.search(r"awk '([^']*)'", commands)
    assert program is not None
    cut = subprocess.run(
        ["awk", program[1], str(TOP / "requirements/demo.txt")],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert cut[0].startswith("uvloop==")
    assert all(line.strip().startswith("--hash=sha256:") for line in cut[1:])
    assert len(cut) > 10
    assert not cut[-1].endswith("\\")


# The composition

SERVICES = {
    "postgres",
    "valkey",
    "synapse",
    "bridge",
    "generate-registration",
    "generate-signing-key",
}


def test_the_services(compose: Any) -> None:
    assert set(compose["services"]) == SERVICES
    for name, service in compose["services"].items():
        assert IMAGE.fullmatch(service["image"]), service["image"]
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["healthcheck"], name
        assert "privileged" not in service
        if name != "postgres":
            assert any(mount.startswith(("/tmp", "/data")) for mount in service["tmpfs"]), name


def test_who_runs_as_whom(compose: Any) -> None:
    services = compose["services"]
    assert services["bridge"]["user"] == BRIDGE_IDS
    assert services["generate-registration"]["user"] == BRIDGE_IDS
    group = services["synapse"]["user"].partition(":")[2]
    assert group == BRIDGE_IDS.partition(":")[2], "Synapse reads the registration by its group"
    rooted = {name for name, service in services.items() if service.get("user", "0")[0] == "0"}
    assert rooted == {"postgres", "generate-signing-key"}


def test_what_is_named_is_there(compose: Any, secrets: Path) -> None:
    networks, volumes = set(compose["networks"]), set(compose["volumes"])
    files = {name: Path(entry["file"]).name for name, entry in compose["secrets"].items()}
    assert set(files.values()) == {path.name for path in secrets.iterdir()}
    for service in compose["services"].values():
        assert set(service["networks"]) <= networks
        assert set(service.get("secrets", [])) <= set(files)
        assert set(service.get("depends_on", {})) <= set(compose["services"])
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in volumes or (DOCKER / source).is_file(), source


def test_only_this_machine_reaches_the_ports(compose: Any) -> None:
    ports = {name: service.get("ports", []) for name, service in compose["services"].items()}
    published = [port for listed in ports.values() for port in listed]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert not {"9898", "9480"} & {port.rpartition(":")[2] for port in published}


def test_what_runs_once_is_waited_for(compose: Any) -> None:
    services = compose["services"]
    once = {name for name, service in services.items() if service["restart"] == "no"}
    assert once == {"generate-registration", "generate-signing-key"}
    for name, wanted in (("synapse", once), ("bridge", {"generate-registration"})):
        waits = services[name]["depends_on"]
        done = {
            other
            for other, how in waits.items()
            if how["condition"] == "service_completed_successfully"
        }
        assert done == wanted
        assert waits["postgres"]["condition"] == "service_healthy"


def test_scripts_can_be_run() -> None:
    for name in ("make-secrets", "postgres-databases.sh"):
        script = DOCKER / name
        assert script.stat().st_mode & stat.S_IXUSR
        subprocess.run(["sh", "-n", str(script)], check=True)
    for service in ("generate-registration", "generate-signing-key"):
        command = yaml(DOCKER / "compose.yaml")["services"][service]["command"]
        subprocess.run(["sh", "-n", "-c", command[0]], check=True)


# The configurations


@pytest.fixture
def config_file(secrets: Path, tmp_path: Path) -> Path:
    """The bridge's configuration, its absolute paths moved to where this test has its files."""
    text = (DOCKER / "config.yaml").read_text()
    text = text.replace("/run/secrets/", f"{secrets}/").replace("/registration/", f"{tmp_path}/")
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def test_the_bridge_takes_its_configuration(config_file: Path, compose: Any) -> None:
    command = compose["services"]["generate-registration"]["command"][0]
    line = next(line for line in command.splitlines() if "openmeet-bridge" in line)
    arguments = shlex.split(line)[1:]
    for words in ([*arguments, "-c", str(config_file)], ["check-config", "-c", str(config_file)]):
        result = CliRunner().invoke(cli.main, words)
        assert result.exit_code == 0, result.output
    registration = config_file.with_name("registration.yaml").read_text()
    assert "http://bridge:9898" in registration


def test_the_parts_agree(config_file: Path, compose: Any, secrets: Path) -> None:
    config = configuration.load(config_file, {})
    homeserver = yaml(DOCKER / "homeserver.yaml")
    assert config.homeserver.server_name == homeserver["server_name"]
    assert config.homeserver.url == f"http://synapse:{homeserver['listeners'][0]['port']}"
    assert config.listen.homeserver.port == 9898
    assert compose["services"]["bridge"]["ports"][0].endswith(f":{config.listen.public.port}")
    given = set(compose["services"]["bridge"]["secrets"])
    assert set(re.findall(r"/run/secrets/(\S+)", (DOCKER / "config.yaml").read_text())) == given
    password = (secrets / "synapse_database_password").read_text()
    assert yaml(secrets / "synapse.yaml")["database"]["args"]["password"] == password
    assert (secrets / "bridge_database_password").read_text() in config.database


def test_secrets_are_made_once_and_are_kept_private(secrets: Path) -> None:
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    subprocess.run([str(DOCKER / "make-secrets"), str(secrets)], check=True, capture_output=True)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == before
    assert len(set(before.values())) == len(before)
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert "/secrets/" in (DOCKER / ".gitignore").read_text().splitlines()


@pytest.mark.synapse
def test_synapse_takes_its_configuration(nursery: Nursery, secrets: Path, tmp_path: Path) -> None:
    port = free_port()
    registration = generate("localhost", "http://bridge:9898")
    (tmp_path / "registration.yaml").write_text(registration.dump())
    text = (DOCKER / "homeserver.yaml").read_text()
    moved = text.replace("/data/", f"{tmp_path}/").replace("/registration/", f"{tmp_path}/")
    moved = moved.replace("0.0.0.0", "127.0.0.1").replace("port: 8008", f"port: {port}")
    (tmp_path / "homeserver.yaml").write_text(moved)
    # PostgreSQL is not part of this test.
    sqlite = {"database": {"name": "sqlite3", "args": {"database": str(tmp_path / "hs.db")}}}
    (tmp_path / "sqlite.yaml").write_bytes(msgspec.json.encode(sqlite))
    files = [tmp_path / "homeserver.yaml", secrets / "synapse.yaml", tmp_path / "sqlite.yaml"]
    arguments = [word for file in files for word in ("-c", str(file))]

    made = nursery.start(tmp_path, *arguments, "--generate-keys").wait(40)
    assert made == 0, (tmp_path / "synapse.out").read_text()
    assert (tmp_path / "signing.key").exists()

    process = nursery.start(tmp_path, *arguments)
    try:
        _wait_until_healthy(process, port)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        token = {"Authorization": f"Bearer {registration.as_token}"}
        connection.request("GET", "/_matrix/client/v3/account/whoami", headers=token)
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _wait_until_healthy(process: Child, port: int) -> None:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise AssertionError("Synapse is not healthy")
