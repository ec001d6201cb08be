"""Counts, marks and mentions, whatever happens in whatever order, are what the log says."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import msgspec
import pytest

from openmeet_bridge.bridge.ingest import Ingest
from openmeet_bridge.core.events import Event
from openmeet_bridge.core.ids import EventId, Mxid, RoomId
from openmeet_bridge.storage import event_log, read_marks, unread
from openmeet_bridge.storage.read_marks import ReadMark

from ..support.house import LAKE, NAMING, House, ghost, house_at

ANN, BEN = ghost("ann"), ghost("ben")
MARA = Mxid("@mara:elsewhere")
PEOPLE = (ANN, BEN, MARA)


@dataclass
class Room:
    """A room in which things happen by chance, and what is to come of them.

    Attributes:
        truth: The room's events as the homeserver has them.
        lost: Those of them that were never pushed.
        read: What each person has read or said.
        meant: Whom each message names that is in the room.
        moved: Whether entries have changed places: then marks went back with them, perhaps.
    """

    house: House
    room_id: RoomId
    chance: random.Random
    truth: list[Event] = field(default_factory=list)
    lost: list[Event] = field(default_factory=list)
    read: dict[Mxid, set[EventId]] = field(default_factory=lambda: {one: set() for one in PEOPLE})
    meant: dict[EventId, set[Mxid]] = field(default_factory=dict)
    redacted: set[EventId] = field(default_factory=set)
    inside: set[Mxid] = field(default_factory=lambda: set(PEOPLE))
    moved: bool = False

    def __post_init__(self) -> None:
        self.ingest = Ingest(self.house.database, NAMING, lambda *_: None, lambda _: None)

    async def happens(self) -> None:
        """Let something happen."""
        steps = [self.say] * 6 + [self.edit, self.redact, self.look, self.look, self.go]
        await self.chance.choice([*steps, self.lose, self.lose, self.repair])()

    async def say(self) -> None:
        await self._push(self._message())

    async def lose(self) -> None:
        event = self._message()
        self.truth.append(event)
        self.lost.append(event)

    async def edit(self) -> None:
        await self._push(self._message({"rel_type": "m.replace", "event_id": self._any()}))

    async def redact(self) -> None:
        # Also of what was lost: then it comes later, and blank.
        content = {"redacts": self._any()}
        self.redacted.add(content["redacts"])
        await self._push(self._event("m.room.redaction", self._somebody(), content))

    async def look(self) -> None:
        mxid, event_id = self._somebody(), self._any()
        if any(event.event_id == event_id for event in self.lost):
            return
        mark = ReadMark(self.room_id, mxid, event_id, len(self.truth))
        async with self.house.database.transaction() as connection:
            await read_marks.raise_marks(connection, [mark], private=self.chance.random() < 0.5)
        self.read[mxid].add(event_id)

    async def go(self) -> None:
        mxid = self.chance.choice((BEN, MARA))
        joined = mxid not in self.inside
        (self.inside.add if joined else self.inside.discard)(mxid)
        content = {"membership": "join" if joined else "leave"}
        await self._push(self._event("m.room.member", mxid, content, mxid))

    async def repair(self) -> None:
        """Let a piece of the room's end be fetched, sometimes in an order not known till then."""
        count = self.chance.randint(2, 12)
        span = self.truth[-count:]
        if self.chance.random() < 0.3 and not any(event.is_state for event in span):
            self.chance.shuffle(span)
            self.truth[-count:] = span
            self.moved = True
        async with self.house.database.connection() as connection:
            head = await event_log.head(connection)
        await self.ingest.repair(self.room_id, span, head.position)
        for event in span:
            if event in self.lost:
                self.lost.remove(event)
                self._note(event)

    def _message(self, relation: Any = None) -> Event:
        named = [one for one in PEOPLE if self.chance.random() < 0.3]
        content: dict[str, Any] = {"body": "hi", "m.mentions": {"user_ids": named}}
        if self.chance.random() < 0.1:
            content["m.mentions"]["room"] = True
        if relation:
            content |= {"m.relates_to": relation, "m.new_content": {"body": "ho"}}
        return self._event("m.room.message", self._somebody(), content)

    def _event(self, kind: str, sender: Mxid, content: Any, key: str | None = None) -> Event:
        number = len(self.truth)
        return Event(
            event_id=EventId(f"${self.room_id}{number}"),
            room_id=self.room_id,
            type=kind,
            sender=sender,
            origin_server_ts=number,
            content=msgspec.Raw(msgspec.json.encode(content)),
            state_key=key,
        )

    async def _push(self, event: Event) -> None:
        self.truth.append(event)
        await self.ingest.push(event.event_id, [event], [])
        self._note(event)

    def _note(self, event: Event) -> None:
        content = msgspec.json.decode(event.content)
        if event.type != "m.room.message" or "m.relates_to" in content:
            return
        if event.event_id in self.redacted:
            return  # it came blank, and said nothing
        self.read[event.sender].add(event.event_id)
        mentions = content["m.mentions"]
        # Ann has the power to reach everybody, the others have not.
        everybody = mentions.get("room") and event.sender == ANN
        named = {""} if everybody else set(mentions["user_ids"]) & self.inside
        self.meant[event.event_id] = {Mxid(one) for one in named - {event.sender}}

    def _somebody(self) -> Mxid:
        return self.chance.choice(sorted(self.inside))

    def _any(self) -> EventId:
        return self.chance.choice(self.truth[-15:]).event_id


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    async with house_at(database_url) as made:
        for slug in ("ann", "ben"):
            await made.user(slug)
        yield made


