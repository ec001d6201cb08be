"""Ingest on a real PostgreSQL: once, in order, tolerant of every order in which things come."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Collection
from typing import Any

import msgspec
import pytest

from openmeet_bridge.bridge.ingest import Confirmed, Ingest
from openmeet_bridge.core.events import CLIENT_TXN_KEY, PORTAL_KEY, Event
from openmeet_bridge.core.ids import (
    ClientTxnId,
    EventId,
    Mxid,
    PortalKind,
    PortalRef,
    Position,
    RoomId,
    TenantId,
    UserSlug,
)
from openmeet_bridge.core.naming import Naming
from openmeet_bridge.storage import event_log, lines, outbox, quarantine, rooms, unread
from openmeet_bridge.storage.database import Database

NAMING = Naming("test")
TENANT = TenantId("lakeside")
ROOM = RoomId("!room")
ANN = NAMING.ghost(TENANT, UserSlug("ann"))
BEN = NAMING.ghost(TENANT, UserSlug("ben"))
numbers = itertools.count(1)


class World:
    """An ingest on a database of its own, and what it said."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.grown: list[Position] = []
        self.concerned: list[set[str]] = []
        self.confirmed: Confirmed = []
        self.ingest = Ingest(database, NAMING, self._grown, self.confirmed.extend)

    async def push(self, *events: Event) -> int:
        return await self.ingest.push("1", events, [])

    def _grown(self, position: Position, topics: Collection[str]) -> None:
        self.grown.append(position)
        self.concerned.append(set(topics))

    async def timeline(self) -> list[str]:
        async with self.database.connection() as connection:
            page = await lines.page_after(connection, TENANT, ROOM, 0, 1000)
        return [entry.event_id for entry in page]

    async def log(self, after: int = 0) -> list[tuple[int, str, bool | None]]:
        async with self.database.connection() as connection:
            found, _ = await lines.after(connection, Position(after), 1000)
        return [(one.place, one.event_id, one.effect > 0 if one.effect else None) for one in found]

    async def membership(self, mxid: Mxid) -> str | None:
        async with self.database.connection() as connection:
            found = await rooms.members(connection, [(ROOM, mxid)])
        member = found.get((ROOM, mxid))
        return member.membership if member else None


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    database = Database(database_url)
    made = World(database)
    await made.push(create())
    yield made
    await database.close()


def event(
    event_type: str = "m.room.message",
    content: dict[str, Any] | None = None,
    *,
    event_id: str | None = None,
    sender: Mxid = ANN,
    state_key: str | None = None,
    room: RoomId = ROOM,
    redacts: str | None = None,
) -> Event:
    number = next(numbers)
    return Event(
        event_id=EventId(event_id or f"$e{number}"),
        room_id=room,
        type=event_type,
        sender=sender,
        origin_server_ts=number,
        content=msgspec.Raw(msgspec.json.encode({"body": "hi"} if content is None else content)),
        state_key=state_key,
        redacts=None if redacts is None else EventId(redacts),
    )


def create(room: RoomId = ROOM, sender: Mxid = NAMING.bot, slug: str = "hikers") -> Event:
    mark = {"tenant": TENANT, "kind": "group", "slug": slug}
    return event("m.room.create", {PORTAL_KEY: mark}, sender=sender, state_key="", room=room)


def member(mxid: Mxid, membership: str, event_id: str | None = None, **extra: Any) -> Event:
    content = {"membership": membership, **extra}
    return event("m.room.member", content, event_id=event_id, sender=mxid, state_key=mxid)


def message(event_id: str, sender: Mxid = ANN, **content: Any) -> Event:
    return event(content={"body": event_id, **content}, event_id=event_id, sender=sender)


async def test_an_event_is_kept_once(world: World) -> None:
    one, two = message("$1"), message("$2")
    assert await world.push(one, one, two) == 2
    assert await world.push(two, one, message("$3")) == 1
    assert (await world.timeline())[1:] == ["$1", "$2", "$3"]
    assert [position for position, _, _ in await world.log()] == [1, 2, 3, 4]


async def test_nothing_new_grows_nothing(world: World) -> None:
    await world.push(message("$1"))
    grown = list(world.grown)
    await world.push(message("$1"))
    assert world.grown == grown


async def test_who_is_concerned_is_said(world: World) -> None:
    other = RoomId("!other")
    await world.push(message("$1"), event(room=other), member(BEN, "join"))
    assert world.concerned[-1] == {ROOM, other, BEN}
    await world.ingest.repair(ROOM, [message("$lost")], world.grown[-1])
    assert world.concerned[-1] == {ROOM}
    # Whoever was in the other room before it was known has not been named.
    await world.push(create(other, slug="sailors"))
    assert world.concerned[-1] == set()


async def test_soft_failed_events_are_left_out(world: World) -> None:
    bad = message("$bad")
    unsigned = msgspec.Raw(b'{"io.element.synapse.soft_failed": true}')
    await world.push(msgspec.structs.replace(bad, unsigned=unsigned), message("$good"))
    assert (await world.timeline())[1:] == ["$good"]


