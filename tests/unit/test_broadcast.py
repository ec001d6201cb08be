"""The broadcast: what is not in the log reaches each stream once, whichever process has it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from openmeet_bridge.core.cursor import order_text
from openmeet_bridge.core.entry import Receipt
from openmeet_bridge.core.ids import EventId, Mxid, Position, RoomId, TenantId
from openmeet_bridge.stream import frames, signals
from openmeet_bridge.stream.broadcast import Broadcast, in_parts
from openmeet_bridge.stream.bus import EVERYBODY, LocalBus
from openmeet_bridge.stream.frames import SSE, Frame, Wire
from openmeet_bridge.stream.hub import Hub
from openmeet_bridge.stream.reasons import CloseReason
from openmeet_bridge.stream.signals import Settled, ToUser, Wake
from openmeet_bridge.stream.socketio_wire import SOCKETIO, packets
from openmeet_bridge.stream.subscriber import Phase, Subscriber
from openmeet_bridge.telemetry import SIGNALS_IGNORED

from ..stream.parsers import SseParser
from ..support.log_entries import TENANT, person
from ..support.shared_bus import Exchange
from ..support.sinks import MemorySink

ROOM, OTHER = RoomId("!room"), RoomId("!other")
ANN, BEN = person("ann"), person("ben")


class Tab(MemorySink):
    """What a stream has received."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def take(self) -> list[tuple[str, Any]]:
        """Types and data of the frames of a stream of events; since the last call."""
        found = [(one.type, one.data) for one in SseParser().feed(self.data)]
        self.data = b""
        return found

    def types(self) -> list[str]:
        return [kind for kind, _ in self.take()]


class Process:
    """One process, with its hub."""

    def __init__(self, exchange: Exchange) -> None:
        self.bus = exchange.bus()
        self.hub = Hub("0badcafe", Position(0))
        self.broadcast = Broadcast(self.hub, self.bus)
        self.bus.heard = self.broadcast.heard
        self.hub.begun, self.hub.over = self.broadcast.begun, self.broadcast.over

    async def opens(
        self, who: Any, *rooms: RoomId, wire: Wire = SSE, tenant: TenantId = TENANT
    ) -> tuple[Tab, Subscriber]:
        tab = Tab()
        subscriber = Subscriber(tenant, who, tab, wire)
        self.hub.enter(subscriber)
        self.hub.attach(subscriber, rooms or (ROOM,), Position(0))
        await self.hub.go_live(subscriber)
        return tab, subscriber


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


@pytest.fixture
def trio(exchange: Exchange) -> tuple[Process, Process, Process]:
    return Process(exchange), Process(exchange), Process(exchange)


def ignored(reason: str) -> float:
    value: float = SIGNALS_IGNORED.labels(reason)._value.get()
    return value


def receipt() -> Frame:
    return frames.receipt(Receipt(ROOM, ANN, EventId("$e"), order_text(1), 5))


async def test_each_stream_gets_it_once_wherever_it_is(
    exchange: Exchange, trio: tuple[Process, Process, Process]
) -> None:
    one, two, three = trio
    tabs = [(await process.opens(who))[0] for process in trio[:2] for who in (ANN, BEN)]
    outside, _ = await three.opens(BEN, OTHER)
    one.broadcast.to_room(ROOM, receipt())
    exchange.pass_on()
    assert [tab.types() for tab in tabs] == [["receipt"]] * 4
    assert outside.take() == []
    failed = frames.send_failed(ROOM, "x", "M_FORBIDDEN", "No.")
    three.broadcast.to_user(BEN.mxid, failed)
    exchange.pass_on()
    assert [tab.types() for tab in (*tabs, outside)] == [
        [], ["send.failed"], [], ["send.failed"], ["send.failed"]
    ]  # fmt: skip
    # Once to each of several rooms, not to those in the other one, and not to another tenant's.
    both, _ = await two.opens(ANN, ROOM, OTHER)
    strange, _ = await two.opens(ANN, ROOM, tenant=TenantId("sea"))
    there = frames.presence(BEN, "online", 5)
    assert one.broadcast.to_rooms(TENANT, [ROOM, OTHER], there) == 2
    exchange.pass_on()
    all_tabs = (*tabs, outside, both)
    assert [tab.types() for tab in all_tabs] == [["presence"]] * 6
    assert strange.take() == []
    one.broadcast.to_rooms(TENANT, [ROOM], there, but=[OTHER])
    exchange.pass_on()
    assert [len(tab.take()) for tab in all_tabs] == [1, 1, 1, 1, 0, 0]


