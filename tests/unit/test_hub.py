"""The hub: who gets what, in which order, from which bytes, and who is cut off."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest

from openmeet_bridge.core.ids import Position, RoomId, TenantId
from openmeet_bridge.stream import frames
from openmeet_bridge.stream.frames import SSE, WS, Wire
from openmeet_bridge.stream.hub import Hub
from openmeet_bridge.stream.reasons import CloseReason
from openmeet_bridge.stream.subscriber import Phase, Subscriber

from ..stream.parsers import SseParser, WsParser
from ..support.log_entries import ROOM, TENANT, moved, person, said
from ..support.sinks import MemorySink
from ..support.waiting import eventually

OTHER = RoomId("!other")
START = Position(100)
BUFFER = 10_000
PARKED = 5


class Reader(MemorySink):
    """A socket in memory, and what its reader has understood."""

    def __init__(self, wire: Wire = SSE) -> None:
        self.written: list[bytes] = []
        self.waiting = 0
        self._parser = SseParser() if wire is SSE else WsParser()
        self._read = 0
        self._types: list[str] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def buffered(self) -> int:
        return self.waiting

    @property
    def types(self) -> list[str]:
        for data in self.written[self._read :]:
            self._types += [
                frame.data.get("event_id", frame.type) for frame in self._parser.feed(data)
            ]
        self._read = len(self.written)
        return self._types


@pytest.fixture
def hub() -> Hub:
    return Hub("0badcafe", START, buffer_bytes=BUFFER, parked_frames=PARKED)


def enter(
    hub: Hub, slug: str = "ann", wire: Wire = SSE, tenant: TenantId = TENANT
) -> tuple[Subscriber, Reader]:
    reader = Reader(wire)
    subscriber = Subscriber(tenant, person(slug), reader, wire)
    hub.enter(subscriber)
    return subscriber, reader


async def live(
    hub: Hub, slug: str = "ann", *rooms: RoomId, wire: Wire = SSE
) -> tuple[Subscriber, Reader]:
    subscriber, reader = enter(hub, slug, wire)
    hub.attach(subscriber, rooms or (ROOM,), hub.position)
    await hub.go_live(subscriber)
    return subscriber, reader


def says(hub: Hub, *positions: int, room: RoomId = ROOM) -> None:
    hub.dispatch([said(one, room) for one in positions], Position(positions[-1]))


# Delivery


async def test_one_write_and_the_same_bytes_for_all_on_a_wire(hub: Hub) -> None:
    readers = [(await live(hub, slug))[1] for slug in ("ann", "ben", "cleo")]
    sockets = [(await live(hub, slug, wire=WS))[1] for slug in ("dora", "eve")]
    says(hub, 101, 102)
    assert [len(one.written) for one in (*readers, *sockets)] == [1] * 5
    assert readers[0].written[0] is readers[1].written[0] is readers[2].written[0]
    assert sockets[0].written[0] is sockets[1].written[0]
    assert readers[0].types == sockets[0].types == ["$101", "$102"]


async def test_readers_of_several_rooms_get_them_in_log_order(hub: Hub) -> None:
    _, both = await live(hub, "ann", ROOM, OTHER)
    _, one = await live(hub, "ben", OTHER)
    hub.dispatch([said(101), said(102, OTHER), said(103)], Position(103))
    assert both.types == ["$101", "$102", "$103"]
    assert one.types == ["$102"]


async def test_what_is_not_for_everybody_in_the_room(hub: Hub) -> None:
    _, ann = await live(hub, "ann")
    _, ben = await live(hub, "ben")
    parked, cleo = enter(hub, "cleo")
    hub.attach(parked, [ROOM], hub.position)
    only = frozenset({person("ann").mxid})
    entries = [said(101), msgspec.structs.replace(said(102), readers=only), said(103)]
    hub.dispatch(entries, Position(103))
    await hub.go_live(parked)
    assert ann.types == ["$101", "$102", "$103"]
    assert ben.types == cleo.types == ["$101", "$103"]


async def test_positions_that_concern_nobody_move_the_hub(hub: Hub) -> None:
    _, reader = await live(hub)
    hub.dispatch([], Position(150))
    assert (hub.position, reader.written) == (150, [])


async def test_who_comes_gets_the_room_from_there_on(hub: Hub) -> None:
    _, ann = await live(hub, "ann", OTHER)
    _, ben = await live(hub, "ben")
    hub.dispatch([said(101), moved(102, person("ann"), "join"), said(103)], Position(103))
    assert ann.types == ["room.added", "membership", "$102", "$103"]
    assert ben.types == ["$101", "membership", "$102", "$103"]


async def test_who_goes_gets_nothing_more(hub: Hub) -> None:
    subscriber, ann = await live(hub)
    _, ben = await live(hub, "ben")
    hub.dispatch([said(101), moved(102, person("ann"), "leave"), said(103)], Position(103))
    assert ann.types == ["$101", "room.removed"]
    assert ben.types == ["$101", "membership", "$102", "$103"]
    assert subscriber.rooms == set()
    hub.to_room(ROOM, frames.typing(ROOM, []))
    assert (ann.types[-1], ben.types[-1]) == ("room.removed", "typing")


async def test_a_coming_concerns_the_persons_own_tenant_only(hub: Hub) -> None:
    subscriber, reader = await live(hub, "ann", OTHER)
    hub.dispatch([moved(101, person("ann"), "join", tenant=TenantId("sea"))], Position(101))
    assert (reader.types, subscriber.rooms) == ([], {OTHER})


async def test_whoever_follows_a_room_is_known(hub: Hub) -> None:
    subscriber, _ = await live(hub)
    assert hub.has_readers(ROOM)
    assert not hub.has_readers(OTHER)
    hub.leave(subscriber)
    hub.leave(subscriber)
    assert not hub.has_readers(ROOM)
    assert (hub.count, hub.streams_of(subscriber.mxid)) == (0, 0)


async def test_what_concerns_several_rooms_reaches_each_stream_once(hub: Hub) -> None:
    one, both = await live(hub, "ann", ROOM, OTHER)
    _, room = await live(hub, "ben")
    _, other = await live(hub, "cleo", OTHER)
    stranger, foreign = enter(hub, "dora", tenant=TenantId("sea"))
    hub.attach(stranger, [ROOM], hub.position)
    await hub.go_live(stranger)
    frame = frames.presence(person("eve"), "online", 5)
    assert hub.to_rooms(TENANT, [ROOM, OTHER, RoomId("!nobody")], frame) == 3
    assert hub.to_rooms(TENANT, [OTHER], frame, but=[ROOM]) == 1
    assert hub.to_rooms(TENANT, [], frame) == 0
    assert (both.types, room.types) == (["presence"], ["presence"])
    assert (other.types, foreign.types) == (["presence", "presence"], [])
    assert (hub.readers(ROOM), hub.readers(RoomId("!nobody"))) == (3, 0)
    assert hub.people(OTHER) == {one.mxid, person("cleo").mxid}
    assert (hub.tenant_of(one.mxid), hub.tenant_of(person("eve").mxid)) == (TENANT, None)


async def test_who_listens_to_the_hub_is_told(hub: Hub) -> None:
    moves: list[str] = []
    pieces: list[int] = []
    hub.moved = moves.append
    hub.dispatched = lambda batch: pieces.append(len(batch))
    hub.greeting = lambda rooms: [frames.typing(room, []) for room in rooms]
    subscriber, reader = await live(hub)
    says(hub, 101, 102)
    hub.leave(subscriber)
    assert moves == [subscriber.mxid, subscriber.mxid]
    assert pieces == [2]
    assert reader.types == ["typing", "$101", "$102"]


async def test_what_concerns_a_user_reaches_all_their_streams(hub: Hub) -> None:
    _, one = await live(hub)
    _, two = await live(hub, wire=WS)
    _, other = await live(hub, "ben")
    _, entering = enter(hub)
    hub.to_user(person("ann").mxid, frames.send_failed(ROOM, "c", "e", "t"))
    assert (one.types, two.types) == (["send.failed"], ["send.failed"])
    assert (other.written, entering.written) == ([], [])


# Opening


async def test_what_happens_during_replay_comes_after_it(hub: Hub) -> None:
    subscriber, reader = enter(hub)
    assert hub.attach(subscriber, [ROOM], Position(100)) == 100
    says(hub, 101)
    hub.to_room(ROOM, frames.typing(ROOM, []))
    assert reader.written == []
    subscriber.write([frames.heartbeat(frames.cursor_at("0badcafe", 100))])
    await hub.go_live(subscriber)
    says(hub, 102)
    assert reader.types == ["heartbeat", "$101", "typing", "$102"]


async def test_what_became_true_during_replay_is_said_once(hub: Hub) -> None:
    hub.greeting = lambda rooms: [frames.typing(room, [person("ben")]) for room in sorted(rooms)]
    subscriber, reader = enter(hub)
    hub.attach(subscriber, [ROOM, OTHER], Position(100))
    hub.to_room(ROOM, frames.typing(ROOM, []))
    hub.to_room(ROOM, frames.typing(ROOM, [person("ben")]))
    await hub.go_live(subscriber)
    assert reader.types == ["typing"] * 3
    assert b"".join(reader.written).count(OTHER.encode()) == 1


async def test_what_the_replay_has_does_not_come_live(hub: Hub) -> None:
    """The database is ahead of the feed: what the feed still brings was replayed."""
    subscriber, reader = enter(hub)
    assert hub.attach(subscriber, [ROOM], Position(102)) == 102
    opening = asyncio.create_task(hub.go_live(subscriber))
    await asyncio.sleep(0)
    says(hub, 101)
    await asyncio.sleep(0)
    assert not opening.done()
    hub.dispatch([said(102), said(103)], Position(103))
    await opening
    assert reader.types == ["$103"]


@pytest.mark.parametrize(("known_at", "follows"), [(100, True), (101, False)])
async def test_a_coming_while_the_rooms_are_read_counts_if_they_are_older(
    hub: Hub, known_at: int, follows: bool
) -> None:
    subscriber, _ = enter(hub)
    hub.dispatch([moved(101, person("ann"), "join")], Position(101))
    hub.attach(subscriber, [], Position(known_at))
    assert (ROOM in subscriber.rooms) is follows


async def test_a_going_while_the_rooms_are_read_counts(hub: Hub) -> None:
    subscriber, reader = enter(hub)
    hub.dispatch([moved(101, person("ann"), "leave")], Position(101))
    hub.attach(subscriber, [ROOM, OTHER], Position(100))
    await hub.go_live(subscriber)
    says(hub, 102)
    assert (subscriber.rooms, reader.types) == ({OTHER}, [])


async def test_who_is_expelled_is_told_and_gets_nothing_more(hub: Hub) -> None:
    subscriber, reader = await live(hub, "ann", ROOM, OTHER)
    _, friend = await live(hub, "ben")
    hub.expel(subscriber.mxid, ROOM)
    says(hub, 101)
    hub.dispatch([said(102, OTHER)], Position(102))
    assert reader.types == ["room.removed", "$102"]
    assert friend.types == ["$101"]
    hub.expel(subscriber.mxid, ROOM)
    assert reader.types == ["room.removed", "$102"]


async def test_an_expulsion_while_the_rooms_are_read_counts(hub: Hub) -> None:
    subscriber, reader = enter(hub)
    hub.expel(subscriber.mxid, ROOM)
    hub.attach(subscriber, [ROOM], hub.position)
    await hub.go_live(subscriber)
    says(hub, 101)
    assert reader.types == []


async def test_an_expulsion_during_replay_takes_what_comes_next(hub: Hub) -> None:
    subscriber, reader = enter(hub)
    hub.attach(subscriber, [ROOM], hub.position)
    hub.expel(subscriber.mxid, ROOM)
    says(hub, 101)
    await hub.go_live(subscriber)
    assert reader.types == ["room.removed"]


async def test_who_is_brought_back_after_an_expulsion_is_told(hub: Hub) -> None:
    subscriber, reader = await live(hub)
    hub.expel(subscriber.mxid, ROOM)
    ann = person("ann")
    hub.dispatch([moved(101, ann, "leave"), moved(102, ann, "join")], Position(102))
    says(hub, 103)
    assert reader.types[:3] == ["room.removed", "room.removed", "room.added"]
    assert reader.types[-1] == "$103"


async def test_who_is_closed_before_going_live_gets_nothing(hub: Hub) -> None:
    subscriber, reader = enter(hub)
    hub.attach(subscriber, [ROOM], Position(100))
    says(hub, 101)
    hub.close(subscriber, CloseReason.REMOVED)
    await hub.go_live(subscriber)
    assert reader.types == ["bye"]
    assert subscriber.phase is Phase.CLOSED


# The end


async def test_a_full_socket_is_cut_and_nobody_else(hub: Hub) -> None:
    slow, full = await live(hub)
    _, quick = await live(hub, "ben")
    full.waiting = BUFFER
    says(hub, 101)
    assert slow.phase is Phase.LIVE
    full.waiting += 1
    says(hub, 102)
    says(hub, 103)
    assert (slow.phase, slow.reason) == (Phase.CLOSED, CloseReason.SLOW_READER)
    assert full.types == ["$101", "$102", "bye"]
    assert quick.types == ["$101", "$102", "$103"]


@pytest.mark.parametrize("logged", [True, False])
async def test_a_replay_that_lasts_too_long_is_cut(hub: Hub, logged: bool) -> None:
    subscriber, reader = enter(hub)
    hub.attach(subscriber, [ROOM], Position(100))
    for n in range(PARKED + 1):
        assert subscriber.phase is Phase.REPLAYING
        if logged:
            says(hub, 101 + n)
        else:
            hub.to_room(ROOM, frames.typing(ROOM, []))
    assert subscriber.reason is CloseReason.SLOW_READER
    assert reader.types == ["bye"]
    assert not subscriber.parked


async def test_a_reason_is_told_once(hub: Hub) -> None:
    subscriber, reader = await live(hub)
    hub.close(subscriber, CloseReason.REMOVED)
    hub.close(subscriber, CloseReason.SHUTDOWN)
    assert (subscriber.reason, reader.types) == (CloseReason.REMOVED, ["bye"])


async def test_the_oldest_stream_of_a_user_is_closed(hub: Hub) -> None:
    await live(hub, "ben")
    streams = [(await live(hub))[0] for _ in range(3)]
    hub.close_oldest(person("ann").mxid, CloseReason.TOO_MANY_STREAMS)
    hub.close_oldest(person("nobody").mxid, CloseReason.TOO_MANY_STREAMS)
    assert [one.phase for one in streams] == [Phase.CLOSED, Phase.LIVE, Phase.LIVE]
    assert hub.count == 3


async def test_all_streams_of_a_user_or_of_all_are_closed(hub: Hub) -> None:
    ann = [(await live(hub))[1], (await live(hub, wire=WS))[1]]
    _, ben = await live(hub, "ben")
    entering, _ = enter(hub, "cleo")
    hub.close_user(person("ann").mxid, CloseReason.REMOVED)
    assert [one.types for one in ann] == [["bye"], ["bye"]]
    assert ben.types == []
    assert not hub.closing
    hub.close_all(CloseReason.SHUTDOWN)
    assert (ben.types, entering.phase, hub.closing, hub.count) == (["bye"], Phase.CLOSED, True, 0)


async def test_who_stands_still_for_too_long_is_cut_however_little_waits() -> None:
    hub = Hub("0badcafe", START, heartbeat=0.05, behind_seconds=10)
    slow, standing = await live(hub)
    quick, _ = await live(hub, "ben")
    opening, replayed = enter(hub, "cleo")
    hub.attach(opening, [ROOM], START)
    standing.behind_since = replayed.behind_since = time.monotonic() - 11
    beating = asyncio.create_task(hub.beat())

    async def cut() -> bool:
        return slow.phase is opening.phase is Phase.CLOSED

    await eventually(cut, "both are cut")
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
    assert slow.reason is opening.reason is CloseReason.SLOW_READER
    assert quick.phase is Phase.LIVE


async def test_hearts_beat_for_all_who_are_live() -> None:
    hub = Hub("0badcafe", START, heartbeat=0.05)
    readers = [(await live(hub, slug))[1] for slug in ("ann", "ben")]
    _, entering = enter(hub, "cleo")
    beating = asyncio.create_task(hub.beat())

    async def beaten() -> bool:
        return all("heartbeat" in reader.types for reader in readers)

    await eventually(beaten, "a heartbeat for each")
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
    assert entering.written == []
