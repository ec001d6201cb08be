"""What the tests against a real Synapse share."""

from __future__ import annotations

from pathlib import Path

import pytest

from openmeet_bridge.demo.synapse import SynapseProcess

from ..support.bridge import Settings


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
