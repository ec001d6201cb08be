"""Two bridges on one database: whatever comes to one of them, the streams of both see once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from yarl import URL

from openmeet_bridge import app
from openmeet_bridge.config import load
from openmeet_bridge.demo.synapse import HOST
from openmeet_bridge.matrix.registration import generate
from openmeet_bridge.stream.embedded_valkey import EmbeddedValkey

from ..support.bridge import Settings
from ..support.databases import Databases
from ..support.openmeet import User, message_path
from ..support.ports import free_port
from ..support.simulated_homeserver import SimulatedHomeserver
from ..support.simulated_rooms import No
from ..support.streams import Stream
from ..support.waiting import eventually
from ..support.world import World, connected

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Pair:
    """The two bridges; the homeserver pushes to the first."""

    one: World
    two: World
    homeserver: SimulatedHomeserver
    valkey: EmbeddedValkey

    def at_two(self, user: User) -> User:
        """The same person, whose browser has come to the second bridge."""
        place = user._session, self.two.settings, user.tenant
        return User(*place, user.number, user.slug, user.name)


def _config(settings: Settings, bus: str) -> Any:
    settings.write()
    values = json.loads(settings.file.read_text()) | {"bus": bus}
    settings.file.write_text(json.dumps(values))
    return load(settings.file, {})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Pair]:
    folder, database_url = tmp_path_factory.mktemp("pair"), databases.create()
    port = free_port()
    registration = generate("localhost", f"http://{HOST}:{port}")
    file = folder / "registration.yaml"
    file.write_text(registration.dump())
    valkey = EmbeddedValkey(folder / "valkey")
    await asyncio.to_thread(valkey.start)
    async with AsyncExitStack() as stack:
        stack.callback(valkey.stop)
        homeserver = SimulatedHomeserver(registration)
        await stack.enter_async_context(homeserver.running())
        worlds: list[World] = []
        for name, own_port in (("one", port), ("two", free_port())):
            settings = Settings(folder / name, database_url, file, homeserver.url, own_port)
            await stack.enter_async_context(app.running(_config(settings, valkey.address)))
            worlds.append(await stack.enter_async_context(connected(settings, homeserver.url)))
        yield Pair(worlds[0], worlds[1], homeserver, valkey)
    databases.drop(database_url)


@dataclass
class Scene:
    """Ann reads at the first bridge, Ben at the second, and Ann in another tab there too."""

    ann: User
    ben: User
    room_id: str
    anns: Stream
    bens: Stream
    other_tab: Stream

    @property
    def streams(self) -> tuple[Stream, ...]:
        return self.anns, self.bens, self.other_tab

    def path(self, end: str) -> str:
        return f"/rooms/{quote(self.room_id)}/{end}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(pair: Pair) -> AsyncIterator[Scene]:
    ann, ben = [await pair.one.here.user(name) for name in ("Ann", "Ben")]
    room_id = await pair.one.here.group("hikers", [ann, ben])
    ben = pair.at_two(ben)
    async with ann.stream() as anns, ben.stream() as bens, pair.at_two(ann).stream() as other:
        for stream in (anns, bens, other):
            await stream.wait("hello")
        yield Scene(ann, ben, room_id, anns, bens, other)


async def test_a_message_is_settled_and_seen_wherever_it_was_sent(scene: Scene) -> None:
    for number, user in enumerate((scene.ann, scene.ben) * 3):
        # The echo comes to the first bridge, and either may do the room's sending.
        answer = await user.send(scene.room_id, f"m{number}")
        assert answer["status"] == "sent"
    for stream in scene.streams:
        await stream.message("m5")
        assert [one for one in stream.bodies() if one[0] == "m"] == [f"m{n}" for n in range(6)]


async def test_what_is_not_in_the_log_is_seen_once_by_all(pair: Pair, scene: Scene) -> None:
    await scene.ben.do("PUT", scene.path("typing"), {"typing": True})
    for stream in scene.streams:
        await stream.until(lambda one: bool(one.of("typing")), "Ben types")
    last = (await scene.ann.timeline(scene.room_id))[-1]["event_id"]
    await scene.ann.do("POST", scene.path("read"), {"event_id": last})
    for stream in scene.streams:
        await stream.wait("receipt", event_id=last)
    await scene.other_tab.wait("unread", unread_count=0)
    for stream in scene.streams:
        await stream.until(
            lambda one: {"Ann", "Ben"} <= {f.data["user"]["name"] for f in one.of("presence")},
            "both are there",
        )
    friend, _ = pair.homeserver.person("friend")
    content = {"presence": "online", "user_id": friend}
    await pair.homeserver.tell(
        {
            "type": "m.typing",
            "room_id": scene.room_id,
            "content": {"user_ids": [f"@om_here_{scene.ann.slug}:localhost"]},
        },
        {"type": "m.presence", "sender": friend, "content": content},
    )
    await pair.at_two(scene.ann).do("PUT", scene.path("typing"), {"typing": True})
    for stream in scene.streams:
        await stream.until(
            lambda one: len(one.of("typing")[-1].data["users"]) == 2, "Ann types too"
        )
        assert len(stream.of("receipt", event_id=last)) == 1
    listed = await scene.ann.do("GET", scene.path("presence"))
    assert {one["user"]["name"] for one in listed["people"]} == {"Ann", "Ben"}


async def test_what_the_homeserver_was_asked_for_is_seen_by_both(pair: Pair) -> None:
    await pair.one.homeserver.ping(pair.homeserver.registration.id, "txn-of-the-doctor")
    check = "!check:localhost"
    for names in ([pair.one.bot], []):
        content = {"user_ids": names}
        await pair.homeserver.tell({"type": "m.typing", "room_id": check, "content": content})

    async def seen() -> bool:
        found = []
        for world in (pair.one, pair.two):
            for path in ("pings/txn-of-the-doctor", f"typing/{quote(check, safe='')}"):
                url = URL(f"{world.settings.operations_url}/internal/{path}", encoded=True)
                async with world.session.get(url) as answer:
                    found += (await answer.json()).values()
        return all(found)

    await eventually(seen, "both have seen it")


async def test_who_fails_is_told_in_all_tabs(
    pair: Pair, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> str:
        raise No(403, "M_FORBIDDEN", "No.")

    with monkeypatch.context() as patch:
        patch.setattr(pair.homeserver.rooms, "send", refuse)
        for user in (scene.ann, pair.at_two(scene.ann)):
            answer = await user.ask("PUT", message_path(scene.room_id), {"body": "never"})
            assert answer.errcode == "M_FORBIDDEN"
    for stream in (scene.anns, scene.other_tab):
        await stream.until(lambda one: len(one.of("send.failed")) == 2, "both have failed")
    assert scene.bens.of("send.failed") == []


async def test_endings_reach_all_also_without_the_bus(pair: Pair, scene: Scene) -> None:
    cleo = await pair.one.here.user("Cleo")
    async with cleo.stream() as first, pair.at_two(cleo).stream() as second:
        for stream in (first, second):
            await stream.wait("hello")
        assert await pair.two.here.do("POST", f"/users/{cleo.slug}/sign-out")
        for stream in (first, second):
            await stream.wait("bye", reason="token_expired")
        assert (await cleo.ask("GET", "/me")).errcode == "M_UNKNOWN_TOKEN"
    dora = await pair.one.here.user("Dora")
    async with dora.stream() as first, pair.at_two(dora).stream() as second:
        for stream in (first, second):
            await stream.wait("hello")
        await pair.one.here.do("PUT", f"/users/{dora.slug}", {
            "id": dora.number, "name": "Dora", "active": False,
        })  # fmt: skip
        for stream in (first, second):
            await stream.wait("bye", reason="removed")
    await asyncio.to_thread(pair.valkey.stop)
    try:
        await pair.one.here.do("DELETE", f"/groups/hikers/members/{scene.ben.slug}")
        await scene.bens.wait("room.removed", room_id=scene.room_id)
        # Sending goes on without the bus, too: who waits looks at the database.
        answer = await pair.at_two(scene.ann).send(scene.room_id, "without the bus")
        assert answer["status"] == "sent"
        for stream in (scene.anns, scene.other_tab):
            await stream.message("without the bus")
        await pair.one.here.do("DELETE", f"/users/{scene.ann.slug}")
        for stream in (scene.anns, scene.other_tab):
            await stream.wait("bye", reason="removed")
    finally:
        await asyncio.to_thread(pair.valkey.start)
    assert "without the bus" not in scene.bens.bodies()
