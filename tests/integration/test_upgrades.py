"""Room upgrades are followed where they are legitimate, and streams hear of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from openmeet_bridge.core.changes import PutPortal, PutUser, RenamePortal, ReplaceMembers
from openmeet_bridge.core.directory import Member, Portal, User
from openmeet_bridge.core.ids import Mxid, PortalKind, PortalRef, UserSlug

from ..support.bridge import HERE
from ..support.openmeet import User as Browser
from ..support.simulated_rooms import Json, Room
from ..support.simulated_world import NAMING, TENANT, SimulatedWorld, simulated_world
from ..support.waiting import eventually

HIKERS = PortalRef(TENANT, PortalKind.GROUP, "hikers")
WALKERS = PortalRef(TENANT, PortalKind.GROUP, "walkers")
ANN = UserSlug("ann")


@dataclass
class Stage:
    """A group's room in which a person of Matrix has all power."""

    world: SimulatedWorld
    room: Room
    eve: str
    ann: Mxid
    browser: Browser

    def successor(self, *, predecessor: str | None = None, public: bool = False) -> Room:
        """Eve's new room, as a homeserver makes it for an upgrade."""
        rooms = self.world.homeserver.rooms
        before = {"room_id": predecessor or self.room.room_id, "event_id": "$last"}
        body: Json = {
            "room_version": "11",
            "preset": "public_chat" if public else "private_chat",
            "creation_content": {"predecessor": before},
            "power_level_content_override": {
                "users": {self.eve: 100, NAMING.bot: 100},
                "events": {"m.room.power_levels": 100},
            },
        }
        room = rooms.create(self.eve, body)
        return room

    def bury(self, new: Room) -> None:
        """Sets the tombstone."""
        content = {"body": "moved", "replacement_room": new.room_id}
        self.world.homeserver.rooms.put(self.room, self.eve, "m.room.tombstone", content, "")
        self.world.homeserver.push()

    def invite_bot(self, new: Room) -> None:
        """Lets the bot in."""
        self.world.homeserver.rooms.set_member(new, self.eve, NAMING.bot, "invite")
        self.world.homeserver.push()

    async def row(self) -> dict[str, Any]:
        """The portal as the bridge has it."""
        async with self.world.registrar.database.connection() as connection:
            found = await connection.fetchrow("SELECT * FROM portal WHERE tenant = $1", TENANT)
            return dict(found or {})

    async def problem(self, text: str) -> None:
        """Waits until the portal says why it stays."""

        async def said() -> bool:
            return text in ((await self.row())["problem"] or "")

        await eventually(said, f"the problem is {text!r}")
        assert (await self.row())["room_id"] == self.room.room_id

    async def moved(self, new: Room) -> None:
        """Waits until the portal has the new room, with its members."""

        async def done() -> bool:
            assert (await self.row())["room_id"] == new.room_id
            await self.world.registrar.settled()
            return new.membership(self.ann) == "join"

        await eventually(done, "the portal has moved")


@asynccontextmanager
async def stage(folder: Path, database_url: str) -> AsyncIterator[Stage]:
    async with (
        simulated_world(folder, database_url, version="11") as world,
        aiohttp.ClientSession() as session,
    ):
        await world.settle(
            [
                PutUser(User(TENANT, ANN, 7, "Ann", None)),
                PutPortal(Portal(HIKERS, "", "Hikers")),
                ReplaceMembers(HIKERS, (Member(ANN),)),
                RenamePortal(HIKERS, WALKERS.slug),
            ]
        )
        eve, _ = world.homeserver.person("eve")
        browser = Browser(session, world.settings, HERE, 7, ANN, "Ann")
        yield Stage(world, world.room(WALKERS), eve, NAMING.ghost(TENANT, ANN), browser)


async def test_a_public_successor_is_followed(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url) as made, made.browser.stream() as stream:
        new = made.successor(public=True)
        made.bury(new)
        await made.moved(new)
        old = made.room.room_id
        await stream.wait("room.removed", room_id=old)
        await stream.wait("room.added", room_id=new.room_id)
        assert list(await made.browser.rooms()) == [new.room_id]
        aliases = made.world.homeserver.rooms.aliases
        for ref in (WALKERS, HIKERS):
            assert aliases[NAMING.alias(ref)] == new.room_id
        assert new.content("m.room.name") == {"name": "Hikers"}
        async with made.world.registrar.database.connection() as connection:
            (former,) = await connection.fetch("SELECT * FROM former_room")
        assert (former["room_id"], former["reason"], former["successor"]) == (
            made.room.room_id,
            "upgraded",
            new.room_id,
        )


async def test_a_private_successor_is_followed_when_the_bot_is_let_in(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url) as made:
        new = made.successor()
        made.bury(new)
        await made.problem("may not enter")
        made.invite_bot(new)
        await made.moved(new)
        assert (await made.row())["problem"] is None


async def test_a_stream_that_was_away_hears_of_the_upgrade(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url) as made:
        async with made.browser.stream() as stream:
            await stream.wait("hello")
            cursor = stream.cursor
        new = made.successor(public=True)
        made.bury(new)
        await made.moved(new)
        async with made.browser.stream(cursor) as stream:
            old = made.room.room_id
            await stream.wait("room.removed", room_id=old)
            await stream.wait("room.added", room_id=new.room_id)


@pytest.mark.parametrize("wrong", ["predecessor", "power"])
async def test_what_is_not_legitimate_is_not_followed(
    tmp_path: Path, database_url: str, wrong: str
) -> None:
    async with stage(tmp_path, database_url) as made:
        if wrong == "predecessor":
            new = made.successor(predecessor="!another", public=True)
        else:
            new = made.successor(public=True)
            levels = {**new.content("m.room.power_levels"), "users": {made.eve: 100}}
            made.world.homeserver.rooms.put(new, made.eve, "m.room.power_levels", levels, "")
        made.bury(new)
        said = "does not say" if wrong == "predecessor" else "needs power level"
        await made.problem(said)
        requests = made.world.homeserver.requests
        await made.world.registrar.settled()
        assert made.world.homeserver.requests == requests