async def test_only_the_bot_binds_rooms(world: World) -> None:
    stranger, other = Mxid("@eve:test"), RoomId("!eve")
    await world.push(create(other, stranger, slug="sailors"), event(room=other))
    ref = PortalRef(TENANT, PortalKind.GROUP, "sailors")
    async with world.database.connection() as connection:
        assert await rooms.room_of(connection, ref) is None
    assert [event_id for _, event_id, _ in await world.log()] == (await world.timeline())


async def test_a_room_that_is_bound_later_is_adopted(world: World) -> None:
    late = RoomId("!late")
    await world.push(event(room=late, event_id="$before"))
    assert "$before" not in [event_id for _, event_id, _ in await world.log()]
    async with world.database.transaction() as connection:
        ref = PortalRef(TENANT, PortalKind.MEETUP, "walk")
        assert await rooms.bind(connection, late, ref)
        await event_log.adopt(connection, late, TENANT)
    assert "$before" in [event_id for _, event_id, _ in await world.log()]


async def test_unreadable_events_are_set_aside_once(world: World) -> None:
    bad = [(b'{"event_id": 5}' + b" " * 5000, "expected text")]
    assert await world.ingest.push("7", [message("$1")], bad) == 1
    assert await world.ingest.push("7", [message("$1")], bad) == 0
    async with world.database.connection() as connection:
        assert await quarantine.count(connection) == 1
        (one,) = await quarantine.newest(connection, 10)
    assert (one.txn_id, one.reason) == ("7", "expected text")


async def test_one_event_that_cannot_be_kept_does_not_stop_the_others(world: World) -> None:
    # Decoding refuses such a name; this is the net below it.
    broken = message("$broken\x00")
    assert await world.push(message("$1"), broken, message("$2")) >= 2
    assert (await world.timeline())[1:] == ["$1", "$2"]
    async with world.database.connection() as connection:
        assert await quarantine.count(connection) == 1


@pytest.mark.parametrize("early", [False, True])
async def test_a_redaction_blanks_its_target_whichever_comes_first(
    world: World, early: bool
) -> None:
    target = message("$target", body="secret")
    redaction = event("m.room.redaction", {"redacts": "$target"}, event_id="$redaction")
    for one in (redaction, target) if early else (target, redaction):
        await world.push(one)
    async with world.database.connection() as connection:
        page = await lines.page_after(connection, TENANT, ROOM, 0, 10)
        stored = await connection.fetchval("SELECT content FROM log WHERE event_id = '$target'")
    (blanked,) = [entry for entry in page if entry.event_id == "$target"]
    assert blanked.redacted_by == "$redaction"
    assert bytes(blanked.content) == b"{}" == stored


async def test_a_redaction_beside_the_content_counts(world: World) -> None:
    await world.push(message("$old"), event("m.room.redaction", {}, redacts="$old"))
    async with world.database.connection() as connection:
        page = await lines.page_after(connection, TENANT, ROOM, 0, 10)
    assert [bool(entry.redacted_by) for entry in page if entry.event_id == "$old"] == [True]


async def test_a_redaction_does_not_reach_into_another_room(world: World) -> None:
    other = RoomId("!other")
    await world.push(create(other, slug="sailors"), message("$mine"))
    await world.push(event("m.room.redaction", {"redacts": "$mine"}, room=other))
    async with world.database.connection() as connection:
        page = await lines.page_after(connection, TENANT, ROOM, 0, 10)
    assert not any(entry.redacted_by for entry in page)


async def test_members_come_and_go(world: World) -> None:
    await world.push(member(BEN, "invite", "$1"), member(BEN, "join", "$2"))
    await world.push(member(BEN, "join", "$3", displayname="Ben"), member(BEN, "leave", "$4"))
    effects = {event_id: effect for _, event_id, effect in await world.log()}
    assert [effects[f"${n}"] for n in (1, 2, 3, 4)] == [None, True, None, False]
    assert await world.membership(BEN) == "leave"


async def test_a_member_event_with_odd_texts_still_counts(world: World) -> None:
    await world.push(member(BEN, "join"))
    await world.push(member(BEN, "ban", displayname=5, avatar_url=["x"], reason={"a": 1}))
    assert await world.membership(BEN) == "ban"
    await world.push(member(BEN, "weird", "$weird"))
    assert await world.membership(BEN) == "ban"
    assert "$weird" in await world.timeline()


async def test_lost_events_are_put_in_their_place(world: World) -> None:
    everything = [message(f"${n}") for n in range(10)]
    await world.push(*everything[:3])
    await world.push(*everything[7:])
    fetched_at = world.grown[-1]
    assert await world.ingest.repair(ROOM, everything[1:], fetched_at) == 4
    assert (await world.timeline())[1:] == [f"${n}" for n in range(10)]
    # Streams see them as something new.
    late = [event_id for position, event_id, _ in await world.log() if position > fetched_at]
    assert sorted(late) == ["$3", "$4", "$5", "$6"]
    assert await world.ingest.repair(ROOM, everything[1:], fetched_at) == 0


