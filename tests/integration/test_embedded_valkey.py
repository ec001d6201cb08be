"""The Valkey of the bridge's own, and how a bridge gets the bus that its configuration wants."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection

from openmeet_bridge.app.buses import bus_parts, bus_server
from openmeet_bridge.config import Config, load
from openmeet_bridge.core.errors import ConfigError, Unavailable
from openmeet_bridge.stream.bus import EVERYBODY, LocalBus
from openmeet_bridge.stream.embedded_valkey import EmbeddedValkey, EmbeddedValkeyError, address_of
from openmeet_bridge.stream.valkey_bus import ValkeyBus
from openmeet_bridge.stream.valkey_link import Server

from ..support.valkey import Listener, listening, running

STARTER = """
import os, signal, sys
from pathlib import Path
from openmeet_bridge.stream.embedded_valkey import EmbeddedValkey
server = EmbeddedValkey(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""

Written = Callable[[str], Config]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Loads a small configuration with a bus."""

    def run(bus: str) -> Config:
        file = tmp_path / "config.yaml"
        file.write_text(
            "homeserver: {url: 'http://127.0.0.1:8008', server_name: example.org}\n"
            "registration: registration.yaml\n"
            "jwt_default: {algorithm: HS256, secret: a secret that is long enough for HS256}\n"
            "tenants: [{id: one, name: One}]\n"
            f"bus: {bus}\n"
        )
        return load(file, {})

    return run


def works(pid: int) -> bool:
    """Whether a process lives and is no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


async def test_it_is_shared_and_ends_with_its_owner(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path) as server, EmbeddedValkey(tmp_path) as second:
        assert server.pid is not None
        assert second.pid is None
        assert server.address == second.address == address_of(tmp_path)
        assert (tmp_path / "valkey.sock").stat().st_mode & 0o077 == 0
        second.stop()
        async with listening(server.address) as listener:
            assert not listener.bus.deaf
        pid = server.pid
    assert not works(pid)
    assert server.pid is None


@pytest.fixture
def orphan(tmp_path: Path) -> int:
    """A server whose owner was killed."""
    command = [sys.executable, "-c", STARTER, str(tmp_path)]
    started = subprocess.run(command, capture_output=True, text=True, check=False)
    return int(started.stdout)


async def test_the_next_owner_ends_an_orphan(tmp_path: Path, orphan: int) -> None:
    assert works(orphan)
    os.kill(orphan, signal.SIGSTOP)
    with EmbeddedValkey(tmp_path) as server:
        assert not works(orphan)
        async with listening(server.address) as listener:
            assert not listener.bus.deaf


def test_a_path_that_is_too_long_for_a_socket(tmp_path: Path) -> None:
    home = tmp_path / ("deep" * 30)
    with EmbeddedValkey(home) as server:
        path = Path(server.address.removeprefix("unix://"))
        assert path.is_socket()
        assert len(str(path)) < 100
        path.parent.chmod(0o755)
        with pytest.raises(EmbeddedValkeyError, match="not a private directory"):
            EmbeddedValkey(home).start()
    path.parent.rmdir()


def test_it_says_why_it_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = EmbeddedValkey(tmp_path, settings={"maxclients": "nonsense"})
    with pytest.raises(EmbeddedValkeyError, match="maxclients"):
        server.start()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EmbeddedValkeyError, match=r"openmeet-bridge\[embedded-valkey\]"):
        EmbeddedValkey(tmp_path).start()


async def test_the_bus_is_what_the_configuration_wants(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = bus_parts(written("local"), "epoch")
    assert isinstance(parts.bus, LocalBus)
    assert parts.loops == {}
    await parts.close()
    config = written("embedded")
    async with bus_server(written("local")), bus_server(config):
        ours, theirs = (bus_parts(config, epoch).bus for epoch in ("epoch", "another"))
        assert isinstance(ours, ValkeyBus)
        assert isinstance(theirs, ValkeyBus)
        async with listening(address_of(config.data_dir), "epoch") as other, running(ours):
            await Listener(ours).listens()
            theirs.say(EVERYBODY, b"never")
            ours.say(EVERYBODY, b"1")
            await other.hears(b"1")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"bus: needs: pip install 'openmeet-bridge\[valkey\]'"):
        bus_parts(config, "epoch")
    with pytest.raises(Unavailable, match="embedded-valkey"):
        async with bus_server(config):
            pass


@pytest.mark.parametrize(
    "address",
    [
        "valkey://host",
        "valkeys://user:p%40ss@host:6380/2",
        "redis://host:6379/0",
        "rediss://[::1]:6379",
        "unix:///run/valkey.sock",
    ],
)
def test_addresses_that_can_be_used(written: Written, address: str) -> None:
    config = written(f"'{address}'")
    assert config.bus == address
    assert address not in repr(config)
    bus_parts(config, "epoch")


@pytest.mark.parametrize(
    "address",
    ["remote", "http://s3cret@host", "valkey://", "valkey://s3cret@h:port", "unix://s3cret",
     "valkey://s3cret@host/names"],
)  # fmt: skip
def test_addresses_that_cannot_be_used(written: Written, address: str) -> None:
    with pytest.raises(ConfigError, match=r"config.yaml:5: bus: expected") as caught:
        written(f"'{address}'")
    assert "s3cret" not in str(caught.value)


def test_how_a_server_is_reached() -> None:
    secure = Server("valkeys://user:p%40ss@host:6380/2").link()._connection
    assert isinstance(secure, SSLConnection)
    assert (secure.host, secure.port, secure.db) == ("host", 6380, 2)
    assert (secure.username, secure.password) == ("user", "p@ss")
    # What the address says does not make a listener hang up on a server that is silent.
    assert Server("redis://host?socket_timeout=5").link()._connection.socket_timeout is None
    node = Server("valkey://:secret@host").link(("10.0.0.7", 7000))._connection
    assert (getattr(node, "host", ""), node.password) == ("10.0.0.7", "secret")
    local = Server("unix:///run/valkey.sock").link()._connection
    assert isinstance(local, UnixDomainSocketConnection)
