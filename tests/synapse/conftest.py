"""What the tests against a real Synapse share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from openmeet_bridge.demo.synapse import SynapseProcess

from ..support.bridge import Settings, running_bridge
from ..support.databases import Databases
from ..support.fault_proxy import FaultProxy, fault_proxy
from ..support.world import World, connected


@pytest.fixture
def settings(
    tmp_path: Path,
    database_url: str,
    registration_file: Path,
    synapse: SynapseProcess,
    bridge_port: int,
) -> Settings:
    """A bridge of its own for a test, with nothing between it and Synapse."""
    return Settings(tmp_path, database_url, registration_file, synapse.base_url, bridge_port)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def to_synapse(session_synapse: SynapseProcess) -> AsyncIterator[FaultProxy]:
    """Sees what a module's bridge asks of Synapse."""
    async with fault_proxy(session_synapse.base_url) as proxy:
        yield proxy


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(
    request: pytest.FixtureRequest,
    databases: Databases,
    registration_file: Path,
    session_synapse: SynapseProcess,
    to_synapse: FaultProxy,
    bridge_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[World]:
    """One bridge for all tests of a module, with its ``CHANGES`` of the configuration.

    Each test makes its own people and rooms.
    """
    database_url = databases.create()
    folder = tmp_path_factory.mktemp("bridge")
    settings = Settings(folder, database_url, registration_file, to_synapse.url, bridge_port)
    settings.changes = getattr(request.module, "CHANGES", {})
    async with running_bridge(settings), connected(settings, session_synapse.base_url) as world:
        yield world
    databases.drop(database_url)
