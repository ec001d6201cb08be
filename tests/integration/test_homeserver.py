"""The client-server API against a real Synapse, as the application service."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import pytest

from openmeet_bridge.core.ids import RoomId
from openmeet_bridge.demo.synapse import SynapseProcess
from openmeet_bridge.matrix.answers import Profile
from openmeet_bridge.matrix.errors import (
    HomeserverUnavailable,
    PingFailed,
    Refused,
    TokenRefused,
)
from openmeet_bridge.matrix.homeserver import Homeserver
from openmeet_bridge.matrix.registration import Registration
from openmeet_bridge.matrix.transport import Timeouts

from ..support.matrix_user import matrix_user

pytestmark = pytest.mark.synapse

DEVICE = "BRIDGE"


@dataclass(frozen=True)
class Room:
    """A room of the bot with one ghost in it."""

    room_id: RoomId
    alias: str
    bot: str
    ghost: str


@pytest.fixture
async def room(homeserver: Homeserver, registration: Registration) -> Room:
    tail = secrets.token_hex(6)
    await homeserver.register_ghost(registration.bot_localpart)
    await homeserver.register_ghost(f"om_t_{tail}")
    ghost = f"@om_t_{tail}:localhost"
    await homeserver.create_device(ghost, DEVICE, "OpenMeet")
    body = {"room_alias_name": f"om_t_group_{tail}", "room_version": "12", "invite": [ghost]}
    room_id = await homeserver.create_room(registration.bot, body)
    await homeserver.join(room_id, ghost)
    return Room(room_id, f"#om_t_group_{tail}:localhost", registration.bot, ghost)


def _text(body: str) -> dict[str, Any]:
    return {"msgtype": "m.text", "body": body}


def _bodies(events: list[msgspec.Raw]) -> list[str]:
    decoded = [msgspec.json.decode(event) for event in events]
    return [event["content"]["body"] for event in decoded if event["type"] == "m.room.message"]


async def test_who_we_are(homeserver: Homeserver, registration: Registration) -> None:
    assert "v1.11" in (await homeserver.versions()).versions
    await homeserver.register_ghost(registration.bot_localpart)
    assert (await homeserver.whoami(registration.bot)).user_id == registration.bot


async def test_a_wrong_token(synapse: SynapseProcess, http_session: aiohttp.ClientSession) -> None:
    stranger = Homeserver(http_session, synapse.base_url, "not-the-token-of-the-registration")
    assert (await stranger.versions()).versions
    with pytest.raises(TokenRefused):
        await stranger.whoami()


async def test_ghosts_are_registered_once(homeserver: Homeserver) -> None:
    name = f"om_t_{secrets.token_hex(6)}"
    ghost = f"@{name}:localhost"
    with pytest.raises(Refused, match="M_FORBIDDEN"):
        await homeserver.whoami(ghost)
    assert await homeserver.register_ghost(name) is True
    assert await homeserver.register_ghost(name) is False
    with pytest.raises(Refused, match="M_EXCLUSIVE"):
        await homeserver.register_ghost("outside_the_namespace")


async def test_profiles(homeserver: Homeserver, room: Room) -> None:
    await homeserver.set_displayname(room.ghost, "Ada Lovelace")
    await homeserver.set_avatar_url(room.ghost, "mxc://localhost/abc")
    profile = await homeserver.get_profile(room.ghost)
    assert profile == Profile("Ada Lovelace", "mxc://localhost/abc")
    assert await homeserver.get_profile("@om_t_nobody:localhost") == Profile()


async def test_devices(homeserver: Homeserver, room: Room) -> None:
    assert (await homeserver.whoami(room.ghost, DEVICE)).device_id == DEVICE
    await homeserver.create_device(room.ghost, DEVICE, "renamed")
    with pytest.raises(Refused, match="M_UNKNOWN_DEVICE"):
        await homeserver.whoami(room.ghost, "NEVER_MADE")


async def test_the_alias_locks_a_room(homeserver: Homeserver, room: Room) -> None:
    localpart = room.alias[1:].partition(":")[0]
    with pytest.raises(Refused, match="M_ROOM_IN_USE"):
        await homeserver.create_room(room.bot, {"room_alias_name": localpart})
    assert await homeserver.resolve_alias(room.alias) == room.room_id
    assert await homeserver.resolve_alias("#om_t_group_never:localhost") is None
    second = f"#{localpart}-2:localhost"
    await homeserver.create_alias(second, room.room_id, room.bot)
    assert await homeserver.resolve_alias(second) == room.room_id


async def test_a_send_repeated_is_one_message(
    homeserver: Homeserver, synapse: SynapseProcess, room: Room
) -> None:
    txn = secrets.token_hex(8)

    async def send() -> str:
        content = _text("once")
        return await homeserver.send_event(
            room.room_id, "m.room.message", txn, content, room.ghost, DEVICE
        )

    first = await send()
    assert await send() == first
    await asyncio.to_thread(synapse.kill)
    with pytest.raises(HomeserverUnavailable):
        await send()
    await asyncio.to_thread(synapse.start)
    assert await send() == first
    page = await homeserver.messages(room.room_id, room.bot, "b")
    assert _bodies(page.chunk) == ["once"]


async def test_a_frozen_homeserver_is_unavailable(
    synapse: SynapseProcess,
    http_session: aiohttp.ClientSession,
    registration: Registration,
) -> None:
    timeouts = Timeouts(connect=0.5, total=0.5)
    hasty = Homeserver(http_session, synapse.base_url, registration.as_token, timeouts=timeouts)
    synapse.pause()
    with pytest.raises(HomeserverUnavailable):
        await hasty.versions()
    synapse.resume()


async def test_state(homeserver: Homeserver, room: Room) -> None:
    first = await homeserver.send_state(room.room_id, "m.room.name", "", {"name": "R"}, room.bot)
    again = await homeserver.send_state(room.room_id, "m.room.name", "", b'{"name":"R"}', room.bot)
    assert first == again
    name = await homeserver.get_state(room.room_id, "m.room.name", "", room.bot)
    assert name == {"name": "R"}
    assert await homeserver.get_state(room.room_id, "m.room.topic", "", room.bot) is None
    state = [
        msgspec.json.decode(raw) for raw in await homeserver.room_state(room.room_id, room.bot)
    ]
    assert {"m.room.create", "m.room.name"} <= {event["type"] for event in state}
    assert {event["room_id"] for event in state} == {room.room_id}


async def test_membership(homeserver: Homeserver, room: Room) -> None:
    async def joined() -> set[str]:
        events = await homeserver.members(room.room_id, room.bot, "join")
        return {msgspec.json.decode(event)["state_key"] for event in events}

    assert await joined() == {room.bot, room.ghost}
    await homeserver.join(room.room_id, room.ghost)
    with pytest.raises(Refused, match="M_FORBIDDEN"):
        await homeserver.invite(room.room_id, room.ghost, room.bot)
    await homeserver.kick(room.room_id, room.ghost, "moved", room.bot)
    assert await joined() == {room.bot}
    await homeserver.invite(room.room_id, room.ghost, room.bot)
    await homeserver.join(room.room_id, room.ghost)
    assert room.room_id in await homeserver.joined_rooms(room.ghost)
    await homeserver.leave(room.room_id, room.ghost)
    await homeserver.ban(room.room_id, room.ghost, None, room.bot)
    with pytest.raises(Refused, match="403 M_BAD_STATE"):
        await homeserver.join(room.room_id, room.ghost)


async def test_history_as_the_bot(homeserver: Homeserver, room: Room) -> None:
    start = await homeserver.sync(room.bot)
    for number in range(8):
        txn = f"{room.ghost}{number}"
        await homeserver.send_event(
            room.room_id, "m.room.message", txn, _text(str(number)), room.ghost
        )
    few = {"room": {"timeline": {"limit": 3}}}
    synced = await homeserver.sync(room.bot, start.next_batch, few)
    timeline = synced.rooms.join[room.room_id].timeline
    assert timeline.limited
    assert _bodies(timeline.events) == ["5", "6", "7"]
    page = await homeserver.messages(
        room.room_id, room.bot, "b", timeline.prev_batch, start.next_batch
    )
    assert _bodies(page.chunk) == ["4", "3", "2", "1", "0"]


async def test_typing_and_receipts(
    homeserver: Homeserver, synapse: SynapseProcess, room: Room
) -> None:
    async with matrix_user(synapse, f"human-{secrets.token_hex(4)}") as human:
        await homeserver.invite(room.room_id, human.user_id, room.bot)
        await human.wait_until(lambda user: room.room_id in user.invites)
        await human.join(room.room_id)
        said = await human.send(room.room_id, "hello from Matrix")
        await homeserver.receipt(room.room_id, said, room.ghost)
        await homeserver.typing(room.room_id, room.ghost, True)
        await human.wait_until(lambda user: user.typing.get(room.room_id) == [room.ghost])
        await homeserver.typing(room.room_id, room.ghost, False)
        await human.wait_until(lambda user: user.typing.get(room.room_id) == [])
        await homeserver.send_event(room.room_id, "m.room.message", said, _text("hi"), room.ghost)
        assert (await human.wait_for(room.room_id, "hi")).sender == room.ghost
        bodies = [seen.body for seen in await human.messages(room.room_id)]
        assert bodies == ["hello from Matrix", "hi"]


async def test_a_ping_to_nobody(homeserver: Homeserver, registration: Registration) -> None:
    with pytest.raises(PingFailed) as caught:
        await homeserver.ping(registration.id, "txn")
    assert caught.value.errcode == "M_CONNECTION_FAILED"
    with pytest.raises(Refused, match="M_FORBIDDEN"):
        await homeserver.ping("somebody-else")
