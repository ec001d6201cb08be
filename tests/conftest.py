"""Servers for tests: one PostgreSQL and one Synapse a session, a database and a client a test.

They start only when a test asks for them. Fixtures that live longer than a test are synchronous
on purpose: an asynchronous one would tie its resources to one event loop, and each test has its
own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog

from openmeet_bridge.demo.synapse import HOST, SynapseProcess
from openmeet_bridge.matrix.homeserver import Homeserver
from openmeet_bridge.matrix.registration import Registration, generate
from openmeet_bridge.storage.embedded import EmbeddedPostgres
from openmeet_bridge.stream.embedded_valkey import EmbeddedValkey

from .support.databases import Databases
from .support.ports import free_port
from .support.quick_synapse import Nursery, QuickSynapse
from .support.scheduling import ByFile

SERVER_NAME = "localhost"


def pytest_configure() -> None:
    """Shows with a failure what the bridge has said, as plainly as the program itself would.

    The pretty traceback, with every local variable of every frame, takes seconds to draw.
    """
    plain = structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(utc=True, fmt="iso"),
            plain,
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """How tests are given to several workers."""
    return ByFile(config, log)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A running PostgreSQL; careless about power cuts, to be quick."""
    quick = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), settings=quick) as server:
        yield server


@pytest.fixture(scope="session")
def databases(postgres: EmbeddedPostgres) -> Databases:
    """Makes databases on the session's PostgreSQL."""
    return Databases(postgres)


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """Address of a fresh, migrated database."""
    dsn = databases.create()
    yield dsn
    databases.drop(dsn)


@pytest.fixture
def empty_database_url(databases: Databases) -> Iterator[str]:
    """Address of a fresh database without tables."""
    dsn = databases.create_empty()
    yield dsn
    databases.drop(dsn)


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    """A running Valkey that all tests share; tests that stop one have their own."""
    with EmbeddedValkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def bridge_port() -> int:
    """Where Synapse sends transactions: the port each test's own bridge listens on."""
    return free_port()


@pytest.fixture(scope="session")
def registration(bridge_port: int) -> Registration:
    """The registration that the session's Synapse has loaded."""
    url = f"http://{HOST}:{bridge_port}"
    return generate(SERVER_NAME, url, adopt=["adopted-[a-z0-9-]+"])


@pytest.fixture(scope="session")
def registration_file(registration: Registration, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The registration as a file."""
    path = tmp_path_factory.mktemp("registration") / "registration.yaml"
    path.write_text(registration.dump())
    return path


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Of which Synapses are born in a moment."""
    with Nursery() as nursery:
        yield nursery


@pytest.fixture(scope="session")
def session_synapse(
    nursery: Nursery, registration_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SynapseProcess]:
    """The session's Synapse; tests want :func:`synapse`."""
    synapse = QuickSynapse(
        nursery,
        tmp_path_factory.mktemp("synapse"),
        port=free_port(),
        registrations=[registration_file],
        server_name=SERVER_NAME,
        relaxed=True,
        presence=True,
    )
    with synapse:
        yield synapse


@pytest.fixture
def synapse(session_synapse: SynapseProcess) -> Iterator[SynapseProcess]:
    """A running Synapse, which a test may pause, kill and restart.

    All tests share it, so use fresh rooms and names. What Synapse could not deliver while no
    bridge listened comes to the next test's bridge: expect events of strange rooms.
    """
    if session_synapse.pid is None:
        session_synapse.start()
    yield session_synapse
    if session_synapse.pid is None:
        session_synapse.start()
    session_synapse.resume()


@pytest.fixture
async def http_session() -> AsyncIterator[aiohttp.ClientSession]:
    """A client session of the test's own loop."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def homeserver(
    synapse: SynapseProcess, http_session: aiohttp.ClientSession, registration: Registration
) -> Homeserver:
    """The real homeserver, as the application service sees it."""
    return Homeserver(http_session, synapse.base_url, registration.as_token)