async def test_only_those_hear_who_have_somebody_there(
    exchange: Exchange, trio: tuple[Process, Process, Process]
) -> None:
    one, two, three = trio
    _, stream = await two.opens(ANN)
    assert two.bus.topics == {EVERYBODY, ROOM, ANN.mxid}
    heard: list[bytes] = []
    three.bus.heard = heard.append
    one.broadcast.to_room(ROOM, receipt())
    exchange.pass_on()
    assert heard == []
    two.hub.leave(stream)
    assert two.bus.topics == {EVERYBODY}
    news: list[RoomId] = []
    two.broadcast.first_reader = news.append
    await two.opens(ANN)
    await two.opens(BEN, ROOM, OTHER)
    assert sorted(news) == [OTHER, ROOM]


async def test_every_wire_says_it_in_its_own_words(
    exchange: Exchange, trio: tuple[Process, Process, Process]
) -> None:
    one, two, _ = trio
    here, _ = await one.opens(ANN, wire=SOCKETIO)
    there, _ = await two.opens(ANN, wire=SOCKETIO)
    one.broadcast.to_room(ROOM, receipt())
    one.broadcast.to_room(ROOM, frames.typing(ROOM, [BEN]))
    one.broadcast.to_user(ANN.mxid, frames.send_failed(ROOM, "x", "M_X", "No."))
    one.broadcast.to_user(ANN.mxid, frames.room_removed(ANN.mxid, ROOM, "removed"))
    exchange.pass_on()
    said = [
        [json.loads(one[one.index(b"[") :])[1]["type"] for one in packets(tab.data)]
        for tab in (here, there)
    ]
    assert said == [["m.receipt", "m.typing", "send.failed", "m.room.member"]] * 2


async def test_streams_end_and_leave_everywhere(
    exchange: Exchange, trio: tuple[Process, Process, Process]
) -> None:
    one, two, three = trio
    tab, in_two = await two.opens(ANN, ROOM, OTHER)
    _, in_three = await three.opens(ANN)
    _, bens = await three.opens(BEN)
    one.broadcast.expel(ANN.mxid, ROOM)
    exchange.pass_on()
    assert in_two.rooms == {OTHER}
    assert tab.take() == [("room.removed", {"room_id": ROOM, "reason": "removed"})]
    one.broadcast.close_user(ANN.mxid, CloseReason.TOKEN_EXPIRED)
    exchange.pass_on()
    assert tab.take() == [("bye", {"reason": "token_expired", "reconnect": True})]
    assert {in_two.phase, in_three.phase} == {Phase.CLOSED}
    two.broadcast.heard(signals.encode(signals.CloseUser(BEN.mxid, "of a newer bridge")))
    three.broadcast.heard(signals.encode(signals.CloseUser(BEN.mxid, "of a newer bridge")))
    assert bens.reason is CloseReason.REMOVED


