"""Presence, typing and preferences of one bridge, by its web API and its streams."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from openmeet_bridge.bridge import presence, presence_telling

from ..support.bridge import THERE
from ..support.databases import Databases
from ..support.fault_proxy import pass_on, refuse
from ..support.openmeet import User
from ..support.simulated_world import SimulatedWorld, simulated_world
from ..support.streams import Stream
from ..support.waiting import eventually
from ..support.world import World, connected

pytestmark = pytest.mark.asyncio(loop_scope="module")

FRIEND = "@friend:localhost"


@dataclass
class Stage:
    """Two people of OpenMeet and one of Matrix in a room; a third knows nobody."""

    simulated: SimulatedWorld
    world: World
    alice: User
    bob: User
    carol: User
    room_id: str

    @property
    def path(self) -> str:
        """The room."""
        return f"/rooms/{quote(self.room_id)}"

    async def told(self, mxid: str, expected: str) -> None:
        """Waits until the homeserver knows how somebody is there."""

        async def look() -> bool:
            return self.simulated.homeserver.presence.get(mxid) == expected

        await eventually(look, f"the homeserver knows that {mxid} is {expected}")

    async def there(self, who: User, room: str | None = None) -> dict[str, str]:
        """Who of the room is there, as somebody sees it."""
        answer = await who.do("GET", f"{room or self.path}/presence")
        return {one["user"]["name"]: one["state"] for one in answer["people"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    database_url = databases.create()
    wanted = {"offline_after": 0.3, "idle_after": "1 h", "matrix": True}
    folder = tmp_path_factory.mktemp("bridge")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(presence, "_TICK", 0.02)
        patch.setattr(presence_telling, "_TICK", 0.02)
        async with (
            simulated_world(
                folder, database_url, presence=wanted, of_tenant={THERE.id: {"presence": False}}
            ) as simulated,
            connected(simulated.settings, simulated.homeserver.url) as world,
        ):
            alice, bob, carol = [await world.here.user(one) for one in ("Alice", "Bob", "Carol")]
            room_id = await world.here.group("hikers", [alice, bob], public=True)
            simulated.homeserver.person("friend")
            rooms = simulated.homeserver.rooms
            rooms.join(rooms.room(room_id), FRIEND)
            simulated.homeserver.push()
            yield Stage(simulated, world, alice, bob, carol, room_id)
    databases.drop(database_url)


def of(stream: Stream, mxid: str) -> list[str]:
    """How a stream has seen somebody come and go."""
    return [one.data["state"] for one in stream.of("presence") if one.data["user"]["mxid"] == mxid]


async def seen(stream: Stream, mxid: str, *states: str) -> dict[str, Any]:
    """Waits until a stream has seen somebody be so, in this order; returns the last frame."""
    await stream.until(lambda one: of(one, mxid) == list(states), f"{mxid}: {states}")
    return [one.data for one in stream.of("presence") if one.data["user"]["mxid"] == mxid][-1]


def presence_event(**content: Any) -> dict[str, Any]:
    return {"type": "m.presence", "sender": FRIEND, "content": content}


async def test_who_is_there_is_seen_by_those_who_share_a_room(stage: Stage) -> None:
    alice, bob, mxid = stage.alice, stage.bob, stage.alice.mxid
    assert await stage.there(bob) == {}
    async with bob.stream() as stream, stage.carol.stream() as elsewhere:
        await elsewhere.wait("hello")
        async with alice.socket():
            data = await seen(stream, mxid, "online")
            assert data["user"]["name"] == "Alice"
            assert data["last_seen"] > 1_700_000_000_000
            assert await stage.there(bob) == {"Alice": "online", "Bob": "online"}
            await stage.told(mxid, "online")
            await alice.do("PUT", "/presence", {"state": "idle"})
            await seen(stream, mxid, "online", "idle")
            await stage.told(mxid, "unavailable")
        await seen(stream, mxid, "online", "idle", "offline")
        await stage.told(mxid, "offline")
        assert await stage.there(bob) == {"Bob": "online", "Alice": "offline"}
        assert of(elsewhere, mxid) == []
        # The homeserver tells of its own people, and sometimes nonsense.
        await stage.simulated.homeserver.tell(
            presence_event(presence=7),
            {"type": "m.presence", "content": {"presence": "online"}},
            {"type": "m.presence", "sender": "\0", "content": {"presence": "online"}},
            presence_event(presence="online", last_active_ago=1e300),
            presence_event(presence="online", last_active_ago=1000.5, currently_active=True),
        )
        await seen(stream, FRIEND, "online")
        assert (await stage.there(bob))["friend"] == "online"
        await stage.simulated.homeserver.tell(presence_event(presence="offline"))
        await seen(stream, FRIEND, "online", "offline")


async def test_presence_is_for_members_and_of_a_tenant_that_shows_it(stage: Stage) -> None:
    answer = await stage.carol.ask("GET", f"{stage.path}/presence")
    assert (answer.status, answer.errcode) == (404, "M_NOT_FOUND")
    eve, finn = [await stage.world.there.user(one) for one in ("Eve", "Finn")]
    room_id = await stage.world.there.group("divers", [eve, finn])
    path = f"/rooms/{quote(room_id)}"
    async with eve.stream() as stream, finn.stream() as other:
        await stream.wait("hello")
        await other.wait("hello")
        await eve.do("PUT", "/presence", {"state": "online"})
        await eve.send(room_id, "anybody there?")
        await other.message("anybody there?")
        assert await stage.there(finn, path) == {}
        assert not stream.of("presence")
        assert not other.of("presence")
    assert (await eve.ask("GET", f"{stage.path}/presence")).status == 404


async def test_who_hides_is_gone_for_all(stage: Stage) -> None:
    alice, bob, mxid = stage.alice, stage.bob, stage.alice.mxid
    shown = {"presence": True, "receipts": True}
    assert await alice.do("GET", "/me/preferences") == shown
    for bad in ({"presence": True}, {**shown, "more": 1}, {**shown, "receipts": "no"}, {}):
        assert (await alice.ask("PUT", "/me/preferences", bad)).status == 400
    assert (await alice.ask("PUT", "/presence", {"state": "offline"})).status == 400
    async with bob.stream() as stream:
        await stream.wait("hello")
        async with alice.stream():
            await seen(stream, mxid, "online")
            hidden = {"presence": False, "receipts": True}
            assert await alice.do("PUT", "/me/preferences", hidden) == hidden
            assert (await seen(stream, mxid, "online", "offline"))["last_seen"] is None
            assert "Alice" not in await stage.there(bob)
            assert await alice.do("GET", "/me/preferences") == hidden
            await alice.do("PUT", "/me/preferences", shown)
            await seen(stream, mxid, "online", "offline", "online")
            assert (await stage.there(bob))["Alice"] == "online"


async def test_typing_needs_no_homeserver(stage: Stage) -> None:
    alice, bob = stage.alice, stage.bob
    async with bob.stream() as stream:
        await stream.wait("hello")
        stage.simulated.proxy.rule = refuse
        try:
            await alice.do("PUT", f"{stage.path}/typing", {"typing": True})
            await stream.wait("typing", room_id=stage.room_id)
            async with bob.socket() as late:
                (one,) = (await late.wait("typing", room_id=stage.room_id)).data["users"]
                assert one["name"] == "Alice"
        finally:
            stage.simulated.proxy.rule = pass_on
        await alice.send(stage.room_id, "done typing")
        await stream.wait("typing", room_id=stage.room_id, users=[])
        await alice.do("PUT", f"{stage.path}/typing", {"typing": True})
        await stream.until(lambda one: len(one.of("typing")) == 3, "Alice types again")
        await stage.world.here.do("DELETE", f"/groups/hikers/members/{alice.slug}")
        await stream.until(lambda one: len(one.of("typing", users=[])) == 2, "Alice is out")
    assert (await alice.ask("GET", f"{stage.path}/presence")).status == 404
    assert "Alice" not in await stage.there(bob)
