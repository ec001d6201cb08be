"""The stage: real servers, some workers of the bridge, and balancers before them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from openmeet_bridge.core.ids import Mxid
from openmeet_bridge.demo.synapse import SynapseProcess
from openmeet_bridge.matrix.homeserver import Homeserver
from openmeet_bridge.matrix.registration import generate
from openmeet_bridge.storage import migrations
from openmeet_bridge.storage.embedded import EmbeddedPostgres

from ..support.balancer import balancer
from ..support.bridge import BridgeProcess, Settings
from ..support.ports import free_port, free_ports
from ..support.quick_synapse import Nursery, QuickSynapse
from .bridges import bridges_of
from .plan import Plan
from .servers import Postgres, Server, Synapse, Valkey, Way
from .versions import WATCH

SERVER_NAME = "localhost"
HEARTBEAT = 2.0
_PATIENT = aiohttp.ClientTimeout(total=60)


@dataclass
class WorkerSettings(Settings):
    """A worker's configuration.

    Attributes:
        top: Keys that are no blocks.
    """

    top: Mapping[str, Any] = field(default_factory=dict)

    def _values(self) -> dict[str, Any]:
        return {**super()._values(), **self.top}


@dataclass
class Stage:
    """What is there.

    Attributes:
        servers: Everything to which something can be done, by name.
        front: As a bridge whose public listener is the balancer.
        session: For requests of people; each goes through the balancer anew.
        synapse: For those who are on Matrix.
        homeserver: What is true, past all that is broken.
        bot: The bridge's bot, who sees every room.
        folder: Where everything is.
    """

    servers: dict[str, Server]
    front: Settings
    session: aiohttp.ClientSession
    synapse: SynapseProcess
    homeserver: Homeserver
    bot: Mxid
    folder: Path

    async def sql(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """Ask the bridge's database."""
        connection = await asyncpg.connect(self.front.database_url, timeout=10)
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close()


@asynccontextmanager
async def stage(plan: Plan, folder: Path, nursery: Nursery) -> AsyncIterator[Stage]:
    """Set the stage for the length of the block.

    Args:
        plan: How large it is.
        folder: For all files; a short path, because PostgreSQL's socket is in it.
        nursery: Of which Synapse is born.
    """
    async with AsyncExitStack() as stack:
        database = EmbeddedPostgres(folder / "pg", settings=_CARELESS)
        await asyncio.to_thread(database.start)
        stack.push_async_callback(asyncio.to_thread, database.stop)
        await _prepare(database.dsn)
        count = 1 if plan.together else plan.workers
        own = [(free_port(), free_port()) for _ in range(count)]
        public = await stack.enter_async_context(balancer([one for one, _ in own], free_port()))
        push = await stack.enter_async_context(balancer([one for _, one in own], free_port()))
        registration = generate(SERVER_NAME, push.url)
        file = folder / "registration.yaml"
        file.write_text(registration.dump())
        synapse = await _synapse(folder, file, nursery, stack)
        servers: list[Server] = [Postgres(database), Synapse(synapse)]
        servers += [Way("public", public), Way("push", push)]
        front = Settings(
            folder, database.dsn, file, synapse.base_url, push.port, public=public.port
        )
        top = await _top(plan, folder, servers, stack)
        servers += await _started(plan, front, own, top, stack)
        # Each request anew: a connection that is kept would tie its user to one worker.
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=connector, timeout=_PATIENT)
        )
        yield Stage(
            servers={one.name: one for one in servers},
            front=front,
            session=session,
            synapse=synapse,
            homeserver=Homeserver(session, synapse.base_url, registration.as_token),
            bot=registration.bot,
            folder=folder,
        )


async def _synapse(
    folder: Path, registration: Path, nursery: Nursery, stack: AsyncExitStack
) -> SynapseProcess:
    synapse = QuickSynapse(
        nursery,
        folder / "synapse",
        port=free_port(),
        registrations=[registration],
        server_name=SERVER_NAME,
        relaxed=True,
    )
    await asyncio.to_thread(synapse.start)
    stack.push_async_callback(asyncio.to_thread, synapse.stop)
    return synapse


async def _top(
    plan: Plan, folder: Path, servers: list[Server], stack: AsyncExitStack
) -> dict[str, Any]:
    """Start a Valkey where there are several workers; return what they are told of each other."""
    if plan.workers == 1:
        return {}
    valkey = Valkey(folder, free_port())
    await asyncio.to_thread(valkey.start)
    stack.push_async_callback(asyncio.to_thread, valkey.kill)
    servers.append(valkey)
    return {"bus": valkey.url, **({"workers": plan.workers} if plan.together else {})}


async def _started(
    plan: Plan,
    front: Settings,
    own: list[tuple[int, int]],
    top: dict[str, Any],
    stack: AsyncExitStack,
) -> list[Server]:
    """Start the bridge, one program for each pair of ports."""
    processes = []
    for number, (open_port, push_port) in enumerate(own, 1):
        settings = WorkerSettings(
            front.folder / f"worker{number}",
            front.database_url,
            front.registration_file,
            front.homeserver_url,
            push_port,
            _changes(plan),
            public=open_port,
            # Each worker of one program has one of its own, counted up from the first.
            operations=free_ports(plan.workers)[0],
            top=top,
        )
        # One after another: msgspec breaks when two threads come to a new type at once.
        settings.write()
        processes.append(BridgeProcess(settings))
        stack.push_async_callback(asyncio.to_thread, processes[-1].stop)
    bridges = bridges_of(plan, processes)
    first = bridges[:1] if plan.together else bridges
    await asyncio.gather(*(asyncio.to_thread(one.start) for one in first))
    return bridges


_CARELESS = {
    # Of the machine's own end nothing is asked here, so the disk may be late. But a commit must
    # be where a killed server cannot lose it.
    "fsync": "off",
    "synchronous_commit": "on",
    "max_connections": "200",
}


async def _prepare(dsn: str) -> None:
    await migrations.upgrade_async(dsn)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(WATCH)
    finally:
        await connection.close()


def _changes(plan: Plan) -> dict[str, dict[str, Any]]:
    return {
        "stream": {"heartbeat": HEARTBEAT, "drain": 1},
        "repair": {"interval": 4, "echo_overdue": 4},
        "limits": {
            "send_wait": 1,
            "timeline_page": 1000,
            "replay_entries": plan.replay_entries,
        },
        "rules": {"private": {"history": "joined"}, "spaces": False},
        "pictures": {"enabled": False},
        "logging": {"level": "info"},
    }
