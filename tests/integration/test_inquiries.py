"""An alias that somebody asks for is made a room, if OpenMeet has something behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from openmeet_bridge.core.changes import DeletePortal, PutPortal, RenamePortal
from openmeet_bridge.core.directory import Portal, Visibility
from openmeet_bridge.core.ids import PortalKind, PortalRef
from openmeet_bridge.matrix.homeserver import Homeserver

from ..support.simulated_world import NAMING, TENANT, SimulatedWorld, simulated_world
from ..support.waiting import eventually

HIKERS = PortalRef(TENANT, PortalKind.GROUP, "hikers")
WALKERS = PortalRef(TENANT, PortalKind.GROUP, "walkers")
OPEN = Portal(HIKERS, "", "Hikers", visibility=Visibility.PUBLIC)


@asynccontextmanager
async def stage(
    folder: Path, database_url: str
) -> AsyncIterator[tuple[SimulatedWorld, Homeserver]]:
    """A world, and the homeserver as a person of Matrix sees it."""
    async with (
        simulated_world(folder, database_url) as world,
        aiohttp.ClientSession() as session,
    ):
        _, token = world.homeserver.person("eve")
        yield world, Homeserver(session, world.homeserver.url, token)


async def test_a_room_is_made_on_demand(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url) as (world, eve):
        await world.settle([PutPortal(OPEN)])
        async with world.registrar.database.connection() as connection:
            # As if the job had been done, and the room never made: nobody does it by itself.
            await connection.execute("DELETE FROM portal")
            await connection.execute("UPDATE log SET tenant = NULL")
        alias = NAMING.alias(HIKERS)
        rooms = world.homeserver.rooms
        del rooms.rooms[rooms.aliases.pop(alias)]
        room_id = await eve.resolve_alias(alias)
        assert room_id == world.room(HIKERS).room_id


async def test_nothing_is_made_of_what_is_not_there(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url) as (world, eve):
        await world.settle([PutPortal(OPEN)])
        await world.settle([DeletePortal(HIKERS)])
        made = set(world.homeserver.rooms.rooms)
        for ref in (HIKERS, WALKERS):
            assert await eve.resolve_alias(NAMING.alias(ref)) is None
        assert set(world.homeserver.rooms.rooms) == made


@pytest.mark.parametrize("former", [False, True])
async def test_an_alias_that_was_removed_is_put_back(
    tmp_path: Path, database_url: str, former: bool
) -> None:
    async with stage(tmp_path, database_url) as (world, eve):
        await world.settle([PutPortal(OPEN), RenamePortal(HIKERS, WALKERS.slug)])
        room_id = world.room(WALKERS).room_id
        alias = NAMING.alias(HIKERS if former else WALKERS)
        world.homeserver.rooms.aliases.pop(alias, None)

        async def led() -> bool:
            return await eve.resolve_alias(alias) == room_id

        await eventually(led, "the alias leads to the room")
