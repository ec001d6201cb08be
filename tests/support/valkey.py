"""Buses over a real Valkey, quick to notice and quick to come back, and a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import redis

from openmeet_bridge.demo.synapse import HOST
from openmeet_bridge.stream.backlog import Backlog
from openmeet_bridge.stream.embedded_valkey import EmbeddedValkey
from openmeet_bridge.stream.valkey_bus import ValkeyBus

from .ports import free_ports

PATIENCE = 60.0
SLOTS = 16384
_POLL = 0.02


class Listener:
    """A bus that runs, and what it has heard."""

    def __init__(self, bus: ValkeyBus) -> None:
        self.bus = bus
        self.heard: list[bytes] = []
        self._more = asyncio.Event()
        bus.heard = self._hear

    async def begin(self, *topics: str) -> None:
        """Begins topics, and waits until they are heard."""
        for topic in topics:
            self.bus.begin(topic)
        await self.listens()

    async def listens(self) -> None:
        """Waits until everything is heard that was begun."""
        await asyncio.wait_for(self.bus.hears(), PATIENCE)

    async def has(self, number: int) -> None:
        """Waits until this much was said."""
        async with asyncio.timeout(PATIENCE):
            while len(self.heard) < number:
                self._more.clear()
                await self._more.wait()

    async def hears(self, *payloads: bytes) -> None:
        """Waits until this was said and no more than this, and forgets it."""
        await self.has(len(payloads))
        assert self.heard == list(payloads)
        self.heard.clear()

    def _hear(self, payload: bytes) -> None:
        self.heard.append(payload)
        self._more.set()


@contextlib.asynccontextmanager
async def listening(
    address: str, deployment: str = "one", *, backlog: Backlog | None = None, beat: float = 1.0
) -> AsyncIterator[Listener]:
    """Runs a bus for the length of the block, which begins when it hears."""
    listener = Listener(
        ValkeyBus(address, deployment, backlog=backlog, beat=beat, longest_pause=0.1)
    )
    async with running(listener.bus):
        await listener.listens()
        yield listener


@contextlib.asynccontextmanager
async def running(bus: ValkeyBus) -> AsyncIterator[None]:
    """Runs a bus for the length of the block."""
    running = asyncio.create_task(bus.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


class Cluster:
    """Two servers that share the hash slots.

    Attributes:
        addresses: Theirs, for a bus.
    """

    def __init__(self, home: Path) -> None:
        self._ports = list(free_ports(2))
        self._servers = [
            EmbeddedValkey(home / str(port), settings=_cluster_settings(port))
            for port in self._ports
        ]
        self.addresses = [f"valkey://{HOST}:{port}" for port in self._ports]

    @contextlib.contextmanager
    def running(self) -> Iterator[Cluster]:
        """Runs the servers for the length of the block, which begins when they agree."""
        with self._servers[0], self._servers[1], self._clients() as (one, two):
            half = SLOTS // 2
            _ask(one, "CLUSTER ADDSLOTSRANGE", 0, half - 1)
            _ask(two, "CLUSTER ADDSLOTSRANGE", half, SLOTS - 1)
            _ask(one, "CLUSTER MEET", HOST, self._ports[1])
            for client in (one, two):
                while _ask(client, "CLUSTER INFO")["cluster_state"] != "ok":
                    time.sleep(_POLL)
            yield self

    def move(self, slot: int) -> None:
        """Lets the second server have a slot of the first one."""
        with self._clients() as (one, two):
            old, new = (_ask(client, "CLUSTER MYID") for client in (one, two))
            # Who imports a slot has the newer word on it; else what the first one has said of it
            # just before might be believed.
            _ask(two, "CLUSTER SETSLOT", slot, "IMPORTING", old)
            _ask(one, "CLUSTER SETSLOT", slot, "MIGRATING", new)
            for client in (two, one):
                _ask(client, "CLUSTER SETSLOT", slot, "NODE", new)

    @contextlib.contextmanager
    def _clients(self) -> Iterator[tuple[redis.Redis, redis.Redis]]:
        one, two = (redis.Redis(HOST, port, protocol=2) for port in self._ports)
        with one, two:
            yield one, two


def _ask(client: redis.Redis, *words: object) -> Any:
    return client.execute_command(*words)  # type: ignore[no-untyped-call]


def _cluster_settings(port: int) -> dict[str, str]:
    return {
        "port": str(port),
        "bind": HOST,
        "cluster-enabled": "yes",
        "cluster-config-file": "nodes.conf",
        "cluster-node-timeout": "500",
    }
