"""Presence: from streams and words to what others are told, and what is kept of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from openmeet_bridge.bridge import matrix_presence, presence_frames, presence_telling
from openmeet_bridge.bridge import presence as presence_module
from openmeet_bridge.bridge.matrix_presence import DOUBTED, GIVEN_UP, MatrixPresence
from openmeet_bridge.bridge.preferences import Preferring
from openmeet_bridge.bridge.presence import Presence
from openmeet_bridge.bridge.presence_record import EVERY
from openmeet_bridge.bridge.presence_telling import REPEAT, PresenceTelling
from openmeet_bridge.core.directory import User
from openmeet_bridge.core.entry import LogEntry, Person
from openmeet_bridge.core.errors import NotFound, Unavailable
from openmeet_bridge.core.ids import Mxid, Position, RoomId, TenantId, UserSlug
from openmeet_bridge.core.presence import IDLE, OFFLINE, ONLINE, Patience, State
from openmeet_bridge.matrix.answers import PresenceStatus
from openmeet_bridge.matrix.errors import HomeserverUnavailable, Refused
from openmeet_bridge.matrix.homeserver import Homeserver
from openmeet_bridge.storage import directory, preferences
from openmeet_bridge.storage.preferences import Preferences
from openmeet_bridge.stream.broadcast import Broadcast
from openmeet_bridge.stream.bus import LocalBus
from openmeet_bridge.stream.frames import SSE
from openmeet_bridge.stream.hub import Hub
from openmeet_bridge.stream.reasons import CloseReason
from openmeet_bridge.stream.subscriber import Subscriber

from ..stream.parsers import SseParser
from ..support.clock import Clock
from ..support.databases import Databases
from ..support.house import LAKE, NAMING, ROOM, SEA, House, ghost, house_at
from ..support.log_entries import moved, said
from ..support.sinks import MemorySink
from ..support.waiting import eventually

ANN, BEN, CLEO, DORA, EVE = map(ghost, ("ann", "ben", "cleo", "dora", "eve"))
SEA_ANN = ghost("ann", SEA)
FRIEND = Mxid("@friend:elsewhere")
OTHER, FOREIGN = RoomId("!other"), RoomId("!foreign")
PATIENCE = Patience(idle=300.0, offline=10.0)
pytestmark = pytest.mark.asyncio(loop_scope="module")

EPOCH_MS = 1_700_000_000_000


class Socket(MemorySink):
    """What a stream has received of presence."""

    def __init__(self) -> None:
        self._parser = SseParser()
        self._seen: list[Any] = []

    def write(self, data: bytes) -> None:
        self._seen += [one.data for one in self._parser.feed(data) if one.type == "presence"]

    def take(self) -> list[tuple[str, str, int | None]]:
        """Name, state, and seconds since the beginning when last seen; since the last call."""
        seen, self._seen = self._seen, []
        return [
            (
                one["user"]["name"],
                one["state"],
                None if one["last_seen"] is None else (one["last_seen"] - EPOCH_MS) // 1000,
            )
            for one in seen
        ]


class Homes(Homeserver):
    """Notes what ghosts are said to be, and says how people of Matrix are."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.answers: dict[str, PresenceStatus] = {}
        self.failure: Exception | None = None

    async def set_presence(self, user_id: str, presence: str) -> None:
        if self.failure:
            raise self.failure
        self.told.append((user_id, presence))

    async def get_presence(self, user_id: str, acting_as: str) -> PresenceStatus:
        assert acting_as == NAMING.bot
        if self.failure:
            raise self.failure
        return self.answers[user_id]


def by(sender: Mxid, *, changed: bool = False) -> LogEntry:
    """A message of somebody in a room that nobody follows, or a change of one."""
    logged = said(1, RoomId("!elsewhere"))
    entry = msgspec.structs.replace(logged.entry, sender=Person(sender, "", None, None))
    return msgspec.structs.replace(logged, entry=entry, changed=changed)


