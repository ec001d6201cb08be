"""History on a real Synapse: what a newcomer may read, and what is older than the log."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from openmeet_bridge.core.events import Event
from openmeet_bridge.core.ids import RoomId
from openmeet_bridge.core.relations import is_line
from openmeet_bridge.matrix.transactions import decode_events

from ..support.fault_proxy import FaultProxy, pass_on, refuse
from ..support.openmeet import User
from ..support.waiting import eventually
from ..support.world import World

pytestmark = [pytest.mark.synapse, pytest.mark.asyncio(loop_scope="module")]

CHANGES = {"rules": {"public": {"history": "joined"}}, "repair": {"interval": 3600}}
"""The history of public rooms is kept from newcomers."""

KNOWN = 5
"""So many of an old room's events are left to the log."""


async def send(world: World, room_id: str, kind: str, content: Any, by: str) -> str:
    """Sends an event as a ghost, past the bridge."""
    return await world.homeserver.send_event(room_id, kind, secrets.token_hex(8), content, by)


async def says(world: World, room_id: str, text: str, by: str) -> str:
    return await send(world, room_id, "m.room.message", {"msgtype": "m.text", "body": text}, by)


async def true_lines(world: World, room_id: str) -> list[Event]:
    """The lines of a room as Synapse has them, the oldest first."""
    found: list[Event] = []
    at: str | None = None
    while True:
        page = await world.homeserver.messages(room_id, world.bot, "b", at, limit=100)
        found += decode_events(page.chunk, RoomId(room_id)).events
        at = page.end
        if at is None:
            return [event for event in reversed(found) if is_line(event)]


async def pages(user: User, room_id: str, limit: int = 30) -> list[dict[str, Any]]:
    """A whole timeline, read page by page from its end to its beginning."""
    found: list[dict[str, Any]] = []
    place = {"limit": str(limit)}
    while True:
        page = await user.do("GET", f"/rooms/{quote(room_id)}/timeline", params=place)
        found = page["entries"] + found
        if not page["has_before"]:
            return found
        place["before"] = found[0]["order"]


async def forget_the_beginning(world: World, room_id: str) -> None:
    """Leaves the log as it is where the bridge came to a room that was there before it."""
    await world.sql(
        "DELETE FROM log WHERE room_id = $1 AND position NOT IN ("
        "SELECT position FROM log WHERE room_id = $1 ORDER BY position DESC LIMIT $2)",
        room_id,
        KNOWN,
    )
    for table in ("relation", "room_state", "pending_redaction"):
        await world.sql(f"DELETE FROM {table} WHERE room_id = $1", room_id)  # noqa: S608
    await world.sql("UPDATE portal SET open = false WHERE room_id = $1", room_id)


async def test_an_old_room_is_read_to_its_beginning(world: World, to_synapse: FaultProxy) -> None:
    alice, bob = await world.here.user("Alice"), await world.here.user("Bob")
    room_id = await world.here.group(f"old-{secrets.token_hex(4)}", [alice, bob])
    first = await says(world, room_id, "frist", alice.mxid)
    for start in range(0, 150, 25):
        await asyncio.gather(
            *(says(world, room_id, f"{start + n}", (alice, bob)[n % 2].mxid) for n in range(25))
        )
    edit = {
        "msgtype": "m.text", "body": "* first", "m.relates_to": {"rel_type": "m.replace",
        "event_id": first}, "m.new_content": {"msgtype": "m.text", "body": "first"},
    }  # fmt: skip
    await send(world, room_id, "m.room.message", edit, alice.mxid)
    for user in (alice, bob):
        relation = {"rel_type": "m.annotation", "event_id": first, "key": "👍"}
        await send(world, room_id, "m.reaction", {"m.relates_to": relation}, user.mxid)
    bad = await says(world, room_id, "bad", bob.mxid)
    await world.homeserver.redact(room_id, bad, secrets.token_hex(8), world.bot)
    answer = {"msgtype": "m.text", "body": "re", "m.relates_to": {"m.in_reply_to": {
        "event_id": first}}}  # fmt: skip
    await send(world, room_id, "m.room.message", answer, bob.mxid)
    for number in range(KNOWN):
        newest = await says(world, room_id, f"new {number}", bob.mxid)

    async def logged() -> bool:
        return bool(await world.sql("SELECT 1 FROM log WHERE event_id = $1", newest))

    await eventually(logged, "the newest message is in the log")
    await forget_the_beginning(world, room_id)
    async with bob.stream() as stream:
        await stream.wait("hello")
        found = await pages(alice, room_id)
        truth = await true_lines(world, room_id)
        assert [entry["event_id"] for entry in found] == [event.event_id for event in truth]
        by_id = {entry["event_id"]: entry for entry in found}
        assert by_id[first]["text"] == "first"
        assert by_id[first]["edited"]["count"] == 1
        assert [(one["key"], one["count"]) for one in by_id[first]["reactions"]] == [("👍", 2)]
        assert (by_id[bad]["kind"], by_id[bad]["text"]) != ("text", "bad")
        assert found[-KNOWN - 1]["reply_to"]["text"] == "first"
        # From now on it is the log's, and it is nobody's news.
        to_synapse.rule = refuse
        try:
            again = await pages(bob, room_id, 200)
            assert [entry["event_id"] for entry in again] == [event.event_id for event in truth]
            path = f"/rooms/{quote(room_id)}/timeline"
            page = await alice.do("GET", path, params={"around": first, "limit": "3"})
            assert [entry["event_id"] for entry in page["entries"]][1] == first
        finally:
            to_synapse.rule = pass_on
        await alice.send(room_id, "after all")
        await stream.message("after all")
        assert stream.bodies() == ["after all"]
    assert (await bob.rooms())[room_id]["unread_count"] == 1


async def test_a_newcomer_reads_what_was_said_since(world: World) -> None:
    alice, bob = await world.here.user("Alice"), await world.here.user("Bob")
    slug = f"joined-{secrets.token_hex(4)}"
    room_id = await world.here.group(slug, [alice], public=True)
    old = (await alice.send(room_id, "before Bob"))["event_id"]
    await world.here.do("PUT", f"/groups/{slug}/members/{bob.slug}", {"role": "member"})
    await world.here.settled(f"/groups/{slug}")
    async with alice.stream() as of_alice, bob.stream() as of_bob:
        await of_alice.wait("hello")
        await of_bob.wait("hello")
        assert await bob.bodies(room_id) == []
        relation = {"rel_type": "m.annotation", "event_id": old, "key": "👍"}
        await send(world, room_id, "m.reaction", {"m.relates_to": relation}, alice.mxid)
        await alice.send(room_id, "since Bob")
        for stream in (of_alice, of_bob):
            await stream.message("since Bob")
        assert [one.data["event_id"] for one in of_alice.of("timeline.changed")] == [old]
        assert of_bob.of("timeline.changed") == []
    assert await bob.bodies(room_id) == ["since Bob"]
    assert await alice.bodies(room_id) == ["before Bob", "since Bob"]
    path = f"/rooms/{quote(room_id)}/timeline"
    assert (await bob.ask("GET", path, params={"around": old})).status == 404
    # As Synapse has it for the same person.
    page = await world.homeserver.messages(room_id, bob.mxid, "b", limit=100)
    texts = [msgspec.json.decode(raw)["content"].get("body") for raw in page.chunk]
    assert [text for text in texts if text] == ["since Bob"]
