"""What several processes share: who types, who is there, what is unread, what became of sends.

Each stream sees each thing once, on whichever process it is, and whichever process was told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import pytest_asyncio

from openmeet_bridge.bridge import sending as sending_module
from openmeet_bridge.bridge.matrix_presence import DOUBTED, MatrixPresence
from openmeet_bridge.bridge.preferences import Preferring
from openmeet_bridge.bridge.presence import Presence
from openmeet_bridge.bridge.presence_elsewhere import SILENT, STALE
from openmeet_bridge.bridge.presence_telling import PresenceTelling
from openmeet_bridge.bridge.receipts import Receipts
from openmeet_bridge.bridge.rights import Actor
from openmeet_bridge.bridge.sending import Limits, Message, Sending
from openmeet_bridge.bridge.typing import Typing
from openmeet_bridge.bridge.unread import UnreadState
from openmeet_bridge.core.directory import User
from openmeet_bridge.core.entry import Person
from openmeet_bridge.core.ids import ClientTxnId, EventId, Mxid, Position, RoomId, UserSlug
from openmeet_bridge.core.presence import Patience
from openmeet_bridge.core.typists import HERE_SECONDS, THERE_SECONDS
from openmeet_bridge.matrix.answers import PresenceStatus
from openmeet_bridge.matrix.homeserver import Homeserver
from openmeet_bridge.storage import outbox
from openmeet_bridge.storage.read_marks import ReadMark
from openmeet_bridge.stream.broadcast import Broadcast
from openmeet_bridge.stream.frames import SSE
from openmeet_bridge.stream.hub import Hub
from openmeet_bridge.stream.reasons import CloseReason
from openmeet_bridge.stream.subscriber import Subscriber

from ..stream.parsers import SseParser
from ..support.clock import Clock
from ..support.databases import Databases
from ..support.house import LAKE, NAMING, ROOM, House, ghost, house_at
from ..support.shared_bus import Exchange
from ..support.sinks import MemorySink
from ..support.waiting import eventually

ANN, BEN, CLEO = map(ghost, ("ann", "ben", "cleo"))
FRIEND = Mxid("@friend:elsewhere")
OTHER = RoomId("!other")
PATIENCE = Patience(idle=300.0, offline=10.0)
EPOCH_MS = 1_700_000_000_000
pytestmark = pytest.mark.asyncio(loop_scope="module")


class Homes(Homeserver):
    """Notes what it is told, by all processes together."""

    def __init__(self) -> None:
        self.typing_told: list[tuple[str, bool]] = []
        self.receipts: list[str] = []
        self.presence: list[tuple[str, str]] = []
        self.asked = 0

    async def typing(
        self, room_id: str, user_id: str, typing: bool, timeout_ms: int = 30_000
    ) -> None:
        self.typing_told.append((user_id, typing))

    async def receipt(
        self, room_id: str, event_id: str, user_id: str, receipt_type: str = "m.read"
    ) -> None:
        self.receipts.append(user_id)

    async def set_presence(self, user_id: str, presence: str) -> None:
        self.presence.append((user_id, presence))

    async def get_presence(self, user_id: str, acting_as: str) -> PresenceStatus:
        self.asked += 1
        return PresenceStatus("online", 0)


class Tab(MemorySink):
    """What a stream has received."""

    def __init__(self) -> None:
        self._parser = SseParser()
        self._seen: list[tuple[str, Any]] = []

    def write(self, data: bytes) -> None:
        self._seen += [(one.type, one.data) for one in self._parser.feed(data)]

    def take(self) -> list[Any]:
        """What came since the last call: of typing the names, of presence name and state."""
        seen, self._seen = self._seen, []
        return [_short(kind, data) for kind, data in seen]

    def typists(self) -> list[Any]:
        """Of what came since the last call, who typed."""
        return [one for one in self.take() if isinstance(one, list)]


def _short(kind: str, data: Any) -> Any:
    match kind:
        case "typing":
            return [user["name"] for user in data["users"]]
        case "presence":
            return data["user"]["name"], data["state"]
        case "receipt":
            return kind, data["user"]["name"]
        case "unread":
            return kind, data["unread_count"]
    return kind


class Worker:
    """One process: its streams, and its services."""

    def __init__(self, world: World) -> None:
        database, clock = world.house.database, world.clock
        self.bus = world.exchange.bus()
        self.hub = Hub("0badcafe", Position(0))
        self.broadcast = Broadcast(self.hub, self.bus)
        self.bus.heard = self.broadcast.heard
        self.hub.begun, self.hub.over = self.broadcast.begun, self.broadcast.over
        self.typing = Typing(database, world.homeserver, self.broadcast, clock)
        self.matrix = MatrixPresence(
            database, world.homeserver, NAMING, self.broadcast, clock, world.wall
        )
        self.telling = PresenceTelling(database, world.homeserver, NAMING.bot, clock)
        self.presence = Presence(
            database,
            self.broadcast,
            self.matrix,
            NAMING.bot,
            {LAKE},
            PATIENCE,
            told=self.telling.tell,
            clock=clock,
            wall=world.wall,
        )
        self.unread = UnreadState(database, self.broadcast)
        self.receipts = Receipts(
            database, world.homeserver, self.broadcast, NAMING.bot, self.unread.changed
        )
        self.woken: list[RoomId] = []
        self.sending = Sending(database, Limits(wait=60.0), self.woken.append, self.broadcast)
        self.preferring = Preferring(database, self.presence)
        self.hub.moved = self.presence.moved
        self.hub.greeting = self.typing.now_in

    async def opens(self, slug: str, *rooms: RoomId) -> tuple[Tab, Subscriber]:
        """Somebody opens a stream."""
        tab = Tab()
        person = Person(ghost(slug), slug.title(), None, UserSlug(slug))
        subscriber = Subscriber(LAKE, person, tab, SSE)
        self.hub.enter(subscriber)
        self.hub.attach(subscriber, rooms or (ROOM,), Position(0))
        await self.hub.go_live(subscriber)
        return tab, subscriber


class World:
    """Some processes on one database, with one homeserver."""

    def __init__(self, house: House) -> None:
        self.house, self.clock, self.homeserver = house, Clock(), Homes()
        self.began = self.clock.now
        self.exchange = Exchange()
        self.workers = [Worker(self), Worker(self)]

    def wall(self) -> float:
        return EPOCH_MS / 1000 + self.clock.now - self.began

    def more(self) -> Worker:
        """One more process starts."""
        self.workers.append(Worker(self))
        return self.workers[-1]

    def dies(self, worker: Worker) -> None:
        """A process is killed."""
        self.workers.remove(worker)
        self.exchange.remove(worker.bus)

    async def ends(self, worker: Worker) -> None:
        """A process ends in an orderly way."""
        worker.hub.close_all(CloseReason.SHUTDOWN)
        await worker.presence.stop()
        self.exchange.pass_on()
        self.dies(worker)

    async def after(self, seconds: float, looks: int = 3) -> None:
        """Lets time go by in steps of a second, then looks a few times more without."""
        for _ in range(int(seconds)):
            self.clock.wait(1)
            await self.look()
        for _ in range(looks):
            await self.look()

    async def look(self) -> None:
        for worker in self.workers:
            await worker.presence.tick()
            worker.typing.ask()
            worker.typing.expire()
        self.exchange.pass_on()

    async def told_of_typing(self) -> list[tuple[str, bool]]:
        for worker in self.workers:
            while worker.typing.notices.waits:
                await worker.typing.notices.step()
        told, self.homeserver.typing_told = self.homeserver.typing_told, []
        return told


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(databases: Databases) -> AsyncIterator[House]:
    """The same people and rooms for all tests of this module."""
    database_url = databases.create()
    async with house_at(database_url) as house:
        for slug in ("ann", "ben", "cleo"):
            await house.user(slug)
        await house.room(ANN, BEN, CLEO, FRIEND)
        await house.room(ANN, BEN, room_id=OTHER, slug="sailors")
        yield house
    databases.drop(database_url)


@pytest_asyncio.fixture(loop_scope="module")
async def world(house: House) -> World:
    """Nobody is there, and nobody ever was."""
    async with house.database.connection() as connection:
        await connection.execute("DELETE FROM presence")
        await connection.execute("DELETE FROM preference")
    return World(house)


# Typing


async def test_typing_is_seen_on_all_workers_and_told_by_one(world: World) -> None:
    one, two = world.workers
    three = world.more()  # nobody has a stream there
    here, there = (await one.opens("ben"))[0], (await two.opens("cleo"))[0]
    await three.typing.say(LAKE, ROOM, ANN, True)
    world.exchange.pass_on()
    assert here.take() == there.take() == [["Ann"]]
    assert await world.told_of_typing() == [(ANN, True)]
    # The echo comes to another worker and changes nothing; the friend is seen by all.
    await one.typing.heard(ROOM, [ANN])
    world.exchange.pass_on()
    assert here.take() == there.take() == []
    await three.typing.heard(ROOM, [ANN, FRIEND, Mxid("@stranger:elsewhere")])
    world.exchange.pass_on()
    assert here.take() == there.take() == [["Ann", "friend"]]
    # Ann's client says to another worker than before that she has stopped.
    await two.typing.say(LAKE, ROOM, ANN, False)
    world.exchange.pass_on()
    assert here.take() == there.take() == [["friend"]]
    assert await world.told_of_typing() == [(ANN, False)]
    await two.typing.heard(ROOM, [])
    world.exchange.pass_on()
    assert here.take() == there.take() == [[]]
    # She begins again where it is not known that another worker has told of it before.
    await two.typing.say(LAKE, ROOM, ANN, True)
    await two.typing.say(LAKE, ROOM, ANN, True)
    world.exchange.pass_on()
    assert await world.told_of_typing() == [(ANN, True)]
    two.typing.end_all(ANN)
    one.typing.end_all(ANN)
    assert here.take() == there.take() == [["Ann"], []]
    assert await world.told_of_typing() == [(ANN, False)]


async def test_typing_ends_by_itself_where_its_worker_has_died(world: World) -> None:
    one, two = world.workers
    there, _ = await two.opens("ben")
    await one.typing.say(LAKE, ROOM, ANN, True)
    await one.typing.heard(ROOM, [FRIEND])
    world.exchange.pass_on()
    world.dies(one)
    assert there.typists() == [["Ann"], ["Ann", "friend"]]
    await world.after(HERE_SECONDS)
    assert there.typists() == [["friend"]]
    await world.after(THERE_SECONDS - HERE_SECONDS)
    assert there.typists() == [[]]


async def test_a_worker_with_its_first_reader_asks_who_types(world: World) -> None:
    one, two = world.workers
    await one.opens("ben")
    await one.typing.say(LAKE, ROOM, ANN, True)
    await one.typing.heard(ROOM, [FRIEND])
    world.exchange.pass_on()
    world.clock.wait(20)
    reader, _ = await two.opens("cleo")
    bystander = world.more()
    tab, _ = await bystander.opens("cleo", OTHER)
    await world.look()
    assert reader.typists() == [["Ann", "friend"]]
    assert tab.typists() == []
    # It is told for how long yet, and asking makes nobody type for longer.
    world.clock.wait(HERE_SECONDS - 20)
    third, _ = await bystander.opens("ben")
    await world.look()
    assert reader.typists() == third.typists() == [["friend"]]
    world.clock.wait(THERE_SECONDS - HERE_SECONDS)
    await world.look()
    assert reader.typists() == third.typists() == [[]]


# Presence


async def test_presence_is_seen_on_all_workers(world: World) -> None:
    one, two = world.workers
    bens, _ = await two.opens("ben")
    await world.after(2)
    bens.take()
    anns, stream = await one.opens("ann")
    await world.after(2)
    assert bens.take() == [("Ann", "online")]
    assert anns.take() == [("Ann", "online")]
    listed = await two.presence.in_room(LAKE, ROOM, CLEO)
    assert {(p.person.name, p.state) for p in listed} == {("Ann", "online"), ("Ben", "online")}
    assert await one.presence.in_room(LAKE, OTHER, ANN)
    # A word may come to any worker, and a second stream may be open on another.
    two.presence.say(ANN, active=False)
    await world.after(2)
    assert bens.take() == [("Ann", "idle")]
    assert anns.take() == [("Ann", "idle")]
    _, other = await two.opens("ann", OTHER)
    await world.after(2)
    assert bens.take() == [("Ann", "online")]
    one.presence.say(ANN, active=False)
    await world.after(2)
    assert bens.take() == []
    two.presence.say(ANN, active=False)
    await world.after(2)
    assert bens.take() == [("Ann", "idle")]
    one.presence.say(ANN, active=True)
    await world.after(2)
    assert bens.take() == [("Ann", "online")]
    one.hub.leave(stream)
    await world.after(20)
    assert bens.take() == []
    two.hub.leave(other)
    await world.after(9)
    assert bens.take() == []
    await world.after(3)
    assert bens.take() == [("Ann", "offline")]
    # Both know that it is long ago when nothing is heard for long.
    await one.opens("ann")
    await world.after(2)
    bens.take()
    await world.after(PATIENCE.idle)
    assert sorted(bens.take()) == [("Ann", "idle"), ("Ben", "idle")]


async def test_a_stream_that_moves_does_not_flap(world: World) -> None:
    one, two = world.workers
    three = world.more()
    bens, _ = await three.opens("ben")
    await one.opens("ann")
    await world.after(2)
    assert sorted(bens.take()) == [("Ann", "online"), ("Ben", "online")]
    one.presence.say(ANN, active=False)
    await world.after(2)
    assert bens.take() == [("Ann", "idle")]
    await world.ends(one)
    await world.after(3)
    await two.opens("ann")
    await world.after(30)
    assert bens.take() == []  # neither gone nor awake again
    kept = await kept_of(world)
    assert kept[ANN] == "offline"  # as the worker that ended has left it
    two.presence.say(ANN, active=True)
    await world.after(70)
    assert bens.take() == [("Ann", "online")]
    assert (await kept_of(world))[ANN] == "online"


async def kept_of(world: World) -> dict[Mxid, str]:
    async with world.house.database.connection() as connection:
        rows = await connection.fetch("SELECT mxid, state FROM presence")
    return {row["mxid"]: row["state"] for row in rows}


async def test_who_was_on_a_worker_that_died_is_gone(world: World) -> None:
    one, two = world.workers
    bens, _ = await two.opens("ben")
    await one.opens("ann")
    await one.opens("cleo")
    await world.after(2)
    bens.take()
    world.dies(one)
    await world.after(SILENT - 5)
    await two.opens("cleo")  # comes back here
    await world.after(4)
    assert bens.take() == []
    await world.after(2 + PATIENCE.offline)
    assert bens.take() == [("Ann", "offline")]
    await world.after(61)
    assert (await kept_of(world))[ANN] == "offline"  # written by who is left


async def test_a_worker_that_starts_learns_who_is_there(world: World) -> None:
    one, _ = world.workers
    await one.opens("ann")
    one.presence.say(ANN, active=False)
    one.matrix.heard(FRIEND, "unavailable", 1000)
    one.matrix.say()
    await world.after(100)
    three = world.more()
    await world.after(2)
    listed = await three.presence.in_room(LAKE, ROOM, BEN)
    assert {(p.person.name, p.state) for p in listed} == {("Ann", "idle"), ("friend", "idle")}
    seen = {p.person.name: p.last_seen for p in listed}
    assert seen == {"Ann": EPOCH_MS, "friend": EPOCH_MS - 1000}


async def test_lost_words_are_made_good(world: World) -> None:
    one, two = world.workers
    bens, _ = await two.opens("ben")
    await world.after(2)
    bens.take()
    world.exchange.loses = lambda _: True
    _, stream = await one.opens("ann")
    await world.after(2)
    assert bens.take() == []
    world.exchange.loses = lambda _: False
    await world.after(60)
    assert bens.take() == [("Ann", "online")]
    _, second = await one.opens("cleo")
    await world.after(2)
    assert bens.take() == [("Cleo", "online")]
    world.exchange.loses = lambda _: True
    one.hub.leave(stream)
    await world.after(2)
    world.exchange.loses = lambda _: False
    await world.after(STALE - 10)
    assert bens.take() == []
    await world.after(80)
    assert bens.take() == [("Ann", "offline")]
    assert second.phase.name == "LIVE"


async def test_who_cannot_hear_forgets_nobody(world: World) -> None:
    one, two = world.workers
    bens, _ = await two.opens("ben")
    _, anns = await one.opens("ann")
    await world.after(2)
    bens.take()
    one.bus.cut = two.bus.cut = True
    await world.after(SILENT * 5)
    assert bens.take() == []
    one.hub.leave(anns)
    await one.opens("cleo")
    await world.after(30)
    assert bens.take() == []
    one.bus.cut = two.bus.cut = False
    await world.after(3)
    assert bens.take() == [("Cleo", "online")]
    await world.after(STALE + PATIENCE.offline + 70)
    assert ("Ann", "offline") in bens.take()


async def test_who_was_stopped_catches_up(world: World) -> None:
    one, two = world.workers
    bens, _ = await two.opens("ben")
    anns, _ = await one.opens("ann")
    await world.after(2)
    bens.take(), anns.take()
    one.bus.cut = True
    world.workers.remove(one)
    await two.opens("cleo")
    await world.after(SILENT + PATIENCE.offline + 2)
    assert bens.take() == [("Cleo", "online"), ("Ann", "offline")]
    world.workers.append(one)
    one.bus.cut = False
    await world.after(3)
    assert bens.take() == [("Ann", "online")]
    assert anns.take() == [("Cleo", "online")]


async def test_who_hides_is_hidden_everywhere(world: World) -> None:
    one, two = world.workers
    bens, _ = await two.opens("ben")
    await one.opens("ann")
    await world.after(2)
    bens.take()
    user = User(LAKE, UserSlug("ann"), None, "Ann", None)
    await one.preferring.put(user, ANN, presence=False, receipts=True)
    await world.after(2)
    assert bens.take() == [("Ann", "offline")]
    await two.preferring.put(user, ANN, presence=True, receipts=True)
    await world.after(2)
    assert bens.take() == [("Ann", "online")]


async def test_people_of_matrix_are_known_to_all_and_asked_for_by_one(world: World) -> None:
    one, two = world.workers
    here, there = (await one.opens("ann"))[0], (await two.opens("ben"))[0]
    await world.after(2)
    here.take(), there.take()
    one.matrix.heard(FRIEND, "online", 0)
    one.matrix.say()
    await world.after(2)
    assert here.take() == there.take() == [("friend", "online")]
    world.clock.wait(DOUBTED)
    assert await two.matrix.ask()
    two.matrix.say()
    world.exchange.pass_on()
    assert await one.matrix.ask()
    assert world.homeserver.asked == 1
    # It is kept by who has heard it from the homeserver.
    await world.after(2)
    here.take(), there.take()
    assert (await kept_of(world))[FRIEND] == "online"
    one.matrix.heard(FRIEND, "offline", None)
    one.matrix.say()
    await world.after(2)
    assert here.take() == there.take() == [("friend", "offline")]


async def test_any_worker_can_tell_the_homeserver(world: World) -> None:
    one, two = world.workers
    _, anns = await one.opens("ann")
    await world.after(2)
    assert await two.telling.step()  # the others do not run it
    assert world.homeserver.presence == [(ANN, "online")]
    one.hub.leave(anns)
    await world.after(15)
    assert await two.telling.step()
    assert world.homeserver.presence[1:] == [(ANN, "offline")]
    assert not one.telling._people  # who tells nobody keeps nothing of those who are gone
    assert await one.telling.step()
    assert len(world.homeserver.presence) == 2


async def test_nothing_is_kept_of_who_was_removed(world: World) -> None:
    one, two = world.workers
    bens, _ = await two.opens("ben")
    await one.opens("ann")
    await world.after(2)
    bens.take()
    for worker in world.workers:
        worker.hub.close_user(ANN, CloseReason.REMOVED)
        worker.presence.gone(ANN)
    await world.after(20)
    assert bens.take() == []


# Receipts, unread, sending


@contextmanager
def running(*workers: Worker) -> Iterator[None]:
    tasks = [asyncio.create_task(worker.unread.run()) for worker in workers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


async def test_receipts_and_unread_reach_all_streams_once(world: World) -> None:
    one, two = world.workers
    three = world.more()
    said = await world.house.says(BEN, 2)
    anns, bens = (await one.opens("ann"))[0], (await two.opens("ben"))[0]
    seen: dict[str, list[Any]] = {"anns": [], "bens": []}

    async def comes(*expected: tuple[str, list[Any]]) -> None:
        async def came() -> bool:
            world.exchange.pass_on()
            seen["anns"] += anns.take()
            seen["bens"] += bens.take()
            return all(len(seen[who]) >= len(what) for who, what in expected)

        await eventually(came, f"{expected}")
        assert seen == dict(expected)
        seen.update(anns=[], bens=[])

    with running(one, two, three):
        # Her request, and the homeserver's transaction, may come to a worker without streams.
        await three.receipts.mark(Actor(LAKE, UserSlug("ann"), ANN, ROOM), said[0], 5)
        await comes(("anns", [("receipt", "Ann"), ("unread", 1)]), ("bens", [("receipt", "Ann")]))
        await two.receipts.heard([ReadMark(ROOM, ANN, said[1], 6)])
        await one.receipts.heard([ReadMark(ROOM, ANN, said[1], 6)])
        await comes(("anns", [("receipt", "Ann"), ("unread", 0)]), ("bens", [("receipt", "Ann")]))
        await two.unread.mark(LAKE, ROOM, ANN, True)
        await comes(("anns", [("unread", 0)]), ("bens", []))


async def test_whoever_waits_is_told_whoever_has_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending_module, "_LOOK", 0.005)
    one, two = world.workers
    actor = Actor(LAKE, UserSlug("ann"), ANN, ROOM)

    async def sent(text: str) -> tuple[asyncio.Task[Any], int]:
        task = asyncio.create_task(one.sending.send(actor, ClientTxnId(text), Message(body=text)))

        async def waits() -> bool:
            return bool(one.sending._waiting)

        await eventually(waits, "it waits")
        (row_id,) = one.sending._waiting
        async with world.house.database.connection() as connection:
            await outbox.mark_sent(connection, row_id, EventId(f"${text}"))
        return task, row_id

    task, row_id = await sent("a")
    two.sending.settled(row_id)
    world.exchange.pass_on()
    assert (await task).event_id == "$a"
    # Where the word is lost, the table is looked at.
    task, row_id = await sent("b")
    world.exchange.loses = lambda _: True
    two.sending.confirmed([outbox.Sent(row_id, EventId("$b"))])
    look = asyncio.create_task(one.sending.run())
    assert (await task).event_id == "$b"
    look.cancel()
    assert one.sending._waiting == {}
    # Who is told here tells nobody else.
    before = len(world.exchange.said)
    task, row_id = await sent("c")
    one.sending.settled(row_id)
    await task
    assert len(world.exchange.said) == before
