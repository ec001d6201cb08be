"""Edits, reactions, deletions, replies, threads: in whatever order they come, the same is shown."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import pytest

from openmeet_bridge.bridge import showing
from openmeet_bridge.bridge.ingest import Ingest
from openmeet_bridge.bridge.log_view import LogView
from openmeet_bridge.core.entry import Deletion, Entry
from openmeet_bridge.core.events import PORTAL_KEY, Event
from openmeet_bridge.core.ids import EventId, Mxid, Position, RoomId, TenantId
from openmeet_bridge.core.naming import Naming
from openmeet_bridge.storage import event_log, lines, rooms
from openmeet_bridge.storage.database import Connection, Database

from ..support.conversation import LINES, PEOPLE, Act, Client, Seen, Whole, event_of, seen
from ..support.databases import Databases

LAKE = TenantId("lake")
NAMING = Naming("test")
MORE = int(os.environ.get("RELATIONS_FUZZ", "0"))
"""So many times more is tried, and something else each time."""

EXAMPLES = 40

Deed = Callable[[], Awaitable[object]]


class TornDatabase(Database):
    """A database in which something happens right after the first thing that was read.

    Attributes:
        between: What happens.
        written: The same database, for those who write.
    """

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn)
        self.between: Deed | None = None
        self.written = Database(dsn)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection, on which the first reading is followed by what is to happen."""
        async with super().connection() as connection:
            yield _Torn(connection, self)  # type: ignore[misc]


class _Torn:
    def __init__(self, connection: Connection, database: TornDatabase) -> None:
        self._connection, self._database = connection, database

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def fetch(self, *arguments: Any) -> Any:
        rows = await self._connection.fetch(*arguments)
        between, self._database.between = self._database.between, None
        if between is not None:
            await between()
        return rows


