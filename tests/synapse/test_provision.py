"""The cutover on a real Synapse: there, interrupted, resumed, looked after, and back."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from openmeet_bridge.core.ids import PortalKind, PortalRef, TenantId, UserSlug
from openmeet_bridge.core.naming import Naming
from openmeet_bridge.demo.synapse import SynapseProcess

from ..support.bridge import HERE, BridgeProcess, Settings
from ..support.matrix_user import matrix_user
from ..support.operator import Operator
from ..support.waiting import eventually
from ..support.world import World, connected

# Many commands, one after the other: on a busy machine that takes its time.
pytestmark = [pytest.mark.synapse, pytest.mark.timeout(240)]

USERS, ROOMS, MEMBERS = 20, 5, 8


@dataclass
class Town:
    """People and rooms with names that no other test has."""

    mark: str = field(default_factory=lambda: secrets.token_hex(3))

    @property
    def people(self) -> list[str]:
        """Everybody's slug."""
        return [f"p{number}-{self.mark}" for number in range(USERS)]

    @property
    def rooms(self) -> Mapping[str, Sequence[str]]:
        """Who is in which group."""
        people = self.people * 2
        return {f"g{n}-{self.mark}": people[n * 3 : n * 3 + MEMBERS] for n in range(ROOMS)}

    @property
    def lines(self) -> str:
        """All of it as NDJSON."""
        said: list[dict[str, Any]] = [
            {"type": "user", "slug": slug, "name": slug.upper(), "id": number}
            for number, slug in enumerate(self.people, 1)
        ]
        said += [
            {
                "type": "group",
                "slug": slug,
                "name": slug.upper(),
                "visibility": "public",
                "members": [{"user": one} for one in members],
            }
            for slug, members in self.rooms.items()
        ]
        return "".join(json.dumps(line) + "\n" for line in said)


@pytest.fixture
async def world(settings: Settings) -> AsyncIterator[World]:
    """A running bridge in a process of its own."""
    bridge = BridgeProcess(settings)
    await asyncio.to_thread(bridge.start)
    try:
        async with connected(settings, settings.homeserver_url) as world:
            yield world
    finally:
        await asyncio.to_thread(bridge.stop)


async def inside(world: World, room_id: str) -> set[str]:
    """Who is joined, as Synapse has it; the bot left out."""
    events = await world.homeserver.members(room_id, world.bot, "join")
    return {msgspec.json.decode(event)["state_key"] for event in events} - {world.bot}


def ghosts(slugs: Sequence[str]) -> set[str]:
    return {Naming("localhost").ghost(TenantId(HERE.id), UserSlug(slug)) for slug in slugs}


async def rooms_of(world: World) -> dict[str, str]:
    rows = await world.sql(
        """
        SELECT slug, room_id FROM portal JOIN directory_portal USING (tenant, kind, slug)
        WHERE kind = 'group'
        """
    )
    return {row["slug"]: row["room_id"] for row in rows}


async def begin_and_be_killed(world: World, operator: Operator, file: Path) -> None:
    """Provision until some users are written, and die."""
    process = operator.start("provision", "--tenant", HERE.id, "--from", str(file), "--rate", "4")

    async def some() -> bool:
        (row,) = await world.sql("SELECT count(*) FROM directory_user")
        return bool(row[0] >= 3)

    try:
        await eventually(some, "some users are written")
    finally:
        process.kill()
        await asyncio.to_thread(process.join)
        process.close()
    (row,) = await world.sql("SELECT count(*) FROM directory_user")
    assert row[0] < USERS


async def test_there_and_back(
    world: World, settings: Settings, synapse: SynapseProcess, tmp_path: Path
) -> None:
    town, operator = Town(), Operator(settings)
    file = tmp_path / "people.ndjson"
    file.write_text(town.lines)
    await begin_and_be_killed(world, operator, file)
    file = tmp_path / "report.json"
    provision = ("provision", "--tenant", HERE.id, "--from", "-", "--report", str(file))
    await operator.run(*provision, stdin=town.lines)
    report = json.loads(file.read_bytes())
    assert (report["finished"], report["failures"], report["problems"]) == (True, [], [])
    assert report["planned"][HERE.id]["write"]["user"]["there"] >= 3
    assert report["done"]["rooms"] == ROOMS
    assert report["done"]["joins"] == ROOMS * MEMBERS
    rooms = await rooms_of(world)
    for slug, members in town.rooms.items():
        assert await inside(world, rooms[slug]) == ghosts(members)

    await looked_after(world, operator, town, rooms)
    await somebody_from_matrix_is_put_out(world, operator, synapse, rooms)
    said = await operator.run("users", "export", town.people[0], "--tenant", HERE.id)
    records = [json.loads(line) for line in said.splitlines()]
    assert {"profile", "matrix_user", "room"} <= {record["record"] for record in records}

    back = ("deprovision", "--tenant", HERE.id, "--report", str(file))
    assert "to remove: 20 users, 5 groups" in await operator.run(*back)
    report = json.loads(file.read_bytes())
    assert (report["finished"], report["failures"]) == (True, [])
    for room_id in rooms.values():
        assert await inside(world, room_id) == set()
    assert await rooms_of(world) == {}


async def looked_after(
    world: World, operator: Operator, town: Town, rooms: Mapping[str, str]
) -> None:
    """An operator's word is followed, and a look at the room again does not undo it."""
    slug = next(iter(rooms))
    out = town.rooms[slug][0]
    someone = next(one for one in town.people if one not in town.rooms[slug])
    place, where = ("group", slug), ("--tenant", HERE.id)
    await operator.run("portals", "kick", *place, out, "--reason", "spam", *where)
    await operator.run("portals", "join", *place, someone, "--reason", "x", *where, "--wait")
    await operator.run("portals", "resync", *place, *where, "--wait")
    wanted = ghosts([one for one in town.rooms[slug] if one != out] + [someone])
    assert await inside(world, rooms[slug]) == wanted
    await operator.run("portals", "release", *place, out, *where)
    await operator.run("portals", "release", *place, someone, *where, "--wait")
    assert await inside(world, rooms[slug]) == ghosts(town.rooms[slug])


async def somebody_from_matrix_is_put_out(
    world: World, operator: Operator, synapse: SynapseProcess, rooms: Mapping[str, str]
) -> None:
    """Who is not OpenMeet's is removed at once."""
    slug, room_id = next(iter(rooms.items()))
    alias = Naming("localhost").alias(PortalRef(HERE.id, PortalKind.GROUP, slug))
    async with matrix_user(synapse, f"human-{secrets.token_hex(3)}") as human:
        assert await human.join(alias) == room_id
        words = ("portals", "kick", "group", slug, human.user_id, "--tenant", HERE.id)
        await operator.run(*words, "--reason", "spam")
        assert human.user_id not in await inside(world, room_id)
