"""What the bridge relies on at a homeserver: held by a real Synapse and by the simulated one."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import pytest

from openmeet_bridge.core.ids import RoomId
from openmeet_bridge.matrix.answers import Profile
from openmeet_bridge.matrix.errors import PingFailed, RateLimited, Refused, TokenRefused
from openmeet_bridge.matrix.homeserver import Homeserver
from openmeet_bridge.matrix.homeserver_admin import HomeserverAdmin
from openmeet_bridge.matrix.registration import Registration, generate

from ..support.simulated_homeserver import Mood, SimulatedHomeserver
from ..support.waiting import eventually

DEVICE = "BRIDGE"


@dataclass
class Stage:
    """A homeserver with the bot and a way to make people.

    Attributes:
        homeserver: As the application service.
        bot: Who makes rooms.
        appservice: Id of the registration.
        person: Makes a person of Matrix: id, and the homeserver as they see it.
        admin: Makes an administrator.
    """

    homeserver: Homeserver
    bot: str
    appservice: str
    person: Callable[[], Awaitable[tuple[str, Homeserver]]]
    admin: Callable[[], Awaitable[HomeserverAdmin]]

    async def ghost(self) -> str:
        """A new ghost."""
        name = f"om_t_{secrets.token_hex(6)}"
        await self.homeserver.register_ghost(name)
        return f"@{name}:localhost"

    async def room(self, **body: Any) -> RoomId:
        """A new room of the bot."""
        return await self.homeserver.create_room(self.bot, {"room_version": "12", **body})

    async def membership(self, room_id: str, user: str) -> str | None:
        """What somebody is in a room."""
        content = await self.homeserver.get_state(room_id, "m.room.member", user, self.bot)
        return None if content is None else str(content["membership"])

    async def state(self, room_id: str, kind: str, content: Any, key: str = "") -> str:
        """Sets state as the bot."""
        return await self.homeserver.send_state(room_id, kind, key, content, self.bot)


@pytest.fixture(params=[pytest.param("synapse", marks=pytest.mark.synapse), "simulated"])
async def stage(
    request: pytest.FixtureRequest, http_session: aiohttp.ClientSession
) -> AsyncIterator[Stage]:
    """Both homeservers, one after the other."""
    if request.param == "simulated":
        registration = generate("localhost", "http://127.0.0.1:9")
        async with SimulatedHomeserver(registration).running() as simulated:

            async def invented() -> tuple[str, Homeserver]:
                user, token = simulated.person(f"human-{secrets.token_hex(4)}")
                return user, Homeserver(http_session, simulated.url, token)

            async def appointed() -> HomeserverAdmin:
                token = secrets.token_hex(8)
                simulated.appoint(token)
                return HomeserverAdmin(http_session, simulated.url, token)

            yield await _stage(http_session, simulated.url, registration, invented, appointed)
        return
    registration = request.getfixturevalue("registration")
    synapse = request.getfixturevalue("synapse")

    async def registered() -> tuple[str, Homeserver]:
        name = f"human-{secrets.token_hex(4)}"
        await asyncio.to_thread(synapse.register_user, name, "password")
        login = await asyncio.to_thread(synapse.login, name, "password")
        return login.user_id, Homeserver(http_session, synapse.base_url, login.access_token)

    async def admin() -> HomeserverAdmin:
        name = f"admin-{secrets.token_hex(4)}"
        await asyncio.to_thread(synapse.register_user, name, "password", True)
        login = await asyncio.to_thread(synapse.login, name, "password")
        return HomeserverAdmin(http_session, synapse.base_url, login.access_token)

    yield await _stage(http_session, synapse.base_url, registration, registered, admin)


async def _stage(
    session: aiohttp.ClientSession,
    url: str,
    registration: Registration,
    person: Callable[[], Awaitable[tuple[str, Homeserver]]],
    admin: Callable[[], Awaitable[HomeserverAdmin]],
) -> Stage:
    homeserver = Homeserver(session, url, registration.as_token)
    await homeserver.register_ghost(registration.bot_localpart)
    return Stage(homeserver, registration.bot, registration.id, person, admin)


async def test_ghosts(stage: Stage) -> None:
    name = f"om_t_{secrets.token_hex(6)}"
    ghost = f"@{name}:localhost"
    with pytest.raises(Refused, match=r"M_FORBIDDEN.*has not registered this user"):
        await stage.homeserver.whoami(ghost)
    assert await stage.homeserver.register_ghost(name)
    assert not await stage.homeserver.register_ghost(name)
    with pytest.raises(Refused, match="M_EXCLUSIVE"):
        await stage.homeserver.register_ghost("outside_the_namespace")
    with pytest.raises(Refused, match="M_UNKNOWN_DEVICE"):
        await stage.homeserver.whoami(ghost, DEVICE)
    await stage.homeserver.create_device(ghost, DEVICE, "OpenMeet")
    assert (await stage.homeserver.whoami(ghost, DEVICE)).device_id == DEVICE


async def test_what_an_administrator_does(stage: Stage) -> None:
    admin, ghost = await stage.admin(), await stage.ghost()
    await stage.homeserver.create_device(ghost, DEVICE, "OpenMeet")
    await admin.set_password(ghost, "a password of their own")
    assert (await stage.homeserver.whoami(ghost, DEVICE)).device_id == DEVICE
    room_id = await stage.room()
    await stage.homeserver.leave(room_id, stage.bot)
    await admin.remove_room(room_id)

    async def gone() -> bool:
        try:
            await stage.homeserver.room_state(room_id, stage.bot)
        except Refused:
            return True
        return False

    await eventually(gone, "the room is gone")


async def test_presence_is_told_and_asked_for(stage: Stage) -> None:
    ghost = await stage.ghost()
    room_id = await stage.room(invite=[ghost])
    await stage.homeserver.join(room_id, ghost)
    for presence in ("online", "unavailable"):
        await stage.homeserver.set_presence(ghost, presence)
        answer = await stage.homeserver.get_presence(ghost, stage.bot)
        assert answer.presence == presence


async def test_profiles_and_account_data(stage: Stage) -> None:
    ghost = await stage.ghost()
    await stage.homeserver.set_displayname(ghost, "Ada Lovelace")
    await stage.homeserver.set_avatar_url(ghost, "mxc://localhost/abc")
    assert await stage.homeserver.get_profile(ghost) == Profile(
        "Ada Lovelace", "mxc://localhost/abc"
    )
    assert await stage.homeserver.get_profile("@om_t_nobody:localhost") == Profile()
    assert await stage.homeserver.get_account_data(ghost, "m.direct") is None
    await stage.homeserver.set_account_data(ghost, "m.direct", {"@a:localhost": ["!r"]})
    found = await stage.homeserver.get_account_data(ghost, "m.direct")
    assert found == {"@a:localhost": ["!r"]}


async def test_media(stage: Stage) -> None:
    uri = await stage.homeserver.upload("image/png", "a.png", b"\x89PNG", stage.bot)
    assert uri.startswith("mxc://localhost/")


async def test_a_profile_is_carried_into_rooms(stage: Stage) -> None:
    ghost, room_id = await stage.ghost(), await stage.room()
    await stage.homeserver.invite(room_id, ghost, stage.bot)
    await stage.homeserver.join(room_id, ghost)
    await stage.homeserver.set_displayname(ghost, "Ben")

    async def named() -> bool:
        content = await stage.homeserver.get_state(room_id, "m.room.member", ghost, stage.bot)
        return content is not None and content.get("displayname") == "Ben"

    await eventually(named, "the room shows the name")


async def test_aliases(stage: Stage) -> None:
    localpart = f"om_t_group_{secrets.token_hex(6)}"
    room_id = await stage.room(room_alias_name=localpart)
    alias, second = f"#{localpart}:localhost", f"#{localpart}-2:localhost"
    named = await stage.homeserver.get_state(room_id, "m.room.canonical_alias", "", stage.bot)
    assert named == {"alias": alias}
    with pytest.raises(Refused, match="M_ROOM_IN_USE"):
        await stage.room(room_alias_name=localpart)
    with pytest.raises(Refused, match="M_EXCLUSIVE"):
        await stage.room(room_alias_name="outside")
    assert await stage.homeserver.resolve_alias(alias) == room_id
    assert await stage.homeserver.resolve_alias(second) is None
    await stage.homeserver.create_alias(second, room_id, stage.bot)
    with pytest.raises(Refused) as caught:
        await stage.homeserver.create_alias(second, room_id, stage.bot)
    assert caught.value.status == 409
    await stage.homeserver.delete_alias(second, stage.bot)
    await stage.homeserver.delete_alias(second, stage.bot)
    assert await stage.homeserver.resolve_alias(second) is None


async def test_state(stage: Stage) -> None:
    room_id = await stage.room(name="R", creation_content={"org.example": 1})
    first = await stage.state(room_id, "m.room.name", {"name": "S"})
    assert await stage.state(room_id, "m.room.name", b'{"name":"S"}') == first
    holding = stage.homeserver.state_event_id
    assert await holding(room_id, "m.room.name", "", stage.bot) == first
    assert await holding(room_id, "m.room.avatar", "", stage.bot) is None
    get = stage.homeserver.get_state
    assert await get(room_id, "m.room.name", "", stage.bot) == {"name": "S"}
    assert await get(room_id, "m.room.avatar", "", stage.bot) is None
    create = await get(room_id, "m.room.create", "", stage.bot)
    assert create is not None
    assert (create["org.example"], create["room_version"]) == (1, "12")
    await stage.state(room_id, "m.space.child", {"via": ["localhost"]}, "!x/y")
    assert await get(room_id, "m.space.child", "!x/y", stage.bot) == {"via": ["localhost"]}
    events = await stage.homeserver.room_state(room_id, stage.bot)
    kinds = {msgspec.json.decode(event)["type"] for event in events}
    assert {"m.room.create", "m.room.power_levels", "m.room.member", "m.space.child"} <= kinds


async def test_the_creator_is_above_all_and_in_no_list(stage: Stage) -> None:
    room_id, ghost = await stage.room(preset="private_chat"), await stage.ghost()
    get = stage.homeserver.get_state
    levels = await get(room_id, "m.room.power_levels", "", stage.bot) or {}
    assert stage.bot not in levels.get("users", {})
    with pytest.raises(Refused) as caught:
        await stage.state(room_id, "m.room.power_levels", {**levels, "users": {stage.bot: 100}})
    assert caught.value.status == 400
    await stage.state(room_id, "m.room.power_levels", {**levels, "users": {ghost: 100}})
    await stage.homeserver.invite(room_id, ghost, stage.bot)
    await stage.homeserver.join(room_id, ghost)
    with pytest.raises(Refused, match="M_FORBIDDEN"):
        await stage.homeserver.kick(room_id, stage.bot, None, ghost)
    await stage.homeserver.send_state(room_id, "m.room.topic", "", {"topic": "mine"}, ghost)
    await stage.homeserver.kick(room_id, ghost, None, stage.bot)


async def test_coming_and_going(stage: Stage) -> None:
    room_id, ghost = await stage.room(preset="private_chat"), await stage.ghost()
    server = stage.homeserver
    with pytest.raises(Refused, match="M_FORBIDDEN"):
        await server.join(room_id, ghost)
    await server.invite(room_id, ghost, stage.bot)
    await server.join(room_id, ghost)
    await server.join(room_id, ghost)
    with pytest.raises(Refused, match="M_FORBIDDEN"):
        await server.invite(room_id, ghost, stage.bot)
    assert room_id in await server.joined_rooms(ghost)
    await server.kick(room_id, ghost, "moved", stage.bot)
    assert await stage.membership(room_id, ghost) == "leave"
    with pytest.raises(Refused) as caught:
        await server.kick(room_id, ghost, "moved", stage.bot)
    assert caught.value.status == 403
    await server.ban(room_id, ghost, "rude", stage.bot)
    with pytest.raises(Refused) as banned:
        await server.join(room_id, ghost)
    assert (banned.value.status, banned.value.errcode) == (403, "M_BAD_STATE")
    with pytest.raises(Refused) as uninvited:
        await server.invite(room_id, ghost, stage.bot)
    assert uninvited.value.status == 403
    await server.unban(room_id, ghost, stage.bot)
    await server.invite(room_id, ghost, stage.bot)
    await server.leave(room_id, ghost)
    assert await stage.membership(room_id, ghost) == "leave"


async def test_a_public_room_needs_no_invitation(stage: Stage) -> None:
    rules = {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "public"}}
    room_id, ghost = await stage.room(initial_state=[rules]), await stage.ghost()
    await stage.homeserver.join(room_id, ghost)
    user, person = await stage.person()
    await person.join(room_id, user)
    assert await stage.membership(room_id, user) == "join"


async def test_people_have_the_power_they_are_given(stage: Stage) -> None:
    room_id = await stage.room(preset="private_chat")
    user, person = await stage.person()
    await stage.homeserver.invite(room_id, user, stage.bot)
    await person.join(room_id, user)
    with pytest.raises(Refused, match="M_FORBIDDEN"):
        await person.send_state(room_id, "m.room.name", "", {"name": "Mine"}, user)
    get = stage.homeserver.get_state
    levels = await get(room_id, "m.room.power_levels", "", stage.bot) or {}
    await stage.state(room_id, "m.room.power_levels", {**levels, "users": {user: 50}})
    await person.send_state(room_id, "m.room.name", "", {"name": "Mine"}, user)
    content = {"replacement_room": "!another"}
    with pytest.raises(Refused, match="M_FORBIDDEN"):
        await person.send_state(room_id, "m.room.tombstone", "", content, user)


async def test_a_send_repeated_is_one_message(stage: Stage) -> None:
    room_id, ghost = await stage.room(), await stage.ghost()
    server = stage.homeserver
    await server.create_device(ghost, DEVICE, "OpenMeet")
    await server.invite(room_id, ghost, stage.bot)
    await server.join(room_id, ghost)
    txn, content = secrets.token_hex(8), {"msgtype": "m.text", "body": "once"}
    first = await server.send_event(room_id, "m.room.message", txn, content, ghost, DEVICE)
    assert await server.send_event(room_id, "m.room.message", txn, content, ghost, DEVICE) == first
    await server.redact(room_id, first, secrets.token_hex(8), stage.bot)


async def test_what_changes_a_message(stage: Stage) -> None:
    room_id, ghost, other = await stage.room(), await stage.ghost(), await stage.ghost()
    server = stage.homeserver
    for one in (ghost, other):
        await server.create_device(one, DEVICE, "OpenMeet")
        await server.invite(room_id, one, stage.bot)
        await server.join(room_id, one)

    async def send(kind: str, content: Any, by: str = ghost) -> str:
        return await server.send_event(room_id, kind, secrets.token_hex(8), content, by, DEVICE)

    async def redact(event_id: str, by: str, txn_id: str = "", content: Any = b"{}") -> str:
        txn_id = txn_id or secrets.token_hex(8)
        return await server.redact(room_id, event_id, txn_id, by, DEVICE, content)

    said = await send("m.room.message", {"msgtype": "m.text", "body": "once"})
    relation = {"rel_type": "m.annotation", "event_id": said, "key": "👍"}
    reaction = await send("m.reaction", {"m.relates_to": relation})
    with pytest.raises(Refused, match="M_DUPLICATE_ANNOTATION"):
        await send("m.reaction", {"m.relates_to": relation})
    await send("m.reaction", {"m.relates_to": relation}, other)
    txn = secrets.token_hex(8)
    taken_back = await redact(reaction, ghost, txn)
    assert await redact(reaction, ghost, txn) == taken_back
    assert await send("m.reaction", {"m.relates_to": relation}) != reaction
    with pytest.raises(Refused, match=r"M_FORBIDDEN.*permission to redact"):
        await redact(said, other)
    with pytest.raises(Refused, match="M_NOT_FOUND"):
        await redact("$unknown", ghost)
    # What a redaction holds besides the reason comes back: so its echo is known.
    done = await redact(said, ghost, content={"reason": "oops", "org.example": "1"})
    page = await server.messages(room_id, stage.bot, "b")
    (event,) = [one for one in map(msgspec.json.decode, page.chunk) if one["event_id"] == done]
    assert event["content"] == {"reason": "oops", "org.example": "1", "redacts": said}


async def test_history(stage: Stage) -> None:
    room_id = await stage.room()
    start = await stage.homeserver.sync(stage.bot)
    for number in range(8):
        content = {"msgtype": "m.text", "body": str(number)}
        txn = secrets.token_hex(8)
        await stage.homeserver.send_event(room_id, "m.room.message", txn, content, stage.bot)
    few = {"room": {"timeline": {"limit": 3}}}
    synced = await stage.homeserver.sync(stage.bot, start.next_batch, few)
    timeline = synced.rooms.join[room_id].timeline
    assert timeline.limited
    assert _bodies(timeline.events) == ["5", "6", "7"]
    # Who asks the same again, because they broke off, must not get the same old answer.
    await stage.homeserver.send_event(
        room_id, "m.room.message", "again", {"msgtype": "m.text", "body": "8"}, stage.bot
    )
    again = await stage.homeserver.sync(stage.bot, start.next_batch, few)
    assert _bodies(again.rooms.join[room_id].timeline.events) == ["6", "7", "8"]
    page = await stage.homeserver.messages(
        room_id, stage.bot, "b", timeline.prev_batch, start.next_batch
    )
    assert _bodies(page.chunk) == ["4", "3", "2", "1", "0"]
    seen, at = 0, None
    while True:
        page = await stage.homeserver.messages(room_id, stage.bot, "b", at, limit=4)
        seen, at = seen + len(page.chunk), page.end
        if not page.chunk or at is None:
            break
    assert seen > 8


async def test_what_is_older_than_an_event(stage: Stage) -> None:
    room_id, server = await stage.room(), stage.homeserver
    for number in range(6):
        content = {"msgtype": "m.text", "body": str(number)}
        said = await server.send_event(
            room_id, "m.room.message", secrets.token_hex(8), content, stage.bot
        )
        if number == 2:
            await stage.state(
                room_id, "m.room.history_visibility", {"history_visibility": "joined"}
            )
        if number == 4:
            event_id = said
    await stage.state(room_id, "m.room.history_visibility", {"history_visibility": "invited"})
    found = await server.context(room_id, event_id, stage.bot)
    held = [one for one in map(msgspec.json.decode, found.state) if "history" in one["type"]]
    assert [one["content"]["history_visibility"] for one in held] == ["joined"]
    page = await server.messages(room_id, stage.bot, "b", found.start, limit=1000)
    assert _bodies(page.chunk) == ["3", "2", "1", "0"]
    events = [msgspec.json.decode(raw) for raw in page.chunk]
    assert events[-1]["type"] == "m.room.create"
    changes = [one["unsigned"] for one in events if "history" in one["type"]]
    assert changes[0]["prev_content"] == {"history_visibility": "shared"}
    assert "replaces_state" not in changes[-1]
    at = page.end
    if at is not None:
        page = await server.messages(room_id, stage.bot, "b", at)
        assert (page.chunk, page.end) == ([], None)
    with pytest.raises(Refused, match="404"):
        await server.context(room_id, "$never", stage.bot)
    with pytest.raises(Refused, match="400"):
        await server.messages(room_id, stage.bot, "b", "a token of another life")


def _bodies(events: list[msgspec.Raw]) -> list[str]:
    decoded = [msgspec.json.decode(event) for event in events]
    return [event["content"]["body"] for event in decoded if event["type"] == "m.room.message"]


async def test_tokens_and_pings(stage: Stage) -> None:
    assert (await stage.homeserver.versions()).versions
    with pytest.raises(PingFailed):
        await stage.homeserver.ping(stage.appservice, "txn")
    with pytest.raises(Refused, match="M_FORBIDDEN"):
        await stage.homeserver.ping("somebody-else")


async def test_moods(http_session: aiohttp.ClientSession) -> None:
    registration = generate("localhost", "http://127.0.0.1:9")
    simulated = SimulatedHomeserver(registration, Mood(limited=1.0))
    async with simulated.running():
        homeserver = Homeserver(http_session, simulated.url, registration.as_token)
        with pytest.raises(RateLimited) as caught:
            await homeserver.register_ghost(registration.bot_localpart)
        assert 1 <= caught.value.retry_after_ms <= 200
        simulated.mood = Mood()
        await homeserver.register_ghost(registration.bot_localpart)
        with pytest.raises(TokenRefused):
            await Homeserver(http_session, simulated.url, "wrong").whoami(registration.bot)
        assert simulated.counts == {"register": 2, "whoami": 1}
