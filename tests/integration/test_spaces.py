"""Spaces: the rooms of a tenant and its groups, as orderly in Matrix as on the web."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from openmeet_bridge.core.changes import (
    Change,
    DeletePortal,
    PutPortal,
    PutUser,
    RenamePortal,
    ReplaceMembers,
)
from openmeet_bridge.core.directory import Member, Portal, User, Visibility
from openmeet_bridge.core.ids import PortalKind, PortalRef, UserSlug

from ..support.simulated_rooms import Room
from ..support.simulated_world import NAMING, TENANT, SimulatedWorld, simulated_world
from ..support.waiting import eventually

HIKERS = PortalRef(TENANT, PortalKind.GROUP, "hikers")
SECRET = PortalRef(TENANT, PortalKind.GROUP, "secret")
EARLY = PortalRef(TENANT, PortalKind.MEETUP, "early")
LATE = PortalRef(TENANT, PortalKind.MEETUP, "late")
HIDDEN = PortalRef(TENANT, PortalKind.MEETUP, "hidden")
LONELY = PortalRef(TENANT, PortalKind.MEETUP, "lonely")
OPEN = PortalRef(TENANT, PortalKind.MEETUP, "open")
ANN = UserSlug("ann")
PUBLIC, PRIVATE = Visibility.PUBLIC, Visibility.PRIVATE


def put(
    ref: PortalRef, visibility: Visibility, group: PortalRef | None = None, day: int = 1
) -> PutPortal:
    starts_at = datetime(2099, 1, day, tzinfo=UTC) if ref.kind is PortalKind.MEETUP else None
    slug = None if group is None else group.slug
    return PutPortal(
        Portal(ref, "", ref.slug.title(), visibility=visibility, starts_at=starts_at, group=slug)
    )


CITY: list[Change] = [
    PutUser(User(TENANT, ANN, None, "Ann", None)),
    put(HIKERS, PUBLIC),
    put(LATE, PUBLIC, HIKERS, day=20),
    put(EARLY, PUBLIC, HIKERS, day=10),
    put(HIDDEN, PRIVATE, HIKERS),
    put(SECRET, PRIVATE),
    put(OPEN, PUBLIC, SECRET),
    put(LONELY, PUBLIC),
    ReplaceMembers(HIKERS, (Member(ANN),)),
]


def space(world: SimulatedWorld, group: str = "") -> Room:
    return world.at(NAMING.space_alias(TENANT, group))


def children(room: Room) -> list[str]:
    """What is in a space, in the order in which it is shown."""
    found = [
        (event["content"]["order"], key)
        for (kind, key), event in room.state.items()
        if kind == "m.space.child" and event["content"]
    ]
    return [key for _, key in sorted(found)]


def parents(room: Room) -> list[str]:
    return [
        key
        for (kind, key), event in room.state.items()
        if kind == "m.space.parent" and event["content"]
    ]


def ids(world: SimulatedWorld, *refs: PortalRef) -> list[str]:
    return [world.room(ref).room_id for ref in refs]


async def test_rooms_are_in_their_spaces(tmp_path: Path, database_url: str) -> None:
    async with simulated_world(tmp_path, database_url) as world:
        await world.settle(CITY)
        await eventually(lambda: _is_laid_out(world), "the spaces are as they should be")
        hikers, tenant = space(world, "hikers"), space(world)
        assert hikers.content("m.room.create")["type"] == "m.space"
        assert hikers.content("m.room.name") == {"name": "Hikers"}
        assert tenant.content("m.room.join_rules") == {"join_rule": "public"}
        assert space(world, "secret").content("m.room.join_rules") == {"join_rule": "invite"}
        assert parents(world.room(EARLY)) == [hikers.room_id]
        assert parents(world.room(HIDDEN)) == []
        # Who may know the room need not know the private group.
        assert parents(world.room(OPEN)) == [tenant.room_id]
        assert parents(hikers) == [tenant.room_id]
        assert [event["state_key"] for event in hikers.members("join")] == [NAMING.bot]
        await _spaces_are_never_portals(world)


async def _is_laid_out(world: SimulatedWorld) -> bool:
    await world.registrar.settled()
    hikers, tenant, secret = space(world, "hikers"), space(world), space(world, "secret")
    assert children(hikers) == ids(world, HIKERS, EARLY, LATE)
    assert children(secret) == ids(world, SECRET, OPEN)
    assert set(children(tenant)) == {hikers.room_id, *ids(world, LONELY, OPEN)}
    return True


async def _spaces_are_never_portals(world: SimulatedWorld) -> None:
    async with world.registrar.database.connection() as connection:
        streamed = await connection.fetchval(
            "SELECT count(*) FROM log JOIN space USING (room_id) WHERE log.tenant IS NOT NULL"
        )
        shown = await connection.fetchval("SELECT count(*) FROM portal JOIN space USING (room_id)")
        logged = await connection.fetchval("SELECT count(*) FROM log JOIN space USING (room_id)")
    assert (streamed, shown) == (0, 0)
    assert logged


async def test_spaces_follow(tmp_path: Path, database_url: str) -> None:
    async with simulated_world(tmp_path, database_url) as world:
        await world.settle(CITY)
        await eventually(lambda: _is_laid_out(world), "the spaces are as they should be")
        hikers, secret, tenant = space(world, "hikers"), space(world, "secret"), space(world)
        late = world.room(LATE)
        await world.settle(
            [
                put(LATE, PUBLIC),
                RenamePortal(HIKERS, "walkers"),
                DeletePortal(SECRET),
                DeletePortal(EARLY),
            ]
        )

        async def followed() -> bool:
            await world.registrar.settled()
            assert space(world, "walkers") is hikers
            assert len(children(hikers)) == 1
            assert set(children(tenant)) == {
                hikers.room_id,
                late.room_id,
                *ids(world, LONELY, OPEN),
            }
            return parents(late) == [tenant.room_id]

        await eventually(followed, "the spaces follow")
        assert NAMING.space_alias(TENANT, "secret") not in world.homeserver.rooms.aliases
        assert children(secret) == []


async def test_a_change_in_a_space_is_put_back(tmp_path: Path, database_url: str) -> None:
    async with simulated_world(tmp_path, database_url) as world:
        await world.settle(CITY)
        await eventually(lambda: _is_laid_out(world), "the spaces are as they should be")
        room, rooms = space(world, "hikers"), world.homeserver.rooms
        eve, _ = world.homeserver.person("eve")
        rooms.put(room, eve, "m.space.child", {}, world.room(EARLY).room_id)
        world.homeserver.push()
        await eventually(lambda: _is_laid_out(world), "the meetup is back in its space")


async def test_members_where_the_rules_want_them(tmp_path: Path, database_url: str) -> None:
    rules = {"space_members": True}
    async with simulated_world(tmp_path, database_url, rules=rules) as world:
        ann = NAMING.ghost(TENANT, ANN)
        await world.settle(CITY)

        async def inside() -> bool:
            await world.registrar.settled()
            there = [space(world, group).membership(ann) for group in ("", "hikers", "secret")]
            return there == ["join", "join", "leave"]

        await eventually(inside, "Ann is where she belongs")
        await world.settle([ReplaceMembers(HIKERS, ())])

        async def outside() -> bool:
            return space(world, "hikers").membership(ann) == "leave"

        await eventually(outside, "Ann is out of the group's space")
