"""A duplicate of a portal's room is given up for the portal's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from openmeet_bridge.bridge.merging import Merging
from openmeet_bridge.core.changes import PutPortal, PutUser, ReplaceMembers
from openmeet_bridge.core.directory import Member, Portal, User
from openmeet_bridge.core.errors import Conflict, NotFound
from openmeet_bridge.core.ids import PortalKind, PortalRef, RoomId, UserSlug
from openmeet_bridge.matrix.homeserver import Homeserver

from ..support.simulated_rooms import Room
from ..support.simulated_world import NAMING, TENANT, SimulatedWorld, simulated_world

HIKERS = PortalRef(TENANT, PortalKind.GROUP, "hikers")
ANN = UserSlug("ann")
GHOST = NAMING.ghost(TENANT, ANN)


@dataclass
class Stage:
    """A portal's room, and a duplicate with a ghost and a person in it."""

    world: SimulatedWorld
    merging: Merging
    eve: str
    duplicate: Room

    @property
    def main(self) -> Room:
        """The portal's room."""
        return self.world.room(HIKERS)


@asynccontextmanager
async def stage(folder: Path, database_url: str, *, bot_is_creator: bool) -> AsyncIterator[Stage]:
    async with (
        simulated_world(folder, database_url) as world,
        aiohttp.ClientSession() as session,
    ):
        await world.settle(
            [
                PutUser(User(TENANT, ANN, None, "Ann", None)),
                PutPortal(Portal(HIKERS, "", "Hikers")),
                ReplaceMembers(HIKERS, (Member(ANN),)),
            ]
        )
        rooms = world.homeserver.rooms
        eve, _ = world.homeserver.person("eve")
        duplicate = rooms.create(NAMING.bot if bot_is_creator else eve, {"preset": "public_chat"})
        for mxid in (GHOST, eve, NAMING.bot):
            rooms.join(duplicate, mxid)
        token = world.homeserver.registration.as_token
        homeserver = Homeserver(session, world.homeserver.url, token)
        merging = Merging(world.registrar.database, homeserver, NAMING)
        yield Stage(world, merging, eve, duplicate)


async def test_people_are_led_to_the_portals_room(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, bot_is_creator=True) as made:
        merged = await made.merging.merge(HIKERS, RoomId(made.duplicate.room_id))
        assert (merged.invited, merged.tombstone, merged.left) == ([made.eve], True, [GHOST])
        assert made.main.membership(made.eve) == "invite"
        tombstone = made.duplicate.content("m.room.tombstone")
        assert tombstone["replacement_room"] == made.main.room_id
        inside = {event["state_key"] for event in made.duplicate.members("join")}
        assert inside == {made.eve}
        async with made.world.registrar.database.connection() as connection:
            (former,) = await connection.fetch("SELECT * FROM former_room")
        assert (former["reason"], former["successor"]) == ("merged", made.main.room_id)


async def test_without_power_there_is_no_tombstone(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, bot_is_creator=False) as made:
        merged = await made.merging.merge(HIKERS, RoomId(made.duplicate.room_id))
        assert not merged.tombstone
        assert made.main.membership(made.eve) == "invite"
        assert made.duplicate.membership(GHOST) == "leave"


async def test_what_cannot_be_merged(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, bot_is_creator=False) as made:
        main, nowhere = made.main, PortalRef(TENANT, PortalKind.GROUP, "nowhere")
        with pytest.raises(Conflict, match="is the room of"):
            await made.merging.merge(HIKERS, RoomId(main.room_id))
        with pytest.raises(NotFound):
            await made.merging.merge(nowhere, RoomId(made.duplicate.room_id))
        closed = made.world.homeserver.rooms.create(made.eve, {})
        with pytest.raises(Conflict, match="cannot come into"):
            await made.merging.merge(HIKERS, RoomId(closed.room_id))