async def test_events_that_came_meanwhile_stay_behind_the_span(world: World) -> None:
    lost, fetched_at = message("$lost"), world.grown[-1]
    await world.push(message("$meanwhile"))
    await world.ingest.repair(ROOM, [lost], fetched_at)
    assert (await world.timeline())[1:] == ["$lost", "$meanwhile"]


async def test_an_overtaken_transaction_is_put_right(world: World) -> None:
    first, second, third = (message(f"${n}") for n in (1, 2, 3))
    await world.push(third)
    await world.push(first, second)
    assert (await world.timeline())[1:] == ["$3", "$1", "$2"]
    await world.ingest.repair(ROOM, [first, second, third], world.grown[-1])
    assert (await world.timeline())[1:] == ["$1", "$2", "$3"]


async def test_a_swap_of_neighbours_needs_no_free_key(world: World) -> None:
    events = [message(f"${n}") for n in range(6)]
    await world.push(*[events[n] for n in (1, 0, 3, 2, 5, 4)])
    await world.ingest.repair(ROOM, events, world.grown[-1])
    assert (await world.timeline())[1:] == [f"${n}" for n in range(6)]


async def test_a_kick_that_was_overtaken_by_a_join_holds_after_repair(world: World) -> None:
    join, kick = member(BEN, "join", "$join"), member(BEN, "leave", "$kick")
    await world.push(kick)
    await world.push(join)
    assert await world.membership(BEN) == "join"
    before = world.grown[-1]
    await world.ingest.repair(ROOM, [join, kick], before)
    assert await world.membership(BEN) == "leave"
    assert False in [effect for position, _, effect in await world.log(before)]


async def test_a_late_join_does_not_undo_a_later_kick(world: World) -> None:
    join, kick = member(BEN, "join", "$join"), member(BEN, "leave", "$kick")
    await world.push(kick)
    await world.ingest.repair(ROOM, [join, kick], world.grown[-1])
    assert await world.membership(BEN) == "leave"


async def test_state_follows_the_timeline_not_the_arrival(world: World) -> None:
    old = event("m.room.name", {"name": "Old"}, state_key="")
    new = event("m.room.name", {"name": "New"}, state_key="")
    await world.push(new)
    await world.push(old)
    await world.ingest.repair(ROOM, [old, new], world.grown[-1])
    async with world.database.connection() as connection:
        content = await rooms.state(connection, ROOM, "m.room.name")
    assert content == b'{"name":"New"}'


async def test_an_echo_confirms_only_its_own_sender(world: World) -> None:
    async with world.database.transaction() as connection:
        sent, new = await outbox.put(
            connection, TENANT, UserSlug("ann"), ClientTxnId("m1"), ROOM, ANN, b"{}"
        )
    assert new
    await world.push(message("$forged", sender=BEN, **{CLIENT_TXN_KEY: "m1"}))
    assert world.confirmed == []
    await world.push(message("$echo", sender=ANN, **{CLIENT_TXN_KEY: "m1"}))
    assert [(one.id, one.event_id) for one in world.confirmed] == [(sent.id, "$echo")]


async def test_unread_counts_messages_of_others_once(world: World) -> None:
    await world.push(member(ANN, "join"), member(BEN, "join"))
    edit = {"m.relates_to": {"rel_type": "m.replace", "event_id": "$1"}}
    await world.push(
        message("$1", sender=BEN),
        message("$mine", sender=ANN),
        message("$edit", sender=BEN, **edit),
        event("m.reaction", {}, sender=BEN),
        message("$2", sender=BEN),
    )
    await world.push(event("m.room.redaction", {"redacts": "$2"}, sender=BEN))
    async with world.database.connection() as connection:
        since = await unread.rooms_since(connection, TENANT, ANN)
        (room,) = (await unread.of(connection, ANN, since)).values()
    assert room.unread_count == 1


async def test_who_answers_has_read_what_stands_above(world: World) -> None:
    await world.push(member(ANN, "join"), member(BEN, "join"), message("$1", sender=BEN))
    await world.push(message("$2", sender=ANN, **{CLIENT_TXN_KEY: "m1"}))
    await world.push(message("$3", sender=BEN))
    async with world.database.connection() as connection:
        since = await unread.rooms_since(connection, TENANT, ANN)
        (room,) = (await unread.of(connection, ANN, since)).values()
    assert room.unread_count == 1


async def test_positions_have_no_gaps_for_any_reader(world: World) -> None:
    """While many append at once, whoever sees a position sees every one below it."""
    writers = [
        asyncio.create_task(world.push(*(message(f"${writer}-{n}-{i}") for i in range(3))))
        for writer in range(6)
        for n in range(5)
    ]
    seen = 0
    while seen < 1 + 6 * 5 * 3:
        positions = [position for position, _, _ in await world.log()]
        assert positions == list(range(1, len(positions) + 1))
        seen = len(positions)
    await asyncio.gather(*writers)
