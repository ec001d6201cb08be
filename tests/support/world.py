"""A running bridge with OpenMeet's backend on its two sites."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import asyncpg

from openmeet_bridge.core.ids import Mxid
from openmeet_bridge.matrix import registration as registrations
from openmeet_bridge.matrix.homeserver import Homeserver

from .bridge import HERE, THERE, Settings
from .openmeet import Backend


@dataclass
class World:
    """Everything that a test of the main way needs.

    Attributes:
        settings: What the bridge was told.
        session: HTTP session of the test.
        here: The backend of one site.
        there: The backend of the other.
        homeserver: The homeserver itself, whatever stands between it and the bridge.
        bot: The bridge's bot, who sees every room.
    """

    settings: Settings
    session: aiohttp.ClientSession
    here: Backend
    there: Backend
    homeserver: Homeserver
    bot: Mxid

    async def sql(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """Asks the bridge's database."""
        connection = await asyncpg.connect(self.settings.database_url)
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close()


@asynccontextmanager
async def connected(settings: Settings, homeserver_url: str) -> AsyncIterator[World]:
    """People, backends and the homeserver around a bridge that somebody else runs."""
    registration = registrations.load(settings.registration_file, "localhost")
    async with aiohttp.ClientSession() as session:
        yield World(
            settings,
            session,
            Backend(session, settings, HERE),
            Backend(session, settings, THERE),
            Homeserver(session, homeserver_url, registration.as_token),
            registration.bot,
        )
