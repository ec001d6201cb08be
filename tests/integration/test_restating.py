"""What a homeserver takes back without a word, where two changes met: the bridge sees to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from openmeet_bridge.bridge import echo
from openmeet_bridge.bridge.restating import Restating
from openmeet_bridge.core.changes import (
    Change,
    DeletePortal,
    PutPortal,
    PutUser,
    ReplaceMembers,
)
from openmeet_bridge.core.directory import Member, Portal, User, Visibility
from openmeet_bridge.core.ids import Mxid, PortalKind, PortalRef, RoomId, UserSlug
from openmeet_bridge.core.room_steps import Join, Kick, SetState, Step

from ..support.chat import Chat, chat_at
from ..support.fault_proxy import Exchange
from ..support.openmeet import Answer, message_path
from ..support.simulated_rooms import Room
from ..support.simulated_world import NAMING, TENANT, SimulatedWorld, simulated_world
from ..support.waiting import eventually

HIKERS = PortalRef(TENANT, PortalKind.GROUP, "hikers")
ANN, BEN = UserSlug("ann"), UserSlug("ben")
GHOST = NAMING.ghost(TENANT, BEN)
MEMBER = "m.room.member"
USERS: list[Change] = [PutUser(User(TENANT, slug, None, slug, None)) for slug in (ANN, BEN)]


def _portal(name: str) -> PutPortal:
    return PutPortal(Portal(HIKERS, "", name, "", visibility=Visibility.PUBLIC))


def _members(*slugs: UserSlug) -> ReplaceMembers:
    return ReplaceMembers(HIKERS, tuple(Member(slug, "member") for slug in slugs))


@pytest.fixture
async def world(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SimulatedWorld]:
    """A group with Ann and Ben."""
    monkeypatch.setattr(echo, "_PATIENCE", 0.5)
    async with simulated_world(tmp_path, database_url, rules={"spaces": False}) as made:
        await made.settle([*USERS, _portal("Hikers"), _members(ANN, BEN)])
        yield made


def _memberships(room: Room) -> list[str]:
    """What Ben has been in a room, one after the other."""
    return [
        event["content"]["membership"]
        for _, event in room.timeline
        if event["type"] == MEMBER and event["state_key"] == GHOST
    ]


async def _again(world: SimulatedWorld) -> None:
    """Ben goes, and comes again."""
    await world.settle([_members(ANN)])
    await world.settle([_members(ANN, BEN)])


@pytest.mark.parametrize("again", [False, True], ids=["first time", "came again"])
async def test_who_is_out_already_is_put_out_for_the_log_too(
    world: SimulatedWorld, again: bool
) -> None:
    if again:
        await _again(world)
    room = world.room(HIKERS)
    before = _memberships(room)
    world.homeserver.rooms.take_back(room, MEMBER, GHOST)
    await world.settle([_members(ANN)])
    assert _memberships(room) == [*before, "ban", "leave"]
    await world.settle([_members(ANN, BEN)])
    assert room.membership(GHOST) == "join"


async def test_a_room_is_closed_from_which_somebody_is_out_already(world: SimulatedWorld) -> None:
    room = world.room(HIKERS)
    world.homeserver.rooms.take_back(room, MEMBER, GHOST)
    await world.settle([DeletePortal(HIKERS)])
    assert [event["state_key"] for event in room.members("join")] == [NAMING.bot]
    assert _memberships(room) == ["join", "ban", "leave"]


async def test_who_is_in_still_comes_in_for_the_log_too(world: SimulatedWorld) -> None:
    room = world.room(HIKERS)
    await world.settle([_members(ANN)])
    world.homeserver.rooms.take_back(room, MEMBER, GHOST)
    assert room.membership(GHOST) == "join"
    await world.settle([_members(ANN, BEN)])
    assert _memberships(room) == ["join", "leave", "leave", "join"]


async def test_state_that_is_back_is_set_for_the_log_too(world: SimulatedWorld) -> None:
    room = world.room(HIKERS)
    await world.settle([_portal("Climbers")])
    world.homeserver.rooms.take_back(room, "m.room.name", "")
    assert room.content("m.room.name") == {"name": "Hikers"}
    await world.settle([_portal("Hikers")])
    names = [one["content"]["name"] for _, one in room.timeline if one["type"] == "m.room.name"]
    assert names == ["Hikers", "Climbers", "Climbers", "Hikers"]


async def test_what_the_log_has_yet_to_hear_is_not_said_again(world: SimulatedWorld) -> None:
    class Ahead:
        """Can be asked, and nothing else."""

        async def state_event_id(self, *_: str) -> str:
            return "$of-which-the-log-does-not-know"

    ahead: Any = Ahead()
    room_id = RoomId(world.room(HIKERS).room_id)
    steps: list[Step] = [
        Kick(GHOST, "out"),
        Join(GHOST),
        SetState("m.room.name", "", {"name": "Climbers"}),
    ]
    restating = Restating(world.registrar.database, ahead, NAMING.bot)
    await restating.restate((room_id, step) for step in steps)
    assert not await restating.readmit(TENANT, room_id, GHOST)


async def test_a_slow_homeserver_is_not_asked_about_everything(world: SimulatedWorld) -> None:
    asked: list[str] = []

    class Slow:
        async def state_event_id(self, room_id: str, kind: str, key: str, user_id: str) -> None:
            asked.append(key)

    slow: Any = Slow()
    room_id = RoomId(world.room(HIKERS).room_id)
    steps = [(room_id, Join(Mxid(f"@late{number}:localhost"))) for number in range(500)]
    await Restating(world.registrar.database, slow, NAMING.bot).restate(steps)
    assert asked == [f"@late{number}:localhost" for number in range(20)]


async def test_who_is_out_of_a_space_is_put_out_for_the_log_too(
    tmp_path: Path, database_url: str
) -> None:
    rules = {"space_members": True}
    async with simulated_world(tmp_path, database_url, rules=rules) as world:
        await world.settle([*USERS, _portal("Hikers"), _members(ANN, BEN)])
        space = world.at(NAMING.space_alias(TENANT, HIKERS.slug))

        async def is_in() -> bool:
            return space.membership(GHOST) == "join"

        async def is_told() -> bool:
            return _memberships(space) == [*before, "ban", "leave"]

        await eventually(is_in, "Ben is in the space")
        await world.registrar.settled()
        before = _memberships(space)
        for _ in before:
            world.homeserver.rooms.take_back(space, MEMBER, GHOST)
        await world.registrar.write(TENANT, [_members(ANN)])
        await eventually(is_told, "the log is told")
        await world.registrar.settled()


async def test_who_was_put_out_without_a_word_is_let_in_to_speak(
    tmp_path: Path, database_url: str
) -> None:
    async with chat_at(tmp_path, database_url) as chat:
        rooms = chat.simulated.homeserver.rooms
        rooms.take_back(chat.room, MEMBER, chat.ben.mxid)
        assert chat.room.membership(chat.ben.mxid) != "join"
        said = await chat.says(chat.ben, "Am I still here?")
        assert [event["event_id"] for event in chat.events("m.room.message", chat.ben)] == [said]
        assert chat.room.membership(chat.ben.mxid) == "join"


async def test_who_lacks_the_power_only_is_not_let_in_again(
    tmp_path: Path, database_url: str
) -> None:
    async with chat_at(tmp_path, database_url, send_wait=30) as chat:
        rooms, eve = chat.simulated.homeserver.rooms, "@eve:localhost"
        levels = chat.room.content("m.room.power_levels")
        members = chat.events(MEMBER)
        rooms.put(chat.room, eve, "m.room.power_levels", {**levels, "events_default": 50}, "")
        answer = await _says(chat, "May I?")
        assert (answer.status, answer.errcode) == (403, "M_FORBIDDEN")
        assert chat.events(MEMBER) == members


async def test_who_cannot_be_let_in_is_told_so(tmp_path: Path, database_url: str) -> None:
    async def refuse(exchange: Exchange) -> web.StreamResponse:
        if "/invite" in exchange.path:
            return web.json_response({"errcode": "M_FORBIDDEN", "error": "No."}, status=403)
        return await exchange.forward()

    async with chat_at(tmp_path, database_url, send_wait=30) as chat:
        chat.simulated.homeserver.rooms.take_back(chat.room, MEMBER, chat.ben.mxid)
        chat.simulated.proxy.rule = refuse
        answer = await _says(chat, "Am I still here?")
        assert (answer.status, answer.errcode) == (403, "M_FORBIDDEN")


async def _says(chat: Chat, body: str) -> Answer:
    return await chat.ben.ask("PUT", message_path(chat.room.room_id), {"body": body})
