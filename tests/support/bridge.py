"""A bridge for tests: inside the test's process, or in one of its own that can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import multiprocessing
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from openmeet_bridge import app, cli
from openmeet_bridge.config import Config, load
from openmeet_bridge.core.ids import TenantId, UserSlug
from openmeet_bridge.demo.synapse import HOST
from openmeet_bridge.openmeet.signing import sign

from .ports import free_port

START_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.02
TOKEN_LIFETIME = 3600.0
_CONTEXT = multiprocessing.get_context("forkserver")
_PRELOADED = [f"openmeet_bridge.{name}" for name in ("app", "cli", "storage.migrations")]


@dataclass(frozen=True)
class Site:
    """A community site with its secrets."""

    id: TenantId
    name: str
    secret: str
    service_key: str

    def token(self, number: int, slug: str, *, lifetime: float = TOKEN_LIFETIME) -> str:
        """Signs a token as OpenMeet does.

        Args:
            number: OpenMeet's id of the user.
            slug: The user's slug.
            lifetime: Seconds for which it is good.
        """
        return sign(self.secret, self.id, number, UserSlug(slug), time.time(), lifetime)


HERE = Site(TenantId("here"), "Here", "a secret of the tenant here, long", "key-of-here-0001")
THERE = Site(TenantId("there"), "There", "a secret of the tenant there, long", "key-of-there-001")


@dataclass
class Settings:
    """What a bridge is told, and where it listens: the same ports for its whole life.

    Attributes:
        folder: For its files.
        database_url: Its migrated database.
        registration_file: What it shares with the homeserver.
        homeserver_url: Where the homeserver is.
        transactions: Port of its listener for the homeserver.
        changes: Blocks of the configuration that a test wants different.
        of_tenant: Keys of a tenant that a test wants different, by the tenant's id.
    """

    folder: Path
    database_url: str
    registration_file: Path
    homeserver_url: str
    transactions: int
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    of_tenant: Mapping[TenantId, Mapping[str, Any]] = field(default_factory=dict)
    public: int = field(default_factory=free_port)
    operations: int = field(default_factory=free_port)

    @property
    def api_url(self) -> str:
        """Address of the public listener."""
        return f"http://{HOST}:{self.public}"

    @property
    def operations_url(self) -> str:
        """Address of the operations listener."""
        return f"http://{HOST}:{self.operations}"

    @property
    def file(self) -> Path:
        """The configuration file; written by :meth:`write`."""
        return self.folder / "config.yaml"

    def write(self) -> Config:
        """Writes the configuration file and reads it as the program does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(self._values()))
        return load(self.file, {})

    def _values(self) -> dict[str, Any]:
        values: dict[str, Any] = {
            "homeserver": {"url": self.homeserver_url, "server_name": "localhost"},
            "registration": str(self.registration_file),
            "database": self.database_url,
            "migrate_on_start": False,
            "listen": {
                "homeserver": f"{HOST}:{self.transactions}",
                "public": f"{HOST}:{self.public}",
                "operations": f"{HOST}:{self.operations}",
            },
            "tenants": [
                {
                    "id": tenant.id,
                    "name": tenant.name,
                    "jwt": {"algorithm": "HS256", "secret": tenant.secret},
                    "service_keys": [tenant.service_key],
                    **self.of_tenant.get(tenant.id, {}),
                }
                for tenant in (HERE, THERE)
            ],
            # A quiet world, so that nothing but what a test asks for happens.
            "repair": {"interval": 2, "echo_overdue": 5},
            "logging": {"level": "warning"},
        }
        for block, keys in self.changes.items():
            values[block] = {**values.get(block, {}), **keys}
        return values


@asynccontextmanager
async def running_bridge(settings: Settings) -> AsyncIterator[app.Bridge]:
    """Runs a bridge in this process for the length of the block."""
    config = await asyncio.to_thread(settings.write)
    async with app.running(config) as bridge:
        yield bridge


class BridgeProcess:
    """``openmeet-bridge serve`` as a process of its own: started, killed and started again.

    Args:
        settings: Its configuration and ports.

    All methods block; call them from a thread in async code.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._process: ForkServerProcess | None = None

    @property
    def log_file(self) -> Path:
        """What it said, over all its lives."""
        return self.settings.folder / "bridge.log"

    @property
    def runs(self) -> bool:
        """Whether it is alive."""
        return self._process is not None and self._process.is_alive()

    @property
    def pid(self) -> int | None:
        """Its process id, None when it does not run."""
        return self._process.pid if self._process is not None and self.runs else None

    def start(self) -> None:
        """Starts it, and waits until its last listener answers."""
        self.settings.write()
        # Forked from a server that has imported the program: to import it takes seconds.
        _CONTEXT.set_forkserver_preload(_PRELOADED)
        process = _CONTEXT.Process(target=_serve, args=(self.settings.file, self.log_file))
        process.start()
        self._process = process
        deadline = time.monotonic() + START_SECONDS
        while not _answers(self.settings.api_url):
            if not process.is_alive() or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"the bridge does not start:\n{self._said()}")
            time.sleep(POLL_SECONDS)

    def kill(self) -> None:
        """Ends it as the power going away would (SIGKILL). Harmless when it does not run."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ends it as an operator would (SIGTERM); returns its exit status."""
        return self._end(signal.SIGTERM)

    def _said(self) -> str:
        with contextlib.suppress(FileNotFoundError):  # ended before it could say anything
            return self.log_file.read_text(errors="replace")[-4000:]
        return ""

    def _end(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.pid is not None and process.is_alive():
            os.kill(process.pid, number)
        process.join(STOP_SECONDS)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise AssertionError(f"the bridge did not end in {STOP_SECONDS:.0f} s")
        code = process.exitcode
        process.close()
        return code


def _serve(file: Path, log_file: Path) -> None:
    os.setsid()
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(log, b"--- start\n")
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    cli.main(["serve", "-c", str(file)])


def _answers(url: str) -> bool:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    try:
        connection.request("GET", "/api/v1/me")
        return connection.getresponse().status == 401
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
