"""Many portals with many members on a homeserver that is slow and says "later" now and then."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest
from prometheus_client import REGISTRY

from ..support.settling import Town
from ..support.simulated_homeserver import Mood
from ..support.simulated_world import NAMING, TENANT, SimulatedWorld, simulated_world
from ..support.waiting import eventually


def _sweeps() -> float:
    return REGISTRY.get_sample_value("openmeet_bridge_sweeps_total") or 0


def _drift() -> float:
    kinds = ("group", "meetup", "direct", "user", "space")
    name = "openmeet_bridge_drift_found_total"
    return sum(REGISTRY.get_sample_value(name, {"kind": kind}) or 0 for kind in kinds)


def _failed() -> float:
    return REGISTRY.get_sample_value("openmeet_bridge_jobs_total", {"outcome": "failed"}) or 0


async def _swept(times: int) -> None:
    sweeps = _sweeps()

    async def on() -> bool:
        return _sweeps() >= sweeps + times

    await eventually(on, "more sweeps")


async def test_a_town_settles_without_a_failed_job(tmp_path: Path, database_url: str) -> None:
    town = Town(TENANT, portals=40, members=15, users=100)
    mood = Mood(delay=(0.001, 0.01), limited=0.01)
    before = _failed()
    async with simulated_world(tmp_path, database_url, mood) as world:
        await world.registrar.write(TENANT, town.changes())
        await world.registrar.settled(seconds=120)
        assert _failed() == before
        for number in range(town.portals):
            members = world.room(town.ref(number)).members("join")
            wanted = {NAMING.ghost(TENANT, one.user) for one in town.members_of(number)}
            assert {event["state_key"] for event in members} == wanted | {NAMING.bot}
    assert await _deadlocks(database_url) == 0


async def _deadlocks(database_url: str) -> int:
    connection = await asyncpg.connect(database_url)
    try:
        found = await connection.fetchval(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
        return int(found)
    finally:
        await connection.close()


async def test_a_sweep_with_nothing_to_do_asks_the_homeserver_nothing(
    tmp_path: Path, database_url: str
) -> None:
    town = Town(TENANT, portals=20, members=5, users=30)
    async with simulated_world(tmp_path, database_url, sweep=0.3) as world:
        await world.settle(town.changes())
        # What was wanted while rooms came into their spaces has to end first.
        await eventually(lambda: _is_quiet(world), "nobody does anything any more")
        passed, found = len(world.proxy.passed), _drift()
        requests = world.homeserver.requests
        await _swept(2)
        assert _drift() == found
        assert world.homeserver.requests == requests, world.homeserver.counts
        assert [one.path for one in world.proxy.passed[passed:]] == []


async def _is_quiet(world: SimulatedWorld) -> bool:
    before = world.homeserver.requests
    await _swept(1)
    await world.registrar.settled()
    return world.homeserver.requests == before


async def test_a_sweep_finds_what_nobody_told(tmp_path: Path, database_url: str) -> None:
    town = Town(TENANT, portals=2, members=2, users=4)
    async with simulated_world(tmp_path, database_url, sweep=0.3) as world:
        await world.settle(town.changes())
        async with world.registrar.database.connection() as connection:
            await connection.execute(
                "UPDATE directory_portal SET name = 'By hand' WHERE slug = $1", town.ref(0).slug
            )

        async def renamed() -> bool:
            return world.room(town.ref(0)).content("m.room.name") == {"name": "By hand"}

        await eventually(renamed, "the room has the name")


@pytest.mark.parametrize("what", ["name", "kick", "levels"])
async def test_what_somebody_changes_from_matrix_is_put_back(
    tmp_path: Path, database_url: str, what: str
) -> None:
    town = Town(TENANT, portals=1, members=3, users=3)
    async with simulated_world(tmp_path, database_url) as world:
        await world.settle(town.changes())
        room, rooms = world.room(town.ref(0)), world.homeserver.rooms
        eve, _ = world.homeserver.person("eve")
        member = NAMING.ghost(TENANT, town.user(1))
        levels = room.content("m.room.power_levels")
        before = dict(room.state)
        if what == "name":
            rooms.put(room, eve, "m.room.name", {"name": "Mine"}, "")
        elif what == "kick":
            rooms.set_member(room, eve, member, "leave")
        else:
            users = {**levels["users"], member: 100}
            rooms.put(room, eve, "m.room.power_levels", {**levels, "users": users}, "")
        world.homeserver.push()

        async def put_back() -> bool:
            return all(
                room.content(*key) == event["content"]
                for key, event in before.items()
                if key[0] != "m.room.member" or key[1] == member
            )

        await eventually(put_back, "all is as it was")


async def test_a_room_of_which_the_directory_never_spoke_is_left_alone(
    tmp_path: Path, database_url: str
) -> None:
    """So it is with every room after the loss of the database, until OpenMeet has spoken."""
    town = Town(TENANT, portals=2, members=2, users=4)
    async with simulated_world(tmp_path, database_url, sweep=0.3) as world:
        await world.settle(town.changes())
        await eventually(lambda: _is_quiet(world), "nobody does anything any more")
        rooms = [world.room(town.ref(number)) for number in range(town.portals)]
        async with world.registrar.database.transaction() as connection:
            for table in ("user", "portal", "member"):
                await connection.execute(f"DELETE FROM directory_{table}")  # noqa: S608
        eve, _ = world.homeserver.person("eve")
        world.homeserver.rooms.put(rooms[0], eve, "m.room.name", {"name": "Mine"}, "")
        world.homeserver.push()
        await _swept(2)
        await world.registrar.settled()
        assert all(len(room.members("join")) == 3 for room in rooms)
