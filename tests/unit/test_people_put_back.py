"""People by reference at random: what a client puts back is what others get in full.

Clients come in pairs of the same user, who do the same at the same moments. One of the two has
people by reference, the other in full; when all is written, both must have the same.
"""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import pytest
from msgspec.structs import replace

from openmeet_bridge.bridge.log_view import Missed, Standing
from openmeet_bridge.bridge.streams import Streams
from openmeet_bridge.core.cursor import Cursor
from openmeet_bridge.core.entry import LogEntry, Mentions, Person, Quote, Reaction, Receipt
from openmeet_bridge.core.ids import EventId, Mxid, Position, RoomId, TenantId
from openmeet_bridge.stream import circles, frames, hub, sweep
from openmeet_bridge.stream.change import Change
from openmeet_bridge.stream.frames import SSE, WS, Frame, Wire
from openmeet_bridge.stream.reasons import CloseReason
from openmeet_bridge.stream.subscriber import Phase, Subscriber
from openmeet_bridge.stream.wires import SSE_GZIP, by_reference, filtered

from ..stream.parsers import Parser, Received, SseParser, WsParser
from ..support.log_entries import TENANT, moved, person, said
from ..support.sinks import MemorySink

ROOMS: Final = [RoomId(f"!{name}") for name in "abc"]
USERS: Final = [person(slug) for slug in ["ann", "ben", "cleo", "dora", "eve", "finn"]]
TYPES: Final = (*[None] * 5, frozenset({"timeline"}), frozenset({"typing", "receipt"}))
OTHERS: Final[list[Wire]] = [WS, WS, SSE_GZIP]
START: Final = Position(100)


@pytest.fixture(autouse=True)
def small_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "SLICE", 4)
    monkeypatch.setattr(hub, "SLICE", 4)
    monkeypatch.setattr(circles, "RIPE", 2)
    monkeypatch.setattr(circles, "MOST_TOLD", 3)


class Unpacked:
    """A compressed body of server-sent events, after its header."""

    def __init__(self) -> None:
        self._unpack = zlib.decompressobj(-zlib.MAX_WBITS)
        self._events = SseParser()

    def feed(self, data: bytes) -> list[Received]:
        """Take the next bytes; return the frames that are whole with them."""
        return self._events.feed(self._unpack.decompress(data))


PARSERS: Final[dict[Wire, Callable[[], Parser]]] = {
    SSE: SseParser,
    WS: WsParser,
    SSE_GZIP: Unpacked,
}


class Client(MemorySink):
    """One of the two: a socket, and what its client makes of what comes."""

    def __init__(self, base: Wire) -> None:
        self.record: list[Received] = []
        self._parser = PARSERS[base]()
        self._people: dict[str, Any] = {}

    def write(self, data: bytes) -> None:
        """Take bytes, and understand them."""
        for frame in self._parser.feed(data):
            if frame.type == "people":
                assert frame.cursor is None
                self._people |= {one["mxid"]: one for one in frame.data["people"]}
                continue
            if frame.type == "hello":
                self._people[frame.data["user"]["mxid"]] = frame.data["user"]
            self.record.append(Received(frame.type, self._put_back(frame.data), frame.cursor))

    async def drain(self) -> None:
        """Let something happen while what was missed is being written."""
        for _ in range(3):
            await asyncio.sleep(0)

    def _put_back(self, data: Any) -> Any:
        if isinstance(data, dict):
            if data.keys() == {"mxid"}:
                return self._people[data["mxid"]]
            return {key: self._put_back(value) for key, value in data.items()}
        return [self._put_back(one) for one in data] if isinstance(data, list) else data


class Pair:
    """Two streams of the same user, which are to bring the same.

    Args:
        user: Whose they are.
        base: How their frames are written.
    """

    def __init__(self, user: Person, base: Wire) -> None:
        self.user = user
        self.base = base
        self.cursor: str | None = None
        self.types: frozenset[str] | None = None
        self.streams: list[Subscriber] = []
        self.clients: list[Client] = []

    def wires(self, chance: random.Random) -> Sequence[Wire]:
        """Return wires with other frames; now and then the second has people in full, too."""
        self.types = chance.choice(TYPES)
        full = filtered(self.base, self.types)
        return full, full if chance.random() < 0.2 else by_reference(self.base, self.types)

    def check(self) -> None:
        """Check that both have got the same."""
        one, two = self.clients
        assert one.record == two.record
        for frame in one.record:
            self.cursor = frame.cursor or self.cursor


