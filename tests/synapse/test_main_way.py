"""The main way: from OpenMeet's directory to rooms, and from one person's lips to all ears."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from openmeet_bridge.bridge.ghosts import Ghosts
from openmeet_bridge.bridge.portals import Portals
from openmeet_bridge.core.events import CREATE, MESSAGE, PORTAL_KEY
from openmeet_bridge.core.ids import PortalKind, PortalRef
from openmeet_bridge.core.naming import Naming
from openmeet_bridge.core.rules import Rules
from openmeet_bridge.demo.synapse import SynapseProcess
from openmeet_bridge.storage.database import Database

from ..support.bridge import HERE
from ..support.fault_proxy import FaultProxy, pass_on, refuse
from ..support.matrix_user import MatrixUser, matrix_user
from ..support.openmeet import User, message_path
from ..support.waiting import eventually
from ..support.world import World

pytestmark = [pytest.mark.synapse, pytest.mark.asyncio(loop_scope="module")]

CHANGES = {"presence": {"matrix": True}}

NAMING = Naming("localhost")


def some(name: str) -> str:
    """A slug that no other test has."""
    return f"{name}-{secrets.token_hex(4)}"


async def in_room(world: World, room_id: str) -> set[str]:
    """Who is joined, as Synapse has it; the bot left out."""
    events = await world.homeserver.members(room_id, world.bot, "join")
    return {msgspec.json.decode(event)["state_key"] for event in events} - {world.bot}


async def said(world: World, room_id: str) -> list[tuple[str, str, str]]:
    """The messages of a room as Synapse has them: event, sender, text."""
    page = await world.homeserver.messages(room_id, world.bot, "b", limit=100)
    events: list[dict[str, Any]] = [msgspec.json.decode(raw) for raw in reversed(page.chunk)]
    return [
        (event["event_id"], event["sender"], event["content"]["body"])
        for event in events
        if event["type"] == "m.room.message"
    ]


async def logged(world: World, event_id: str) -> int:
    """How often an event is in the log."""
    rows = await world.sql("SELECT count(*) FROM log WHERE event_id = $1", event_id)
    return int(rows[0][0])


async def test_a_message_reaches_the_room_and_every_member(world: World) -> None:
    alice, bob, carol = [await world.here.user(name) for name in ("Alice", "Bob", "Carol")]
    dave = await world.there.user("Dave", slug=alice.slug)
    slug = some("hikers")
    room_id = await world.here.group(slug, [alice, bob])
    strangers_room = await world.here.group(some("others"), [carol])
    there_room = await world.there.group(slug, [dave])
    async with (
        alice.stream() as alice_sse,
        alice.socket() as alice_ws,
        bob.stream() as bob_sse,
        bob.socket() as bob_ws,
        carol.stream() as carol_sse,
        carol.socket() as carol_ws,
        dave.stream() as dave_sse,
        dave.socket() as dave_ws,
    ):
        members = (alice_sse, alice_ws, bob_sse, bob_ws)
        others = (carol_sse, carol_ws, dave_sse, dave_ws)
        for stream in (*members, *others):
            await stream.wait("hello")
        answer = await alice.send(room_id, "hello everybody", "my-own-id")
        assert answer["status"] == "sent"
        for stream in members:
            entry = await stream.message("hello everybody")
            assert entry["event_id"] == answer["event_id"]
            assert entry["sender"] == {
                "mxid": alice.mxid,
                "name": "Alice",
                "avatar_url": None,
                "slug": alice.slug,
            }
            assert entry["client_txn_id"] == "my-own-id"
        # What comes later over the same streams proves that nothing came before it.
        await carol.send(strangers_room, "among ourselves")
        await dave.send(there_room, "on the other site")
        lasts = ["among ourselves"] * 2 + ["on the other site"] * 2
        for stream, last in zip(others, lasts, strict=True):
            await stream.message(last)
            assert stream.bodies() == [last]
        for stream in members:
            assert stream.bodies() == ["hello everybody"]
    assert await said(world, room_id) == [(answer["event_id"], alice.mxid, "hello everybody")]
    assert await logged(world, answer["event_id"]) == 1
    assert await alice.send(room_id, "hello everybody", "my-own-id") == answer
    assert await bob.bodies(room_id) == ["hello everybody"]
    assert (await bob.rooms())[room_id]["unread_count"] == 1
    assert set(await carol.rooms()) == {strangers_room}
    assert set(await dave.rooms()) == {there_room}


async def test_a_group_becomes_a_room(world: World) -> None:
    alice, bob = await world.here.user("Alice"), await world.here.user("Bob")
    slug = some("chess")
    room_id = await world.here.group(slug, [alice])
    path = f"/groups/{slug}/members/{bob.slug}"
    await world.here.do("PUT", path, {"role": "moderator"})
    await world.here.settled(f"/groups/{slug}")
    assert await in_room(world, room_id) == {alice.mxid, bob.mxid}
    alias = NAMING.alias(PortalRef(HERE.id, PortalKind.GROUP, slug))
    assert await world.homeserver.resolve_alias(alias) == room_id

    async def state(event_type: str) -> dict[str, Any]:
        return await world.homeserver.get_state(room_id, event_type, "", world.bot) or {}

    assert (await state("m.room.create"))["room_version"] == "12"
    assert await state("m.room.history_visibility") == {"history_visibility": "shared"}
    assert await state("m.room.join_rules") == {"join_rule": "invite"}
    assert (await state("m.room.name"))["name"] == slug.title()
    assert (await state("m.room.power_levels"))["users"] == {bob.mxid: 50}
    members = (await alice.do("GET", f"/rooms/{quote(room_id)}/members"))["members"]
    assert {(one["slug"], one["role"], one["power_level"]) for one in members} == {
        (alice.slug, "member", 0),
        (bob.slug, "moderator", 50),
    }
    await world.here.do("PUT", f"/groups/{slug}", {"name": "Chess club", "visibility": "public"})
    await world.here.settled(f"/groups/{slug}")
    assert (await state("m.room.name"))["name"] == "Chess club"
    assert await state("m.room.join_rules") == {"join_rule": "public"}


async def test_meetups_and_direct_chats_are_rooms_too(world: World) -> None:
    alice, bob = await world.here.user("Alice"), await world.here.user("Bob")
    meetup = await world.here.group(some("picnic"), [alice, bob], kind="meetups")
    direct = await world.here.direct(bob, alice)
    assert await world.here.direct(alice, bob) == direct
    assert await in_room(world, direct) == {alice.mxid, bob.mxid}
    rooms = await alice.rooms()
    assert {room_id: room["kind"] for room_id, room in rooms.items()} == {
        meetup: "meetup",
        direct: "direct",
    }
    assert (rooms[direct]["name"], (await bob.rooms())[direct]["name"]) == ("Bob", "Alice")
    async with bob.stream() as stream:
        await stream.wait("hello")
        await alice.send(direct, "just you and me")
        assert (await stream.message("just you and me"))["room_id"] == direct


async def public_group(world: World, human: MatrixUser, *members: User) -> tuple[str, str]:
    """A group that somebody from Matrix has joined by its alias; its room and its slug."""
    slug = some("open")
    room_id = await world.here.group(slug, members, public=True)
    alias = NAMING.alias(PortalRef(HERE.id, PortalKind.GROUP, slug))
    assert await human.join(alias) == room_id

    async def known() -> bool:
        found = await members[0].do("GET", f"/rooms/{quote(room_id)}/members")
        return human.user_id in [one["mxid"] for one in found["members"]]

    await eventually(known, "the bridge knows who has come")
    return room_id, slug


async def test_a_stock_matrix_client_sends_and_receives_the_same(
    world: World, session_synapse: SynapseProcess
) -> None:
    alice, bob = await world.here.user("Alice"), await world.here.user("Bob")
    async with matrix_user(session_synapse, some("human")) as human:
        room_id, _ = await public_group(world, human, alice, bob)
        async with bob.stream() as stream, bob.socket() as socket:
            for one in (stream, socket):
                await one.wait("hello")
            sent = await human.send(room_id, "hello from Matrix")
            for one in (stream, socket):
                entry = await one.message("hello from Matrix")
                assert entry["event_id"] == sent
                assert entry["sender"]["mxid"] == human.user_id
                assert entry["sender"]["slug"] is None
            answer = await alice.send(room_id, "hello Matrix")
            seen = await human.wait_for(room_id, "hello Matrix")
            assert (seen.sender, seen.event_id) == (alice.mxid, answer["event_id"])
            await human.redact(room_id, sent)
            for one in (stream, socket):
                frame = await one.wait("timeline.changed", event_id=sent)
                assert frame.data["deletion"]["by"]["mxid"] == human.user_id
        assert await bob.bodies(room_id) == ["hello Matrix"]
        entries = {entry["event_id"]: entry for entry in await bob.timeline(room_id)}
        assert entries[sent]["kind"] == "deleted"
        assert "hello" not in str(entries[sent])


async def test_typing_receipts_and_presence_go_both_ways(
    world: World, session_synapse: SynapseProcess
) -> None:
    alice, bob = await world.here.user("Alice"), await world.here.user("Bob")
    async with matrix_user(session_synapse, some("human")) as human:
        room_id, _ = await public_group(world, human, alice, bob)
        async with bob.stream() as stream:
            await stream.wait("hello")
            await human.wait_until(lambda user: user.presence.get(bob.mxid) == "online")
            await stream.until(
                lambda one: any(
                    frame.data["user"]["mxid"] == human.user_id
                    for frame in one.of("presence", state="online")
                ),
                "the person of Matrix is there, who looks",
            )
            await human.type(room_id)
            frame = await stream.wait("typing", room_id=room_id)
            assert [one["mxid"] for one in frame.data["users"]] == [human.user_id]
            sent = await human.send(room_id, "read this")
            await stream.message("read this")
            await human.type(room_id, typing=False)
            await stream.wait("typing", room_id=room_id, users=[])
            path = f"/rooms/{quote(room_id)}"
            await alice.do("PUT", f"{path}/typing", {"typing": True})
            await human.wait_until(lambda user: user.typing.get(room_id) == [alice.mxid])
            await stream.until(
                lambda one: any(
                    [user["slug"] for user in frame.data["users"]] == [alice.slug]
                    for frame in one.of("typing", room_id=room_id)
                ),
                "Alice typing",
            )
            await alice.do("POST", f"{path}/read", {"event_id": sent})
            frame = await stream.wait("receipt", room_id=room_id, event_id=sent)
            assert frame.data["user"]["slug"] == alice.slug
            answer = await alice.send(room_id, "and you this")
            await human.wait_for(room_id, "and you this")
            await human.read(room_id, answer["event_id"])
            frame = await stream.wait("receipt", room_id=room_id, event_id=answer["event_id"])
            assert frame.data["user"]["mxid"] == human.user_id
            assert (await bob.rooms())[room_id]["unread_count"] == 2
            content = {"body": "Bob!", "m.mentions": {"user_ids": [bob.mxid]}}
            named = await human.send_event(room_id, MESSAGE, {"msgtype": "m.text", **content})
            await stream.message("Bob!")
            room = (await bob.rooms())[room_id]
            assert (room["unread_count"], room["mention_count"]) == (3, 1)
            # In private: Bob's own streams are told, and nobody else.
            await bob.do("POST", f"{path}/read", {"event_id": named, "private": True})
            frame = await stream.wait("unread", room_id=room_id, unread_count=0)
            assert frame.data["mention_count"] == 0
        page = await bob.do("GET", f"{path}/timeline")
        marks = {mark["user"]["mxid"]: mark["event_id"] for mark in page["receipts"]}
        # Who answers has read what was said before.
        assert marks == {alice.mxid: answer["event_id"], human.user_id: named}
        found = await bob.do("GET", f"{path}/entries/{quote(sent)}/readers")
        assert [one["user"]["slug"] for one in found["readers"]] == [alice.slug]
        assert (await alice.rooms())[room_id]["unread_count"] == 1
        assert await bob.do("GET", "/unread") == {"messages": 0, "mentions": 0, "rooms": 0}


async def test_who_is_removed_is_out_at_once(world: World) -> None:
    alice, bob = await world.here.user("Alice"), await world.here.user("Bob")
    slug = some("choir")
    room_id = await world.here.group(slug, [alice, bob])
    own_room = await world.here.group(some("own"), [bob])
    await alice.send(room_id, "before")
    async with bob.stream() as stream, bob.socket() as socket, alice.stream() as left:
        for one in (stream, socket, left):
            await one.wait("hello")
        await world.here.do("DELETE", f"/groups/{slug}/members/{bob.slug}")
        for one in (stream, socket):
            frame = await one.wait("room.removed", room_id=room_id)
            assert frame.data["reason"] == "removed"
        frame = await left.wait("membership", room_id=room_id, membership="leave")
        assert frame.data["user"]["slug"] == bob.slug
        await world.here.settled(f"/groups/{slug}")
        assert await in_room(world, room_id) == {alice.mxid}
        event_id = (await alice.send(room_id, "behind his back"))["event_id"]
        await left.message("behind his back")
        await bob.send(own_room, "alone")
        for one in (stream, socket):
            await one.message("alone")
            assert "behind his back" not in one.bodies()
        path = f"/rooms/{quote(room_id)}"
        for method, where, body in (
            ("GET", path, None),
            ("GET", f"{path}/members", None),
            ("GET", f"{path}/timeline", None),
            ("PUT", message_path(room_id), {"body": "let me in"}),
            ("POST", f"{path}/read", {"event_id": event_id}),
            ("PUT", f"{path}/typing", {"typing": True}),
        ):
            answer = await bob.ask(method, where, body)
            assert (answer.status, answer.errcode) == (404, "M_NOT_FOUND"), where
        assert set(await bob.rooms()) == {own_room}
        await world.here.do("PUT", f"/groups/{slug}/members/{bob.slug}", {"role": "member"})
        assert (await stream.wait("room.added", room_id=room_id)).data["kind"] == "group"
        await alice.send(room_id, "welcome back")
        await stream.message("welcome back")
        assert "behind his back" not in stream.bodies()


async def test_a_deleted_user_is_gone(world: World) -> None:
    alice, bob = await world.here.user("Alice"), await world.here.user("Bob")
    slug = some("band")
    room_id = await world.here.group(slug, [alice, bob])
    async with bob.stream() as stream, bob.socket() as socket:
        for one in (stream, socket):
            await one.wait("hello")
        await world.here.do("DELETE", f"/users/{bob.slug}")
        for one in (stream, socket):
            assert (await one.wait("bye")).data == {"reason": "removed", "reconnect": False}
            await one.until(lambda seen: seen.ended, "the end")
    assert (await bob.ask("GET", "/me")).status == 401
    async with bob.stream() as refused:
        assert refused.status == 401
    await world.here.settled(f"/groups/{slug}")
    assert await in_room(world, room_id) == {alice.mxid}


async def test_a_group_made_again_has_no_old_history(
    world: World, session_synapse: SynapseProcess
) -> None:
    alice, bob = await world.here.user("Alice"), await world.here.user("Bob")
    async with matrix_user(session_synapse, some("human")) as human:
        old, slug = await public_group(world, human, alice)
        await alice.send(old, "a secret of the old group")
        await human.wait_for(old, "a secret of the old group")
        await world.here.do("DELETE", f"/groups/{slug}")
        await world.here.settled(f"/groups/{slug}")
        assert await in_room(world, old) == set()
        assert await alice.rooms() == {}
        with pytest.raises(AssertionError, match="M_FORBIDDEN"):
            await human.join(old)
    await _check_new(world, slug, old, bob)


async def test_a_group_made_again_in_the_same_breath_has_no_old_history(
    world: World, to_synapse: FaultProxy
) -> None:
    alice, bob = await world.here.user("Alice"), await world.here.user("Bob")
    slug = some("phoenix")
    old = await world.here.group(slug, [alice])
    await alice.send(old, "a secret of the old group")
    to_synapse.rule = refuse  # so that nothing is done before all is said
    try:
        await world.here.do("DELETE", f"/groups/{slug}")

        async def tried() -> bool:
            return bool((await world.here.do("GET", f"/groups/{slug}/status"))["attempts"])

        await eventually(tried, "the room cannot be closed")
        await world.here.do("PUT", f"/groups/{slug}", {"name": "Phoenix"})
    finally:
        to_synapse.rule = pass_on
    await _check_new(world, slug, old, bob)
    assert await alice.rooms() == {}


async def _check_new(world: World, slug: str, old: str, member: User) -> None:
    new = await world.here.group(slug, [member])
    assert new != old
    assert await member.bodies(new) == []
    assert await in_room(world, old) == set()
    assert await in_room(world, new) == {member.mxid}
    alias = NAMING.alias(PortalRef(HERE.id, PortalKind.GROUP, slug))
    assert await world.homeserver.resolve_alias(alias) == new


async def _portal_of(world: World, room_id: str) -> str | None:
    """For which group the bot has made a room."""
    create = await world.homeserver.get_state(room_id, CREATE, "", world.bot) or {}
    return dict(create.get(PORTAL_KEY, {})).get("slug")


async def test_the_alias_is_the_lock(world: World) -> None:
    alice = await world.here.user("Alice")
    slug = some("race")
    ref = PortalRef(HERE.id, PortalKind.GROUP, slug)
    before = set(await world.homeserver.joined_rooms(world.bot))
    database = Database(world.settings.database_url)
    ghosts = Ghosts(database, world.homeserver, NAMING)
    rivals = [
        Portals(database, world.homeserver, ghosts, NAMING, lambda _: Rules(), "12")
        for _ in range(3)
    ]
    try:
        await world.here.do("PUT", f"/groups/{slug}", {"name": "Race"})
        await world.here.do("PUT", f"/groups/{slug}/members/{alice.slug}", {"role": "member"})
        # Three at once beside the bridge's own job. Who loses may have to look again, no more.
        await asyncio.gather(*(rival.settle(ref) for rival in rivals), return_exceptions=True)
        room_id = (await world.here.settled(f"/groups/{slug}"))["room_id"]
    finally:
        await database.close()
    made = [
        one
        for one in set(await world.homeserver.joined_rooms(world.bot)) - before
        if await _portal_of(world, one) == slug
    ]
    assert made == [room_id]
    assert await world.homeserver.resolve_alias(NAMING.alias(ref)) == room_id
    assert await in_room(world, room_id) == {alice.mxid}


async def test_a_name_is_set_once_and_after_registration(
    world: World, to_synapse: FaultProxy
) -> None:
    alice = await world.here.user("Alice")
    localpart = alice.mxid[1:].partition(":")[0]
    await world.here.settled(f"/users/{alice.slug}")

    def calls() -> list[str]:
        """What was asked of Synapse about her, in order."""
        profile = f"/_matrix/client/v3/profile/{quote(alice.mxid, safe='')}/displayname"
        kinds = []
        for exchange in to_synapse.passed:
            path = exchange.path.partition("?")[0]
            if path.endswith("/register") and f'"{localpart}"'.encode() in exchange.body:
                kinds.append("register")
            elif path.lower() == profile.lower():
                kinds.append(f"{exchange.method} name")
        return kinds

    assert calls() == ["register", "PUT name"]
    for number in range(2):
        await world.here.do("PUT", f"/users/{alice.slug}", {"id": alice.number, "name": "Alice"})
        room_id = await world.here.group(some(f"once-{number}"), [alice])
        await alice.send(room_id, "hi")
    await world.here.settled(f"/users/{alice.slug}")
    assert calls() == ["register", "PUT name"]
    await world.here.do("PUT", f"/users/{alice.slug}", {"id": alice.number, "name": "Alice B."})
    await world.here.settled(f"/users/{alice.slug}")
    assert calls() == ["register", "PUT name", "PUT name"]
    assert (await world.homeserver.get_profile(alice.mxid)).displayname == "Alice B."


async def test_a_stream_goes_on_where_it_was_cut(world: World) -> None:
    alice, bob = await world.here.user("Alice"), await world.here.user("Bob")
    room_id = await world.here.group(some("tides"), [alice, bob])
    cursors: dict[str, str | None] = {"sse": None, "ws": None}
    seen: dict[str, list[str]] = {"sse": [], "ws": []}
    for tide in range(3):
        async with bob.stream(cursors["sse"]) as stream, bob.socket(cursors["ws"]) as socket:
            both = {"sse": stream, "ws": socket}
            for one in both.values():
                await one.wait("hello")
            await alice.send(room_id, f"seen {tide}")
            for name, one in both.items():
                await one.message(f"seen {tide}")
                cursors[name] = one.cursor
                seen[name] += one.bodies(room_id)
        await alice.send(room_id, f"missed {tide}")
    wanted = [f"{what} {tide}" for tide in range(3) for what in ("seen", "missed")]
    assert seen == {"sse": wanted[:-1], "ws": wanted[:-1]}

    async def whole() -> bool:
        return await bob.bodies(room_id) == wanted

    await eventually(whole, "the log has all")