async def check(room: Room) -> None:
    async with room.house.database.connection() as connection:
        log = {
            row["event_id"]: row
            for row in await connection.fetch("SELECT * FROM log WHERE room_id = $1", room.room_id)
        }
        counted = sorted(row["sort_key"] for row in log.values() if row["counted"])
        summary = await connection.fetchrow(
            "SELECT * FROM room_summary WHERE room_id = $1", room.room_id
        )
        assert summary is not None
        assert summary["recent"] == counted[-100:]
        assert summary["members"] == len(room.inside)
        mentions = await connection.fetch("SELECT * FROM mention WHERE room_id = $1", room.room_id)
        assert {(row["event_id"], row["mxid"], row["sort_key"]) for row in mentions} == {
            (event_id, mxid, log[event_id]["sort_key"])
            for event_id, people in room.meant.items()
            for mxid in people
            if log[event_id]["counted"]
        }
        for mxid in room.inside:
            await check_person(connection, room, mxid, log)


async def check_person(
    connection: Any, room: Room, mxid: Mxid, log: dict[EventId, asyncpg.Record]
) -> None:
    """Compare what is counted for somebody with what the log has above their mark."""
    coming = max(
        row["sort_key"] for row in log.values() if row["state_key"] == mxid and row["effect"] > 0
    )
    mark = await connection.fetchrow(
        "SELECT * FROM read_mark WHERE room_id = $1 AND mxid = $2", room.room_id, mxid
    )
    place = coming
    if mark is not None:
        check_mark(room, mxid, mark, log)
        place = max(coming, mark["sort_key"])
    above = {one for one, row in log.items() if row["counted"] and row["sort_key"] > place}
    assert not any(log[one]["sender"] == mxid for one in above)
    since = {room.room_id: coming}
    assert await unread.rooms_since(connection, LAKE, mxid, [room.room_id]) == since
    found = (await unread.of(connection, mxid, since))[room.room_id]
    named = [one for one in above if room.meant[one] & {mxid, Mxid("")}]
    assert (found.read_key, found.unread_count, found.mention_count) == (
        place,
        min(len(above), 100),
        min(len(named), 100),
    )


def check_mark(
    room: Room, mxid: Mxid, mark: asyncpg.Record, log: dict[EventId, asyncpg.Record]
) -> None:
    assert mark["event_id"] in room.read[mxid]
    assert mark["sort_key"] == log[mark["event_id"]]["sort_key"]
    if mark["shown_event_id"] is not None:
        assert mark["shown_sort_key"] == log[mark["shown_event_id"]]["sort_key"] <= mark["sort_key"]
    if not room.moved:
        assert mark["sort_key"] == max(log[one]["sort_key"] for one in room.read[mxid])


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens(house: House, seed: int) -> None:
    for number in range(4):
        room_id = RoomId(f"!room{number}")
        await house.room(*PEOPLE, room_id=room_id, slug=f"hikers-{number}")
        levels = {"users": {ANN: 50}}
        await house.state(NAMING.bot, "m.room.power_levels", "", levels, room_id)
        room = Room(house, room_id, random.Random(f"{seed} {number}"))
        await room.say()
        for step in range(60):
            await room.happens()
            if step % 6 == 5:
                await check(room)
