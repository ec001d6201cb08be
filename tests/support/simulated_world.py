"""A bridge on a simulated homeserver, with a directory that the test writes by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from openmeet_bridge.bridge import reconciler, spaces
from openmeet_bridge.core.changes import Change
from openmeet_bridge.core.ids import PortalRef, TenantId
from openmeet_bridge.core.naming import Naming
from openmeet_bridge.core.rules import Rules
from openmeet_bridge.demo.synapse import HOST
from openmeet_bridge.matrix.registration import generate

from .bridge import HERE, Settings, running_bridge
from .fault_proxy import FaultProxy, fault_proxy
from .ports import free_port
from .settling import Registrar, registrar
from .simulated_homeserver import Mood, SimulatedHomeserver
from .simulated_rooms import Room

NAMING = Naming("localhost")
TENANT = TenantId(HERE.id)


@dataclass
class SimulatedWorld:
    """A bridge on a simulated homeserver.

    Attributes:
        homeserver: The homeserver.
        proxy: On the way to it.
        registrar: Writes the directory.
        settings: Of the bridge.
    """

    homeserver: SimulatedHomeserver
    proxy: FaultProxy
    registrar: Registrar
    settings: Settings

    async def settle(self, changes: Sequence[Change]) -> None:
        """Write changes and wait until Matrix follows."""
        await self.registrar.write(TENANT, changes)
        await self.registrar.settled()

    def room(self, ref: PortalRef) -> Room:
        """The room to which a portal's alias leads."""
        return self.at(NAMING.alias(ref))

    def at(self, alias: str) -> Room:
        """The room to which an alias leads."""
        rooms = self.homeserver.rooms
        assert alias in rooms.aliases, sorted(rooms.aliases)
        return rooms.room(rooms.aliases[alias])


@asynccontextmanager
async def simulated_world(
    folder: Path,
    database_url: str,
    mood: Mood | None = None,
    *,
    sweep: float = 3600.0,
    rules: Mapping[str, Any] = {},
    version: str = "12",
    limits: Mapping[str, Any] = {},
    presence: Mapping[str, Any] = {},
    of_tenant: Mapping[TenantId, Mapping[str, Any]] = {},
    blocks: Mapping[str, Mapping[str, Any]] = {},
) -> AsyncIterator[SimulatedWorld]:
    """Runs a bridge on a simulated homeserver for the length of the block.

    Args:
        folder: For its files.
        database_url: A migrated database.
        mood: Of the homeserver.
        sweep: Seconds of a sweep; the bridge itself asks the homeserver nothing meanwhile.
        rules: The bridge's.
        version: Of new rooms.
        limits: The bridge's.
        presence: The bridge's.
        of_tenant: Keys of a tenant, by its id.
        blocks: Further blocks of the bridge's configuration.
    """
    port = free_port()
    registration = generate("localhost", f"http://{HOST}:{port}")
    file = folder / "registration.yaml"
    file.write_text(registration.dump())
    async with (
        SimulatedHomeserver(registration, mood or Mood()).running() as homeserver,
        fault_proxy(homeserver.url) as proxy,
    ):
        settings = Settings(folder, database_url, file, proxy.url, port)
        settings.changes = {
            "rooms": {"sweep": sweep, "jobs_at_once": 8, "version": version},
            "repair": {"interval": 3600},
            "rules": rules,
            "limits": limits,
            "presence": presence,
            **blocks,
        }
        settings.of_tenant = of_tenant
        async with registrar(database_url, NAMING, Rules()) as writer:
            with _quick():
                async with running_bridge(settings):
                    yield SimulatedWorld(homeserver, proxy, writer, settings)


@contextmanager
def _quick() -> Iterator[None]:
    """No rests that serve a busy homeserver only."""
    with pytest.MonkeyPatch.context() as patch:
        # Nobody wakes the bridge when a test writes into its database.
        patch.setattr(reconciler, "_IDLE", 0.1)
        patch.setattr(spaces, "_TOGETHER", 0.2)
        yield