async def test_services_are_woken_and_hear(
    exchange: Exchange, trio: tuple[Process, Process, Process]
) -> None:
    one, two, three = trio
    woken: list[tuple[str, str]] = []
    one.broadcast.on_wake("jobs", lambda about: woken.append(("one", about)))
    two.broadcast.on_wake("jobs", lambda about: woken.append(("two", about)))
    settled: list[int] = []
    for _ in range(2):  # more than one may want to hear
        three.broadcast.on(Settled, lambda said: settled.extend(said.ids))
    one.broadcast.wake("jobs")
    two.broadcast.wake("jobs", ROOM)
    three.broadcast.wake("jobs")
    three.broadcast.wake("nothing of the kind")
    one.broadcast.say(EVERYBODY, Settled((1, 2)))
    exchange.pass_on()
    assert sorted(woken) == sorted(
        [("one", ""), ("two", ""), ("one", ROOM), ("two", ROOM), ("one", ""), ("two", "")]
    )
    assert settled == [1, 2, 1, 2]
    assert one.broadcast.origin != two.broadcast.origin


async def test_what_cannot_be_read_costs_only_itself(
    exchange: Exchange, trio: tuple[Process, Process, Process]
) -> None:
    one, two, _ = trio
    pack = msgspec.msgpack.encode
    before = ignored("unknown"), ignored("too_large"), ignored("failed")
    for payload in (b"", b"\xff", pack({"a": 1}), pack(["newer", 1]), pack(["wake", 5])):
        two.broadcast.heard(payload)
    two.broadcast.heard(b"\x00" * (signals.MAX_BYTES + 1))
    one.broadcast.say(EVERYBODY, Wake("x" * signals.MAX_BYTES))
    assert exchange.said == []

    def fails(_: object) -> None:
        raise ValueError("a bug")

    two.broadcast.on(Settled, fails)
    two.broadcast.heard(signals.encode(Settled((1,))))
    after = ignored("unknown"), ignored("too_large"), ignored("failed")
    assert [new - old for old, new in zip(before, after, strict=True)] == [5, 2, 1]
    # Fields that are new are passed over, and frames that are new are passed on.
    tab, _ = await two.opens(ANN)
    frame = ["brand.new", b'{"a":1}', None, "more"]
    two.broadcast.heard(pack(["to_user", ANN.mxid, frame, "more"]))
    two.broadcast.heard(pack(["to_user", ANN.mxid, ["receipt", b'{"of":"others"}', None]]))
    assert tab.take() == [("brand.new", {"a": 1}), ("receipt", {"of": "others"})]


async def test_alone_nothing_is_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub("0badcafe", Position(0))
    broadcast = Broadcast(hub, LocalBus())
    monkeypatch.setattr(signals, "encode", None)
    monkeypatch.setattr("openmeet_bridge.stream.broadcast._said", None)
    woken: list[str] = []
    broadcast.on_wake("jobs", woken.append)
    broadcast.to_room(ROOM, receipt())
    broadcast.to_user(ANN.mxid, receipt())
    assert broadcast.to_rooms(TENANT, [ROOM], receipt()) == 0
    broadcast.close_user(ANN.mxid, CloseReason.REMOVED)
    broadcast.expel(ANN.mxid, ROOM)
    broadcast.wake("jobs", "here")
    broadcast.first_reader = woken.append
    broadcast.begun(ROOM)
    broadcast.over(ROOM)
    assert woken == ["here"]
    assert (broadcast.alone, broadcast.deaf) == (True, False)


def test_parts_are_whole() -> None:
    assert list(in_parts(range(5), 2)) == [(0, 1), (2, 3), (4,)]
    assert list(in_parts([])) == []


def test_signals_come_back_as_they_were() -> None:
    frame = signals.Saying("typing", b"{}", Mxid("@x"))
    said: list[signals.Signal] = [
        ToUser(Mxid("@x"), frame),
        signals.Typed(ROOM, ANN.mxid, ANN, True),
        signals.TypingHeard(ROOM, (ANN, BEN)),
        signals.Typing("me", ROOM, (signals.Typist(ANN, True, 2.5),)),
        signals.Attending("me", (signals.Attendant(ANN.mxid, 2, 1, 0.5, 7.0),)),
        signals.MatrixPresent((signals.MatrixWord(ANN.mxid, "online", None),)),
    ]
    for one in said:
        assert signals.decode(signals.encode(one)) == one
