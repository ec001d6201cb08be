"""Where an operator sits: a configuration, a database, and the commands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from openmeet_bridge import cli
from openmeet_bridge.app.desk import Desk, open_desk
from openmeet_bridge.config import load
from openmeet_bridge.core.changes import Change
from openmeet_bridge.core.ids import TenantId
from openmeet_bridge.matrix.registration import generate
from openmeet_bridge.storage import jobs

LAKE, SEA = TenantId("lake"), TenantId("sea")
CONFIG = {
    "homeserver": {"url": "http://127.0.0.1:1", "server_name": "test"},
    "registration": "registration.yaml",
    "jwt_default": {"algorithm": "HS256", "secret": "a secret that is long enough for HS256"},
    "tenants": [{"id": LAKE, "name": "By the lake"}, {"id": SEA, "name": "By the sea"}],
}


class Office:
    """Where an operator sits: a configuration, a database, the commands."""

    def __init__(self, folder: Path, database_url: str, **settings: Any) -> None:
        self.database_url = database_url
        self.file = folder / "config.yaml"
        self.file.write_text(json.dumps(CONFIG | {"database": database_url} | settings))
        registration = generate("test", "http://127.0.0.1:2")
        (folder / "registration.yaml").write_text(registration.dump())

    def run(self, *words: str, stdin: str | None = None) -> Result:
        """Gives a command."""
        return CliRunner().invoke(
            cli.main, words, input=stdin, env={"OPENMEET_BRIDGE_CONFIG": str(self.file)}
        )

    def said(self, *words: str) -> str:
        """What a command that must succeed prints."""
        result = self.run(*words)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *words: str) -> Any:
        """What a command prints for machines."""
        return json.loads(self.said(*words, "--json"))

    def at_desk(self, work: Callable[[Desk], Awaitable[Any]]) -> Any:
        """Does something with what commands have."""

        async def run() -> Any:
            async with open_desk(load(self.file, {})) as desk:
                return await work(desk)

        return asyncio.run(run())

    def write(self, *changes: Change, tenant: TenantId = LAKE) -> None:
        """Writes into the directory as a feed does."""
        self.at_desk(lambda desk: desk.directory.apply(tenant, changes))

    def end_jobs(self, error: str | None = None) -> None:
        """Ends all jobs as a bridge would: done, or failed for good."""

        async def work(desk: Desk) -> None:
            async with desk.database.connection() as connection:
                for job in await jobs.take(connection, 1000, 60):
                    if error is None:
                        await jobs.finish(connection, job, 12)
                    else:
                        await jobs.postpone(connection, job, 0, error, permanent=True)

        self.at_desk(work)