class World:
    def __init__(self, house: House, tenants: set[TenantId] | None = None) -> None:
        self.house, self.clock, self.homeserver = house, Clock(), Homes()
        self.began = self.clock.now
        self.hub = Hub("0badcafe", Position(0))
        broadcast = Broadcast(self.hub, LocalBus())
        self.matrix = MatrixPresence(
            house.database, self.homeserver, NAMING, broadcast, self.clock, self.wall
        )
        self.telling = PresenceTelling(house.database, self.homeserver, NAMING.bot, self.clock)
        self.presence = Presence(
            house.database,
            broadcast,
            self.matrix,
            NAMING.bot,
            {LAKE, SEA} if tenants is None else tenants,
            PATIENCE,
            told=self.telling.tell,
            clock=self.clock,
            wall=self.wall,
        )
        self.hub.moved = self.presence.moved
        self.hub.dispatched = self.presence.happened
        self.preferring = Preferring(house.database, self.presence)

    def wall(self) -> float:
        return EPOCH_MS / 1000 + self.clock.now - self.began

    async def comes(
        self, slug: str, *rooms: RoomId, tenant: TenantId = LAKE
    ) -> tuple[Subscriber, Socket]:
        """Opens a stream."""
        socket = Socket()
        person = Person(ghost(slug, tenant), slug.title(), None, UserSlug(slug))
        subscriber = Subscriber(tenant, person, socket, SSE)
        self.hub.enter(subscriber)
        self.hub.attach(subscriber, rooms or (ROOM,), self.hub.position)
        await self.hub.go_live(subscriber)
        return subscriber, socket

    async def after(self, seconds: float) -> None:
        """Lets time go by, and a look follow."""
        self.clock.wait(seconds)
        for _ in range(10):  # in each tenth everybody is looked at
            await self.presence.tick()

    async def listed(
        self, mxid: Mxid = BEN, room_id: RoomId = ROOM, tenant: TenantId = LAKE
    ) -> dict[str, State]:
        found = await self.presence.in_room(tenant, room_id, mxid)
        return {one.person.name: one.state for one in found}

    async def kept(self) -> dict[Mxid, tuple[str, int]]:
        """What is written: state, and seconds since the beginning."""
        async with self.house.database.connection() as connection:
            rows = await connection.fetch("SELECT * FROM presence")
        return {
            row["mxid"]: (row["state"], round(row["last_seen"].timestamp()) - EPOCH_MS // 1000)
            for row in rows
        }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(databases: Databases) -> AsyncIterator[House]:
    """The same people and rooms for all tests of this module."""
    database_url = databases.create()
    async with house_at(database_url) as house:
        for slug in ("ann", "ben", "cleo", "dora", "eve"):
            await house.user(slug)
        await house.user("ann", tenant=SEA)
        await house.room(ANN, BEN, FRIEND)
        await house.room(ANN, BEN, CLEO, EVE, room_id=OTHER, slug="sailors")
        await house.room(SEA_ANN, FRIEND, room_id=FOREIGN, slug="divers", tenant=SEA)
        yield house
    databases.drop(database_url)


@pytest_asyncio.fixture(loop_scope="module")
async def world(house: House) -> World:
    """Nobody is there, and nobody ever was."""
    async with house.database.connection() as connection:
        await connection.execute("DELETE FROM presence")
        await connection.execute("DELETE FROM preference")
    return World(house)


async def test_those_who_share_a_room_are_told_once_each(world: World) -> None:
    _, ben = await world.comes("ben", ROOM, OTHER)
    _, cleo = await world.comes("cleo", OTHER)
    _, sea = await world.comes("ann", FOREIGN, ROOM, tenant=SEA)  # as if by mistake
    await world.after(1)
    for one in (ben, cleo, sea):
        one.take()
    ann, _ = await world.comes("ann", ROOM, OTHER)
    await world.after(1)
    assert ben.take() == cleo.take() == [("Ann", "online", 2)]
    world.presence.say(ANN, active=False)
    await world.after(4)
    assert ben.take() == [("Ann", "idle", 2)]
    world.hub.dispatch([by(ANN, changed=True)], Position(1))
    await world.after(0)
    assert ben.take() == []
    world.hub.dispatch([by(ANN)], Position(2))  # a message is a sign of life
    await world.after(1)
    world.hub.leave(ann)
    await world.after(9)
    assert ben.take() == [("Ann", "online", 7)]
    again, _ = await world.comes("ann", ROOM, OTHER)
    await world.after(5)
    assert ben.take() == []
    world.hub.leave(again)
    await world.after(0)
    await world.after(10)
    assert ben.take() == [("Ann", "offline", 21)]
    await world.after(300)
    assert {one[:2] for one in ben.take()} == {("Ben", "idle"), ("Cleo", "idle")}
    assert [one[:2] for one in sea.take()] == [("Ann", "idle")]


async def test_a_list_is_for_members_and_says_what_streams_say(world: World) -> None:
    assert await world.listed() == {}
    await world.comes("ann", ROOM, OTHER)
    await world.comes("dora", FOREIGN)
    assert await world.listed() == {"Ann": "online"}
    world.matrix.heard(FRIEND, "unavailable", 5000)
    await world.after(1)
    assert await world.listed() == {"Ann": "online", "friend": "idle"}
    assert await world.listed(SEA_ANN, FOREIGN, SEA) == {"friend": "idle"}
    for tenant, mxid, room_id in ((LAKE, CLEO, ROOM), (SEA, BEN, ROOM), (LAKE, SEA_ANN, FOREIGN)):
        with pytest.raises(NotFound):
            await world.presence.in_room(tenant, room_id, mxid)
    await world.house.member(ANN, "leave")
    assert await world.listed() == {"friend": "idle"}
    await world.house.member(ANN, "join")


async def test_who_hides_is_offline_to_all_at_once(world: World) -> None:
    user = User(LAKE, UserSlug("ann"), None, "Ann", None)
    await world.comes("ann", ROOM, OTHER)
    _, ben = await world.comes("ben")
    await world.after(1)
    ben.take()
    assert ANN in await world.kept()
    await world.preferring.put(user, ANN, presence=False, receipts=True)
    assert ben.take() == [("Ann", "offline", None)]
    assert await world.listed() == {"Ben": "online"}
    assert (await world.preferring.of(user)).presence is False
    world.presence.say(ANN, active=False)
    await world.after(400)
    assert [one for one in ben.take() if one[0] == "Ann" and one[1:] != ("offline", None)] == []
    await world.preferring.put(user, ANN, presence=False, receipts=False)
    assert ANN not in await world.kept()
    world.presence.say(ANN, active=True)
    await world.preferring.put(user, ANN, presence=True, receipts=False)
    assert ben.take()[-1][:2] == ("Ann", "online")
    assert (await world.listed())["Ann"] == "online"


async def test_a_tenant_that_shows_nobody(world: World) -> None:
    off = World(world.house, tenants={SEA})
    _, ben = await off.comes("ben")
    await off.comes("ann")
    off.matrix.heard(FRIEND, "online", 0)
    off.presence.say(ANN, active=True)
    await off.after(1)
    assert ben.take() == []
    assert await off.listed() == {}
    assert await off.listed(SEA_ANN, FOREIGN, SEA) == {"friend": "online"}


async def test_people_of_matrix(world: World) -> None:
    _, ben = await world.comes("ben")
    await world.after(0)
    ben.take()
    for nobody in (ANN, NAMING.bot, Mxid("@unknown:elsewhere")):
        world.matrix.heard(nobody, "online", 0)
    world.matrix.heard(FRIEND, "online", 1000)
    await world.after(2)
    assert ben.take() == [("friend", "online", -1)]
    assert world.matrix.present() == [FRIEND]
    world.matrix.heard(FRIEND, "online", 0)
    world.matrix.heard(FRIEND, "busy", None)
    await world.after(0)
    assert ben.take() == []
    world.matrix.heard(FRIEND, "offline", 2000)
    await world.after(0)
    assert ben.take() == [("friend", "offline", 0)]
    assert world.matrix.of(FRIEND) is None
    assert (await world.kept())[FRIEND][0] == "online"  # so much is written in a minute
    await world.after(EVERY)
    assert (await world.kept())[FRIEND] == ("offline", 0)


async def test_who_of_matrix_was_not_heard_of_is_asked_for(world: World) -> None:
    assert await world.matrix.ask()
    world.matrix.heard(FRIEND, "online", 0)
    world.clock.wait(DOUBTED)
    world.homeserver.answers[FRIEND] = PresenceStatus("unavailable", 60_000)
    assert await world.matrix.ask()
    word = world.matrix.of(FRIEND)
    assert word is not None
    assert (word.state, word.heard_at) == (IDLE, world.clock.now)
    world.clock.wait(DOUBTED)
    world.homeserver.failure = HomeserverUnavailable("away")
    assert not await world.matrix.ask()
    assert world.matrix.present() == [FRIEND]
    world.clock.wait(GIVEN_UP)
    assert not await world.matrix.ask()
    assert world.matrix.present() == []
    world.matrix.heard(FRIEND, "online", -1)
    world.clock.wait(DOUBTED)
    world.homeserver.failure = Refused(403, "M_FORBIDDEN", "No.")
    assert await world.matrix.ask()
    assert world.matrix.present() == []


async def test_after_a_restart_nobody_is_there(world: World) -> None:
    await world.comes("ann")
    world.matrix.heard(FRIEND, "online", 0)
    await world.after(5)
    after = World(world.house)
    task = asyncio.create_task(after.matrix.run())
    try:

        async def doubted() -> bool:
            return after.matrix.of(FRIEND) is not None

        await eventually(doubted, "the friend is doubted")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert {state for state, _ in (await world.kept()).values()} == {"offline"}
    assert set((await after.listed()).values()) == {"offline"}
    after.homeserver.answers[FRIEND] = PresenceStatus("online", 0)
    assert await after.matrix.ask()
    assert (await after.listed())["friend"] == "online"


async def test_what_is_kept_is_written_seldom_and_at_the_end(world: World) -> None:
    ann, _ = await world.comes("ann")
    await world.after(1)
    assert await world.kept() == {ANN: ("online", 1)}
    world.presence.say(ANN, active=False)
    await world.after(10)
    assert await world.kept() == {ANN: ("online", 1)}
    await world.after(EVERY)
    assert await world.kept() == {ANN: ("idle", 1)}
    world.presence.say(ANN, active=True)
    await world.after(1)
    world.clock.wait(8)
    world.hub.leave(ann)
    await world.presence.stop()
    assert await world.kept() == {ANN: ("offline", 80)}


async def test_nothing_comes_back_of_who_was_removed(world: World) -> None:
    eve, _ = await world.comes("eve", OTHER)
    await world.after(1)
    hidden = Preferences(presence=False)
    async with world.house.database.transaction() as connection:
        await preferences.put(connection, LAKE, UserSlug("ann"), hidden)
        await directory.rename_user(connection, LAKE, UserSlug("eve"), UserSlug("eva"))
        await preferences.put(connection, LAKE, UserSlug("eva"), Preferences())
        await directory.rename_user(connection, LAKE, UserSlug("eva"), UserSlug("evi"))
        await directory.delete_user(connection, LAKE, UserSlug("evi"))
        await preferences.put(connection, LAKE, UserSlug("evi"), hidden)
        rows = await connection.fetch("SELECT user_slug FROM preference")
        assert [row["user_slug"] for row in rows] == ["ann"]
    assert await world.kept() == {}
    world.hub.leave(eve)
    await world.presence.stop()
    assert await world.kept() == {}
    world.presence.gone(EVE)
    await world.after(100)
    assert await world.listed(room_id=OTHER) == {}


async def test_a_newcomer_to_a_room_is_shown_there(world: World) -> None:
    _, cleo = await world.comes("cleo", OTHER)
    await world.comes("dora", FOREIGN)
    await world.after(1)
    cleo.take()
    await world.house.member(DORA, "join", OTHER)
    dora = Person(DORA, "Dora", None, UserSlug("dora"))
    world.hub.dispatch([moved(1, dora, "join", OTHER)], Position(1))
    await world.after(1)
    assert [one[:2] for one in cleo.take()] == [("Dora", "online")]
    await world.house.member(DORA, "leave", OTHER)


async def test_large_rooms_are_told_little_at_a_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_frames, "LARGE_ROOM", 2)
    monkeypatch.setattr(presence_frames, "LARGE_ROOM_CHANGES", 1)
    _, cleo = await world.comes("cleo", OTHER)
    _, ben = await world.comes("ben", ROOM, OTHER)
    await world.comes("ann", ROOM, OTHER)
    world.clock.wait(1)
    await world.presence.tick()
    # Those who share the small room too know at once, and once.
    assert [one[0] for one in ben.take()] == ["Ben", "Ann", "Cleo"]
    assert [one[0] for one in cleo.take()] == ["Cleo"]
    await world.presence.tick()
    await world.presence.tick()
    assert [one[0] for one in cleo.take()] == ["Ben", "Ann"]
    await world.presence.tick()
    assert cleo.take() == ben.take() == []


