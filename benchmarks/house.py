"""A bridge in a process of its own, on a PostgreSQL of its own with fsync on."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from openmeet_bridge.config import Address
from openmeet_bridge.demo.synapse import free_port
from openmeet_bridge.matrix.registration import Registration, generate
from openmeet_bridge.storage.embedded import EmbeddedPostgres

from . import world
from .wire import Connection, bearer, request

_HOST = "127.0.0.1"
_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
LIMITS = {
    "streams": 30_000,
    "streams_per_address": 30_000,
    "stream_connects_per_second": 1_000_000,
    "stream_connects_per_user": 1_000.0,
}
"""Limits of a bridge that is measured: all readers are on this machine, and come at once."""

_numbers = itertools.count(1)
_txn_ids = itertools.count(1)


@dataclass(frozen=True, slots=True)
class House:
    """A running bridge.

    Attributes:
        pid: Of the bridge.
        homeserver: Its listener for transactions.
        public: Its public listener.
        operations: Its listener for operators.
        dsn: Its database.
        hs_token: What a homeserver shows.
    """

    pid: int
    homeserver: Address
    public: Address
    operations: Address
    dsn: str
    hs_token: str

    def transaction(self, events: list[bytes]) -> bytes:
        """Return the request that pushes events."""
        path = f"/_matrix/app/v1/transactions/{next(_txn_ids)}"
        return request("PUT", path, bearer(self.hs_token), world.transaction(events))

    def push(self, events: list[bytes]) -> None:
        """Push events and wait for the acknowledgement."""
        connection = Connection(self.homeserver)
        connection.ask(self.transaction(events))
        connection.close()


@dataclass(frozen=True, slots=True)
class Plan:
    """What homeserver and bridge must agree upon before either starts."""

    home: Path
    listen: Address
    registration: Registration
    registration_file: Path


def plan(home: Path) -> Plan:
    """Choose a port for transactions, and write the registration."""
    listen = Address(_HOST, free_port())
    registration = generate(world.SERVER_NAME, f"http://{listen}")
    home.mkdir()
    file = home / "registration.yaml"
    file.write_text(registration.dump())
    return Plan(home, listen, registration, file)


@contextmanager
def running(
    agreed: Plan,
    postgres: EmbeddedPostgres,
    homeserver_url: str | None = None,
    *,
    dsn: str | None = None,
    settings: Mapping[str, Any] = {},
) -> Iterator[House]:
    """Run a bridge for the length of the block.

    Args:
        agreed: The registration.
        postgres: A running server.
        homeserver_url: Its Synapse; None for none: then it has only what is pushed to it.
        dsn: Its database; a fresh one where there is none.
        settings: Further blocks of its configuration.
    """
    dsn = dsn or new_database(postgres)
    public, operations = (Address(_HOST, free_port()) for _ in range(2))
    values: dict[str, Any] = {
        "homeserver": {
            "url": homeserver_url or f"http://{_HOST}:9",
            "server_name": world.SERVER_NAME,
        },
        "registration": str(agreed.registration_file),
        "database": dsn,
        "listen": {
            "homeserver": str(agreed.listen),
            "public": str(public),
            "operations": str(operations),
        },
        "tenants": [
            {
                "id": world.TENANT,
                "name": "Benchmark",
                "jwt": {"algorithm": "HS256", "secret": world.JWT_SECRET},
                "service_keys": [world.SERVICE_KEY],
            }
        ],
        "limits": LIMITS,
        "logging": {"level": "error"},
        **settings,
    }
    file = agreed.home / "config.yaml"
    file.write_text(json.dumps(values))
    process = _start(file, agreed.home / "bridge.log")
    try:
        _wait_until_alive(process, operations, agreed.home / "bridge.log")
        token = agreed.registration.hs_token
        yield House(process.pid, agreed.listen, public, operations, dsn, token)
    finally:
        _stop(process)


def new_database(postgres: EmbeddedPostgres) -> str:
    """Make an empty database and return its address."""
    name = f"bench_{next(_numbers)}"

    async def create() -> None:
        connection = await asyncpg.connect(postgres.dsn_of("postgres"))
        try:
            await connection.execute(f"CREATE DATABASE {name}")
        finally:
            await connection.close()

    asyncio.run(create())
    return postgres.dsn_of(name)


def _start(config: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "openmeet_bridge", "serve", "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )


def _wait_until_alive(process: subprocess.Popen[bytes], operations: Address, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the bridge does not start:\n{log.read_text()[-4000:]}")
        try:
            connection = Connection(operations)
            connection.ask(request("GET", "/health/live", {}))
        except OSError:
            time.sleep(0.05)
        else:
            connection.close()
            # The public listener comes last.
            time.sleep(0.5)
            return


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
