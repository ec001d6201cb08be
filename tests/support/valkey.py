"""Buses over a real Valkey, quick to notice and quick to come back, and servers of all kinds."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import redis

from openmeet_bridge.core.ids import Position
from openmeet_bridge.demo.synapse import HOST, free_port
from openmeet_bridge.stream.backlog import Backlog
from openmeet_bridge.stream.embedded_valkey import EmbeddedValkey
from openmeet_bridge.stream.valkey_bus import ValkeyBus

LONG = 3600.0
FAR = Position(1 << 60)
SLOTS = 16384


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
            await self.up_to_date()
            self.bus.begin(topic)
            # Whoever hears of one topic more is told to look.
            await asyncio.wait_for(self.bus.wait(FAR, LONG), 60)

    async def up_to_date(self) -> None:
        """Takes note of everything that there was to look for."""
        while self.bus._news._looked.get(_task(), 0) != self.bus._news._looks:  # noqa: SLF001
            await self.bus.wait(FAR, LONG)

    async def hears(self, *payloads: bytes) -> None:
        """Waits until this was said and no more than this, and forgets it."""
        async with asyncio.timeout(60):
            while len(self.heard) < len(payloads):
                self._more.clear()
                await self._more.wait()
        assert self.heard == list(payloads)
        self.heard.clear()

    def _hear(self, payload: bytes) -> None:
        self.heard.append(payload)
        self._more.set()