class Talk:
    """Two rooms, what comes of a conversation in them, and a client of the first room.

    Args:
        database: What is read from.
        acts: What has happened.
        name: Tells these rooms from all others.
    """

    def __init__(self, database: TornDatabase, acts: Sequence[Act], name: str) -> None:
        self.rooms = [RoomId(f"!{name}-{number}") for number in (0, 1)]
        self.whole = Whole(acts)
        self.name = name
        self.events = [self._own(event_of(act, n, self.rooms)) for n, act in enumerate(acts)]
        self.client: Client | None = None
        self.began = self.fed = Position(0)
        self._database = database
        self._view = LogView(database)
        self._ingest = Ingest(database.written, NAMING, lambda *_: None, lambda _: None)

    def _own(self, event: Event) -> Event:
        """Give an event's ids a name that no other example has."""
        content = bytes(event.content).replace(b'"$e', f'"${self.name}e'.encode())
        return msgspec.structs.replace(
            event,
            event_id=EventId(event.event_id.replace("$e", f"${self.name}e")),
            content=msgspec.Raw(content),
        )

    def plain(self, entries: Sequence[Entry]) -> dict[str, Seen]:
        """Return what is to be seen of entries, with ids as the acts have them."""
        raw = msgspec.json.encode({entry.event_id: seen(entry) for entry in entries})
        raw = raw.replace(f"${self.name}e".encode(), b"$e")
        found = msgspec.json.decode(raw, type=dict[str, Seen])
        return {key: value for key, value in found.items() if key.startswith("$e")}

    def is_own(self, event_id: EventId) -> bool:
        """Whether an event is of the conversation, not of what made the rooms."""
        return event_id.startswith(f"${self.name}e")

    async def begin(self) -> None:
        """Make the rooms."""
        for number, room_id in enumerate(self.rooms):
            mark = {"tenant": LAKE, "kind": "group", "slug": f"{self.name}-{number}"}
            create = self._state(room_id, "m.room.create", "", {PORTAL_KEY: mark})
            joins = [
                self._state(room_id, "m.room.member", mxid, {"membership": "join"})
                for mxid in PEOPLE
            ]
            await self.push([create, *joins])
        self.began = self.fed = await self.head()

    def _state(self, room_id: RoomId, kind: str, key: str, content: Any) -> Event:
        return Event(
            event_id=EventId(f"${room_id}{kind}{key}"),
            room_id=room_id,
            type=kind,
            sender=Mxid(key) if key else NAMING.bot,
            origin_server_ts=1,
            content=msgspec.Raw(msgspec.json.encode(content)),
            state_key=key,
        )

    async def push(self, events: Sequence[Event]) -> None:
        await self._ingest.push("1", events, [])

    async def repair(self, depth: int) -> None:
        """Fetch the end of each room."""
        for room_id in self.rooms:
            span = [event for event in self.events if event.room_id == room_id][-depth:]
            await self._ingest.repair(room_id, span, await self.head())

    async def head(self) -> Position:
        async with self._database.connection() as connection:
            return (await event_log.head(connection)).position

    async def page(self, room: int = 0, limit: int = 1000) -> list[Entry]:
        async with self._database.connection() as connection:
            found = await lines.page_before(connection, LAKE, self.rooms[room], 1 << 62, limit)
            return await showing.entries(connection, found)

    async def load(self, limit: int) -> None:
        """Let a client begin, or begin anew: it has a stream, and fetches a page."""
        self.client = Client(await self.page(0, limit))

    async def feed(self, limit: int = 3, late: Sequence[Deed] = ()) -> None:
        """Let the stream say what the log has; some things happen before it is heard first."""
        while True:
            found, end = await self._view.after(self.fed, limit)
            for deed in late:
                await deed()
            late = ()
            for logged in found:
                if self.client and logged.entry.room_id == self.rooms[0]:
                    self.client.apply(logged.entry, changed=logged.changed)
            if end == self.fed:
                return
            self.fed = end

    async def contents(self) -> dict[str, bytes]:
        """Return what is kept of each event."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT event_id, content FROM log WHERE room_id = ANY($1::text[])", self.rooms
            )
        return {row["event_id"].replace(self.name, ""): bytes(row["content"]) for row in rows}

    async def replayed(self) -> dict[EventId, Entry]:
        """Return what a stream knows in the end that was away from the beginning on."""
        head = await self.head()
        missed = await self._view.missed(LAKE, PEOPLE[0], self.began, head, 10_000)
        client = Client()
        for logged, _ in missed:
            if logged.entry.room_id == self.rooms[0]:
                client.apply(logged.entry, changed=logged.changed)
        return client.entries


KINDS = (
    *["say"] * 3,
    *["topic", "reply", "reply", "thread", "wrong edit", "no edit"],
    *["edit"] * 6,
    *["react"] * 5,
    *["delete"] * 5,
)
DEEDS = ("", "feed", "torn", "torn", "late", "late", "behind", "behind", "repair", "again")


@dataclass(frozen=True)
class Step:
    """A part of a conversation comes.

    Attributes:
        cut: How many events have come then.
        deed: What else happens: ``feed`` the stream goes on; ``torn``: the part comes while the
            stream reads, ``late``: it comes, and the client loads its page anew, between the
            stream's reading and the client's; ``behind``: it comes, and the stream goes on, while
            a page is on its way; ``repair``; ``again``: old events come too.
        how: Some number.
    """

    cut: int
    deed: str
    how: int


def conversation(chance: random.Random) -> list[Act]:
    """Return things that happen, most about something that was said before."""
    acts: list[Act] = []
    for _ in range(chance.randint(5, 16)):
        kind = chance.choice(KINDS) if acts else "say"
        lines = [number for number, act in enumerate(acts) if act.kind in LINES]
        target, who = 99, chance.choice([0, 0, 1, 2])
        if acts and chance.random() < 0.95:
            # That things meet: to what came last, and by the same people.
            target = chance.choice(lines[-2:] if chance.random() < 0.6 else range(len(acts))[-5:])
            who = acts[target].who if chance.random() < 0.6 else who
        room = 1 if chance.random() < 0.07 else 0
        acts.append(Act(kind, who, target, room, chance.randint(0, 4), chance.choice([0, 0, 0, 1])))
    return acts


def delivery(chance: random.Random, count: int) -> tuple[list[int], list[Step]]:
    """Return in which order events come, and in which parts."""
    order = list(range(count))
    if chance.random() < 0.7:
        chance.shuffle(order)
    cuts = sorted(chance.randint(0, count) for _ in range(chance.randint(1, 6)))
    steps = [Step(cut, chance.choice(DEEDS), chance.randint(0, 99)) for cut in cuts]
    return order, [*steps, Step(count, "", 0)]


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@pytest.fixture(scope="module")
def torn(databases: Databases, runner: asyncio.Runner) -> Iterator[TornDatabase]:
    dsn = databases.create()
    database = TornDatabase(dsn)
    yield database
    runner.run(database.close())
    runner.run(database.written.close())
    databases.drop(dsn)


async def _deliver(
    talk: Talk, order: Sequence[int], steps: Sequence[Step], database: TornDatabase
) -> None:
    """Bring all that has happened, in pieces, while a client looks on."""
    await talk.begin()
    done, loads = 0, steps[0].how % len(steps)
    for index, step in enumerate(steps):
        limit = 1000 if step.how % 2 else 2
        batch = [talk.events[number] for number in order[done : step.cut]]
        done = step.cut
        if step.deed == "again":
            batch += talk.events[: step.how % 5]
        coming = Once(partial(talk.push, batch))
        if step.deed == "torn":
            database.between = coming
            await talk.feed()
        elif step.deed == "late":
            await talk.feed(late=[coming, partial(talk.load, limit)])
        elif step.deed == "behind":
            talk.client = talk.client or Client()
            page = await talk.page(0, limit)
            await coming()
            await talk.feed()
            talk.client.merge(page)
        database.between = None
        await coming()
        if step.deed == "repair":
            await talk.repair(1 + step.how % 8)
        elif step.deed == "feed":
            await talk.feed(1 + step.how % 4)
        if index == loads and talk.client is None:
            await talk.load(limit)
    await talk.feed()


class Once:
    """Something that is done at most once."""

    def __init__(self, what: Deed) -> None:
        self._what: Deed | None = what

    async def __call__(self) -> None:
        what, self._what = self._what, None
        if what is not None:
            await what()


@pytest.mark.timeout(3600)
def test_any_order_shows_the_same_and_clients_end_with_it(
    torn: TornDatabase, runner: asyncio.Runner
) -> None:
    first = random.randrange(1 << 40) if MORE else 0
    for seed in range(first, first + EXAMPLES * max(1, MORE)):
        chance = random.Random(seed)
        acts = conversation(chance)
        order, steps = delivery(chance, len(acts))
        try:
            runner.run(_check(Talk(torn, acts, f"x{seed}"), order, steps, torn))
        except BaseException:
            print(f"seed {seed}: {order}\n", *(f"\n{n} {act}" for n, act in enumerate(acts)))
            print(*steps, sep="\n")
            raise


async def _check(
    talk: Talk, order: Sequence[int], steps: Sequence[Step], database: TornDatabase
) -> None:
    await _deliver(talk, order, steps, database)
    for room in (0, 1):
        shown = talk.plain(await talk.page(room))
        assert shown == talk.whole.lines(room)
    blank = {event_id for event_id, kept in (await talk.contents()).items() if kept == b"{}"}
    assert blank == talk.whole.blank()
    fresh = {entry.event_id: entry for entry in await talk.page()}
    assert talk.client is not None
    for event_id, held in talk.client.entries.items():
        assert held == fresh[event_id]
    own = {event_id: entry for event_id, entry in fresh.items() if talk.is_own(event_id)}
    assert await talk.replayed() == own


def _said(event_id: str, content: Any, **more: Any) -> Event:
    raw = content if isinstance(content, bytes) else msgspec.json.encode(content)
    fields: dict[str, Any] = {
        "event_id": EventId(event_id),
        "room_id": RoomId("!plain-0"),
        "type": "m.room.message",
        "sender": PEOPLE[0],
        "origin_server_ts": 5,
        "content": msgspec.Raw(raw),
    }
    return Event(**{**fields, **more})


def test_what_was_deleted_before_it_came_is_deleted(
    torn: TornDatabase, runner: asyncio.Runner
) -> None:
    """The homeserver gives it to a late repair without content, and says why."""
    talk = Talk(torn, [], "plain")
    because = {"redacted_because": {"event_id": "$by", "type": "m.room.redaction"}}
    unsigned = msgspec.Raw(msgspec.json.encode(because))
    levels = {"users": {PEOPLE[0]: 100}}
    pruned = _said("$p", levels, type="m.room.power_levels", state_key="", unsigned=unsigned)
    about = {"rel_type": "m.replace", "event_id": "$gone"}
    edit = {"body": "*", "m.new_content": {"body": "secret"}, "m.relates_to": about}
    by = {"redacts": "$gone", "reason": "why"}

    async def check() -> None:
        await talk.begin()
        await talk.push([_said("$edit", edit), _said("$gone", {}, unsigned=unsigned), pruned])
        (entry,) = [one for one in await talk.page() if one.event_id == "$gone"]
        assert (entry.kind, entry.edited, entry.deletion) == ("deleted", None, Deletion())
        await talk.push([_said("$by", by, type="m.room.redaction")])
        (entry,) = [one for one in await talk.page() if one.event_id == "$gone"]
        assert entry.deletion is not None
        assert entry.deletion.reason == "why"
        async with torn.connection() as connection:
            rows = await connection.fetch(
                "SELECT event_id, content, counted FROM log WHERE event_id = ANY($1::text[])",
                ["$edit", "$gone", "$p"],
            )
            state = await rooms.state(connection, RoomId("!plain-0"), "m.room.power_levels")
        assert {row["event_id"]: bytes(row["content"]) for row in rows} == {
            "$edit": b"{}",
            "$gone": b"{}",
            # What is left of state that was redacted goes on to hold.
            "$p": msgspec.json.encode(levels),
        }
        assert state == msgspec.json.encode(levels)
        assert not any(row["counted"] for row in rows)

    runner.run(check())


def test_of_two_deletions_the_earlier_is_named_whichever_comes_first(
    torn: TornDatabase, runner: asyncio.Runner
) -> None:
    talk = Talk(torn, [], "twice")

    def happened(name: str) -> dict[str, Event]:
        room_id, kind = talk.rooms[0], "m.room.redaction"
        early, late = ({"redacts": name, "reason": reason} for reason in ("early", "late"))
        return {
            "said": _said(name, {"body": "hi"}, room_id=room_id),
            "early": _said(f"{name}z", early, type=kind, origin_server_ts=1, room_id=room_id),
            "late": _said(f"{name}a", late, type=kind, origin_server_ts=2, room_id=room_id),
        }

    async def check() -> None:
        await talk.begin()
        for number, order in enumerate(itertools.permutations(("said", "early", "late"))):
            events = happened(f"$twice{number}")
            for name in order:
                await talk.push([events[name]])
            entry = (await talk.page())[-1]
            assert (entry.event_id, entry.kind) == (f"$twice{number}", "deleted")
            assert entry.deletion is not None
            assert entry.deletion.reason == "early", order

    runner.run(check())


@pytest.mark.parametrize("kind", ["m.room.message", "m.room.redaction", "m.room.member"])
def test_nesting_that_one_can_read_and_another_cannot_stops_nobody(
    torn: TornDatabase, runner: asyncio.Runner, kind: str
) -> None:
    """How deep is too deep depends on how deep the reader stands itself."""
    name = f"nested-{kind[7:]}"
    talk = Talk(torn, [], name)
    key = PEOPLE[0] if kind == "m.room.member" else None
    deep = range(sys.getrecursionlimit() - 120, sys.getrecursionlimit(), 3)
    events = [
        _said(
            f"${name}{depth}",
            b'{"membership":"join","m.relates_to":{"a":' + b"[" * depth + b"]" * depth + b"}}",
            type=kind,
            state_key=key,
            room_id=talk.rooms[0],
        )
        for depth in deep
    ]

    async def check() -> None:
        await talk.begin()
        await talk.push([*events, _said(f"${name}", {"body": "hi"}, room_id=talk.rooms[0])])
        found, _ = await LogView(torn).after(talk.fed, 1000)
        assert found[-1].entry.event_id == f"${name}"
        assert (await talk.page())[-1].text == "hi"

    runner.run(check())