async def test_a_storm_is_spread(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence_frames, "DELIVERIES", 1)
    monkeypatch.setattr(presence_module, "CHANGES", 2)
    _, ben = await world.comes("ben")
    await world.comes("ann")
    await world.comes("cleo", OTHER)
    told = []
    for _ in range(4):
        await world.presence.tick()
        told.append(len(ben.take()))
    assert told == [1, 0, 1, 0]


async def test_without_a_database_it_is_told_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, ben = await world.comes("ben")

    async def away(*_: object) -> Any:
        raise Unavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr("openmeet_bridge.storage.presence.audiences", away)
        await world.after(1)
        patch.setattr("openmeet_bridge.storage.presence.save", away)
        await world.presence.stop()
    assert ben.take() == []
    await world.after(1)
    assert [one[:2] for one in ben.take()] == [("Ben", "online")]


# What the homeserver is told


async def test_the_homeserver_is_told_of_those_whom_matrix_can_see(world: World) -> None:
    ann, _ = await world.comes("ann")
    await world.comes("cleo", OTHER)
    await world.after(1)
    assert await world.telling.step()
    assert world.homeserver.told == [(ANN, "online")]
    assert await world.telling.step()
    world.clock.wait(REPEAT)
    assert await world.telling.step()
    assert world.homeserver.told == [(ANN, "online")] * 2
    world.presence.say(ANN, active=False)
    await world.after(1)
    await world.telling.step()
    world.hub.leave(ann)
    await world.after(0)
    await world.after(11)
    await world.telling.step()
    await world.telling.step()
    assert world.homeserver.told[2:] == [(ANN, "unavailable"), (ANN, "offline")]
    world.clock.wait(REPEAT)
    await world.telling.step()
    assert len(world.homeserver.told) == 4


async def test_what_goes_wrong_there_costs_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_telling, "_REMEMBERED", 1)
    world.telling.tell(ANN, ONLINE)
    world.telling.tell(BEN, ONLINE)
    world.telling.tell(CLEO, OFFLINE)
    world.homeserver.failure = HomeserverUnavailable("away")
    assert not await world.telling.step()
    world.homeserver.failure = Refused(403, "M_FORBIDDEN", "No.")
    assert await world.telling.step()
    world.homeserver.failure = None
    world.clock.wait(REPEAT)
    assert await world.telling.step()
    assert world.homeserver.told == [(ANN, "online")]
    monkeypatch.setattr(matrix_presence, "_REMEMBERED", 1)
    world.matrix.heard(FRIEND, "online", 0)
    world.matrix.heard(Mxid("@more:elsewhere"), "online", 0)
    assert world.matrix.present() == [FRIEND]


async def test_streams_that_are_closed_are_counted(world: World) -> None:
    await world.comes("ann")
    await world.after(1)
    world.hub.close_user(ANN, CloseReason.TOKEN_EXPIRED)
    await world.after(0)
    await world.after(10)
    assert await world.listed() == {"Ann": "offline"}