class World:
    """A log in memory, a hub, and clients who come and go; everything by chance, from a seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.hub = hub.Hub("0badcafe", START)
        self.hub.greeting = self._greeting
        self.streams = Streams(self, self.hub, chunk=2)
        self.log: list[LogEntry] = []
        self.typing: dict[RoomId, Frame] = {}
        self.rooms = {one.mxid: set(ROOMS[:2]) for one in USERS}
        self.pairs = [Pair(user, SSE) for user in USERS]
        self.pairs += [Pair(user, base) for user, base in zip(USERS, OTHERS, strict=False)]
        # Now and then there is a world in which nobody keeps a name.
        self.names = self.chance.choice([(1, 1), (50, 1), (50, 1)])

    # The log

    async def standing(self, tenant: TenantId, mxid: Mxid) -> Standing:
        """Return in which rooms somebody is now."""
        return Standing(self.hub.position, frozenset(self.rooms[mxid]))

    async def missed(
        self,
        tenant: TenantId,
        mxid: Mxid,
        after: Position,
        up_to: Position,
        limit: int,
        wanted: Collection[RoomId] | None = None,
    ) -> Sequence[Missed]:
        """Return what somebody missed between two positions."""
        between = [one for one in self.log if after < one.position <= up_to]
        return [(one, one.entry.room_id in self.rooms[mxid]) for one in between]

    def _greeting(self, rooms: Collection[RoomId]) -> Sequence[Frame]:
        return [self.typing[one] for one in sorted(rooms) if one in self.typing]

    # What happens

    def somebody(self) -> Person:
        """Somebody, under one of their names."""
        one = self.chance.choice(USERS)
        (name,) = self.chance.choices(["I", "II"], self.names)
        return replace(one, name=f"{one.name} {name}")

    def room(self) -> RoomId:
        return self.chance.choice(ROOMS)

    def something_is_said(self) -> None:
        batch = [self._said() for _ in range(self.chance.randint(1, 4))]
        self._dispatch(batch)

    def _said(self) -> LogEntry:
        position = self.hub.position + self.chance.randint(1, 3)
        logged = said(position, self.room())
        entry = replace(logged.entry, sender=self.somebody())
        chance = self.chance.random()
        if chance < 0.2:
            entry = replace(entry, mentions=Mentions([self.somebody(), self.somebody()]))
        elif chance < 0.4:
            entry = replace(entry, reply_to=Quote(EventId("$1"), self.somebody()))
        elif chance < 0.5:
            entry = replace(entry, reactions=[Reaction("+", 1, [self.somebody()])])
        readers = frozenset({USERS[0].mxid, USERS[1].mxid}) if chance > 0.95 else None
        return replace(logged, entry=entry, readers=readers)

    def _dispatch(self, batch: Sequence[LogEntry]) -> None:
        for place, logged in enumerate(batch, self.hub.position + 1):
            entry = replace(logged.entry, event_id=EventId(f"${place}"))
            self.log.append(replace(logged, position=Position(place), entry=entry))
        self.hub.dispatch(self.log[-len(batch) :], self.log[-1].position)

    def somebody_moves(self) -> None:
        user, room = self.somebody(), self.room()
        rooms = self.rooms[user.mxid]
        joins = room not in rooms
        (rooms.add if joins else rooms.discard)(room)
        membership = "join" if joins else "leave"
        self._dispatch([moved(0, user, membership, room), replace(self._said(), readers=None)])

    def something_passes(self) -> None:
        room = self.room()
        match self.chance.randrange(4):
            case 0:
                self.typing[room] = frames.typing(room, [self.somebody(), self.somebody()])
                self.hub.to_room(room, self.typing[room])
            case 1:
                mark = Receipt(room, self.somebody(), EventId("$1"), "00", 5)
                self.hub.to_room(room, frames.receipt(mark))
            case 2:
                some = self.chance.sample(ROOMS, 2)
                self.hub.to_rooms(TENANT, some, frames.presence(self.somebody(), "idle", None))
            case _:
                self.hub.to_user(self.somebody().mxid, frames.typing(room, [self.somebody()]))

    # Clients

    async def a_client_comes_or_goes(self) -> None:
        pair = self.chance.choice(self.pairs)
        if pair.streams:
            self._goes(pair)
            return
        wires = pair.wires(self.chance)
        pair.clients = [Client(pair.base) for _ in wires]
        opening = []
        for client, wire in zip(pair.clients, wires, strict=True):
            stream = Subscriber(TENANT, pair.user, client, wire)
            pair.streams.append(stream)
            self.hub.enter(stream)
            opening.append(self.streams.open(stream, pair.cursor))
        if pair.types is not None:  # what was left out is nothing to go on from
            pair.cursor = None
        await asyncio.gather(*opening)

    def _goes(self, pair: Pair) -> None:
        for one in pair.streams:
            self.hub.close(one, CloseReason.SLOW_READER)
        pair.check()
        pair.streams = []

    def a_client_wants_otherwise(self) -> None:
        pair = self.chance.choice(self.pairs)
        if any(one.phase is not Phase.LIVE for one in pair.streams):
            return
        wanted = frozenset(self.chance.sample(ROOMS, 2))
        wires = pair.wires(self.chance)
        for one, wire in zip(pair.streams, wires, strict=bool(pair.streams)):
            self.hub.change(one, Change(wanted, wire, _subscribed), wanted & self.rooms[one.mxid])

    async def turn(self) -> None:
        await asyncio.sleep(0)

    async def run(self, acts: int) -> None:
        opening = set[asyncio.Future[None]]()
        for _ in range(acts):
            act = self.chance.choices(
                [
                    self.something_is_said,
                    self.something_passes,
                    self.somebody_moves,
                    self.a_client_wants_otherwise,
                    self.a_client_comes_or_goes,
                    self.turn,
                ],
                [6, 6, 1, 1, 2, 3],
            )[0]
            result = act()
            if result is not None:
                # Beside what comes next.
                opening.add(asyncio.ensure_future(result))
                await asyncio.sleep(0)
        await asyncio.gather(*opening)
        for _ in range(20):
            await asyncio.sleep(0)
        for pair in self.pairs:
            if pair.streams:
                self._goes(pair)


def _subscribed(rooms: Collection[RoomId], cursor: Cursor) -> Frame:
    return frames.subscribed(None, sorted(rooms), None, cursor)


@pytest.mark.parametrize("seed", range(25))
async def test_what_is_put_back_is_what_others_have_in_full(seed: int) -> None:
    await World(seed).run(acts=120)
