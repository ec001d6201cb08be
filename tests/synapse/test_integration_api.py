"""The integration API on a real Synapse: a batch, a whole set of members, new names, a dry run."""

from __future__ import annotations

import secrets
from urllib.parse import quote

import msgspec
import pytest

from openmeet_bridge.core.ids import Mxid
from openmeet_bridge.demo.synapse import SynapseProcess

from ..support.bridge import Settings, running_bridge
from ..support.openmeet import Backend, User
from ..support.world import World, connected

pytestmark = pytest.mark.synapse


async def in_room(world: World, room_id: str) -> set[Mxid]:
    """Who is joined, as Synapse has it; the bot left out."""
    events = await world.homeserver.members(room_id, world.bot, "join")
    return {msgspec.json.decode(event)["state_key"] for event in events} - {world.bot}


async def hikers(backend: Backend, people: list[User]) -> str:
    """Write a group with a meetup and its members in one request; return the group's path."""
    slug = f"hikers-{secrets.token_hex(3)}"
    await backend.batch(
        {"op": "put_group", "slug": slug, "name": "Hikers"},
        {"op": "put_meetup", "slug": f"{slug}-walk", "name": "Walk", "group": slug},
        {
            "op": "replace_members",
            "kind": "group",
            "slug": slug,
            "members": [{"user": one.slug} for one in people],
        },
        {
            "op": "put_member",
            "kind": "meetup",
            "slug": f"{slug}-walk",
            "user": people[0].slug,
            "role": "host",
        },
    )
    await backend.all_settled()
    return f"/groups/{slug}"


async def test_the_way_of_a_group(settings: Settings, synapse: SynapseProcess) -> None:
    async with running_bridge(settings), connected(settings, synapse.base_url) as world:
        here = world.here
        ann, ben = await here.user("Ann"), await here.user("Ben")
        path = await hikers(here, [ann, ben])
        room_id = (await here.do("GET", f"{path}/status"))["room_id"]
        assert await in_room(world, room_id) == {ann.mxid, ben.mxid}
        shown = await here.members(path)
        assert all(one["in_room"] and "why" not in one for one in shown.values())

        # Whoever is not in the new set hears nothing from now on, whatever Synapse knows.
        async with ben.stream() as bens, ann.stream() as anns:
            for stream in (bens, anns):
                await stream.wait("hello")
            synapse.pause()
            members = {"members": [{"user": ann.slug, "role": "owner"}]}
            answer = await here.do("PUT", f"{path}/members", members)
            assert [one["what"] for one in answer["differences"]] == ["removed", "changed"]
            await bens.wait("room.removed", room_id=room_id)
            assert (await ben.ask("GET", f"/rooms/{quote(room_id)}/timeline")).status == 404
            assert room_id in await ann.rooms()
            synapse.resume()
            await here.settled(path)
            assert await in_room(world, room_id) == {ann.mxid}
            assert "room.removed" not in {frame.type for frame in anns.frames}

        # New names, and the room is the same.
        old_alias = (await here.do("GET", f"{path}/status"))["alias"]
        renamed = f"{path}-2"
        await here.do("POST", f"{path}/rename", {"to": renamed.removeprefix("/groups/")})
        await here.do("POST", f"/users/{ann.slug}/rename", {"to": f"{ann.slug}-2"})
        status = await here.settled(renamed)
        assert status["room_id"] == room_id
        for alias in (old_alias, status["alias"]):
            assert await world.homeserver.resolve_alias(alias) == room_id
        assert await in_room(world, room_id) == {ann.mxid}
        await here.all_settled()

        # A dry run tells, and nothing happens.
        before = await here.do("GET", "/status")
        answer = await here.do("DELETE", renamed, None, {"dry_run": "true"})
        assert [one["what"] for one in answer["differences"]] == ["removed"]
        await here.all_settled()  # what the renaming has still set off
        assert await here.do("GET", "/status") == before
        assert await in_room(world, room_id) == {ann.mxid}
