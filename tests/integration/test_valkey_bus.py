"""The bus of many processes, over a real Valkey that is also killed, stopped and moved."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis

from openmeet_bridge.core.ids import Position
from openmeet_bridge.stream import valkey_bus
from openmeet_bridge.stream.backlog import Backlog
from openmeet_bridge.stream.bus import EVERYBODY, WHOLE_LOG
from openmeet_bridge.stream.embedded_valkey import EmbeddedValkey
from openmeet_bridge.stream.lanes import lane_of
from openmeet_bridge.stream.valkey_bus import ValkeyBus
from openmeet_bridge.stream.valkey_layout import Layout
from openmeet_bridge.telemetry import BUS_CONNECTS, BUS_DEAF, BUS_DROPPED, BUS_HEARD

from ..support.valkey import SLOTS, Cluster, Listener, listening, running

ROOM, OTHER, ANN = "!room", "!other", "@ann:test"
LONG = 3600.0
FAR = Position(1 << 60)
QUICK = 0.05
_DEPLOYMENTS = itertools.count()


@pytest.fixture(params=["sharded", "plain"])
def address(request: pytest.FixtureRequest, valkey: EmbeddedValkey) -> str:
    """A server of each kind. One that does not say what it can gets what every server can."""
    if request.param == "sharded":
        return valkey.address
    with redis.Redis(unix_socket_path=valkey.address.removeprefix("unix://")) as client:
        client.acl_setuser(
            "quiet", enabled=True, passwords=["+p@ss"], channels=["*"], commands=["+@all", "-info"]
        )
    return valkey.address.replace("unix://", "unix://quiet:p%40ss@")


@pytest.fixture
def deployment() -> str:
    """A name that no other test has."""
    return f"test-{next(_DEPLOYMENTS)}"


@pytest.fixture
async def two(address: str, deployment: str) -> AsyncIterator[tuple[Listener, Listener]]:
    """Two processes of one deployment."""
    async with listening(address, deployment) as one, listening(address, deployment) as other:
        yield one, other


@pytest.fixture
def own(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A server that a test may do anything to."""
    with EmbeddedValkey(tmp_path) as server:
        yield server


async def wakes(bus: ValkeyBus, position: int) -> None:
    """Waits until the log is known to have more, or is to be looked at."""
    async with asyncio.timeout(60):
        await bus.wait(Position(position), LONG)


async def sleeper(bus: ValkeyBus, position: int) -> asyncio.Task[None]:
    """Somebody who waits for more, and has looked for what there was to look for."""

    async def sleep() -> None:
        await bus.wait(Position(position), 0)
        began.set()
        await bus.wait(Position(position), LONG)

    began = asyncio.Event()
    task = asyncio.create_task(sleep())
    await began.wait()
    return task


async def woken(task: asyncio.Task[None]) -> None:
    await asyncio.wait_for(task, 60)


async def becomes_deaf(bus: ValkeyBus) -> None:
    async with asyncio.timeout(60):
        while not bus.deaf:
            await bus.wait(FAR, LONG)


async def cannot_connect(bus: ValkeyBus) -> None:
    """Waits until one more attempt has failed, each of which stirs who waits."""
    failed = BUS_CONNECTS.labels("failed")._value.get()
    async with asyncio.timeout(60):
        while BUS_CONNECTS.labels("failed")._value.get() == failed:
            await bus.wait(FAR, LONG)


async def test_topics_are_heard_by_who_has_begun_them(two: tuple[Listener, Listener]) -> None:
    one, other = two
    await other.begin(ROOM, ANN, ROOM)
    one.bus.say(ROOM, b"1")
    one.bus.say(OTHER, b"nobody")
    one.bus.say(ANN, b"2")
    one.bus.say(EVERYBODY, b"3")
    await other.hears(b"1", b"2", b"3")
    other.bus.end(ROOM)
    one.bus.say(ROOM, b"it was begun twice")
    await other.hears(b"it was begun twice")
    other.bus.end(ROOM)
    one.bus.say(ROOM, b"nobody")
    one.bus.say(ANN, b"4")
    await other.hears(b"4")
    # Nobody hears themselves, or it would have come before this.
    other.bus.say(EVERYBODY, b"5")
    await one.hears(b"5")


async def test_who_shares_a_lane_hears_only_its_own(two: tuple[Listener, Listener]) -> None:
    one, other = two
    neighbour = next(
        topic for topic in map("!{}".format, range(100_000)) if lane_of(topic) == lane_of(ROOM)
    )
    await other.begin(ROOM)
    passed = BUS_HEARD.labels("passed")._value.get()
    waiting = await sleeper(other.bus, 6)
    one.bus.say(neighbour, b"nobody")
    one.bus.grown(Position(7), [neighbour])
    one.bus.say(ROOM, b"1")
    await other.hears(b"1")
    assert BUS_HEARD.labels("passed")._value.get() == passed + 2
    assert not waiting.done()
    # What grew there until now was not heard of: it is to be looked for.
    await other.begin(neighbour)
    await woken(waiting)


async def test_the_log_wakes_whom_it_concerns(two: tuple[Listener, Listener]) -> None:
    one, other = two
    await other.begin(ROOM)
    waiting = await sleeper(other.bus, 0)
    one.bus.grown(Position(3), [OTHER])
    one.bus.say(ROOM, b"1")
    await other.hears(b"1")
    assert not waiting.done()
    one.bus.grown(Position(5), [ROOM, OTHER])
    await woken(waiting)
    waiting = await sleeper(other.bus, 5)
    await wakes(other.bus, 4)
    assert not waiting.done()
    one.bus.grown(Position(6))
    await woken(waiting)
    await other.begin(WHOLE_LOG)
    waiting = await sleeper(other.bus, 7)
    one.bus.grown(Position(8), [OTHER])
    await woken(waiting)


async def test_deployments_on_one_server_are_apart(valkey: EmbeddedValkey) -> None:
    async with (
        listening(valkey.address, "ours") as one,
        listening(valkey.address, "ours") as other,
        listening(valkey.address, "theirs") as stranger,
    ):
        stranger.bus.say(EVERYBODY, b"from afar")
        stranger.bus.grown(Position(9))
        await stranger.bus.close()
        one.bus.say(EVERYBODY, b"1")
        await other.hears(b"1")


async def test_what_nobody_of_ours_wrote_is_passed_over(
    valkey: EmbeddedValkey, deployment: str
) -> None:
    unreadable = BUS_HEARD.labels("unreadable")._value.get()
    async with listening(valkey.address, deployment) as one:
        path = valkey.address.removeprefix("unix://")
        with redis.Redis(unix_socket_path=path) as client:
            for junk in (b"", b"x" * 8, b"12345678\x93\x01\xa1x", b"12345678\x92\x00\xa1x"):
                channel = f"openmeet-bridge:1:{deployment}:{lane_of(EVERYBODY)}"
                client.execute_command("SPUBLISH", channel, junk)
        async with listening(valkey.address, deployment) as other:
            other.bus.say(EVERYBODY, b"1")
            await one.hears(b"1")
    assert BUS_HEARD.labels("unreadable")._value.get() == unreadable + 4


async def test_when_too_much_waits_the_oldest_is_lost(
    valkey: EmbeddedValkey, deployment: str
) -> None:
    dropped = BUS_DROPPED._value.get()
    async with listening(valkey.address, deployment) as other:
        bus = ValkeyBus(valkey.address, deployment, backlog=Backlog(most=3, most_bytes=1000))
        for number in range(5):
            bus.say(EVERYBODY, b"%d" % number)
        assert BUS_DROPPED._value.get() == dropped + 2
        await bus.close()  # Nobody takes it: that is no reason to wait.
        async with running(bus):
            await other.hears(b"2", b"3", b"4")
        bus.say(EVERYBODY, b"x" * 900)
        bus.say(EVERYBODY, b"y" * 900)
        assert BUS_DROPPED._value.get() == dropped + 3


async def test_what_was_said_goes_out_before_the_end(
    valkey: EmbeddedValkey, deployment: str
) -> None:
    everything = [b"%d" % number for number in range(2000)]
    async with listening(valkey.address, deployment) as other:
        async with listening(valkey.address, deployment) as one:
            for payload in everything:
                one.bus.say(EVERYBODY, payload)
            await one.bus.close()
        await other.hears(*everything)


async def test_a_server_that_dies_is_found_again(own: EmbeddedValkey) -> None:
    async with listening(own.address) as one, listening(own.address) as other:
        await other.begin(ROOM)
        # It waits with patience; when nothing is heard any more, it is to look for itself.
        waiting = await sleeper(other.bus, 6)
        assert own.pid is not None
        os.kill(own.pid, signal.SIGKILL)
        await becomes_deaf(other.bus)
        await woken(waiting)
        await becomes_deaf(one.bus)
        assert BUS_DEAF._value.get() == 1
        one.bus.say(ROOM, b"said meanwhile")
        other.bus.begin(ANN)
        await cannot_connect(other.bus)
        await asyncio.to_thread(own.stop)
        await asyncio.to_thread(own.start)
        # What was committed while nothing was heard is looked for, whoever tells of it.
        await other.bus.wait(Position(6), 0)
        await other.listens()
        await wakes(other.bus, 6)
        await one.listens()
        other.heard.clear()
        one.bus.say(ANN, b"1")
        one.bus.say(ROOM, b"2")
        await other.hears(b"1", b"2")


async def test_while_deaf_nobody_waits_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valkey_bus, "DEAF_PATIENCE", 0.01)
    bus = ValkeyBus("valkey://127.0.0.1:1", "one", longest_pause=0.02)
    assert bus.deaf
    async with running(bus):
        for _ in range(3):
            await cannot_connect(bus)
        bus.grown(Position(5))
        await wakes(bus, 4)


async def test_a_server_that_stands_still_is_noticed(own: EmbeddedValkey) -> None:
    async with listening(own.address, beat=QUICK) as one, listening(own.address) as other:
        await one.begin(ROOM)
        assert own.pid is not None
        os.kill(own.pid, signal.SIGSTOP)
        try:
            await becomes_deaf(one.bus)
        finally:
            os.kill(own.pid, signal.SIGCONT)
        await one.listens()
        other.bus.say(ROOM, b"1")
        await one.hears(b"1")


async def test_a_wrong_password_is_told_without_repeating_it(
    address: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    wrong = f"{address.replace('p%40ss', 'wr0ng')}?password=wr0ng"
    bus = ValkeyBus(wrong, "one", longest_pause=0.02)
    async with running(bus):
        await cannot_connect(bus)
    shown = capsys.readouterr()
    said = shown.out + shown.err + caplog.text  # wherever the tests before have let it go
    assert "bus.deaf" in said
    assert "wr0ng" not in said
    assert "wr0ng" not in repr(vars(bus))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two servers that share the channels."""
    with Cluster(tmp_path_factory.mktemp("cluster")).running() as running:
        yield running


def topics_of(deployment: str) -> Iterator[tuple[str, int]]:
    """Topics, and the slots of their channels."""
    layout = Layout(True, [("", slot) for slot in range(SLOTS)], [(n, n) for n in range(SLOTS)])
    for number in itertools.count():
        topic = f"!{number}"
        yield topic, layout.owner(f"openmeet-bridge:1:{deployment}:{lane_of(topic)}")


async def test_a_cluster_carries_each_topic_on_one_server(
    cluster: Cluster, deployment: str
) -> None:
    low = [topic for topic, slot in itertools.islice(topics_of(deployment), 40) if slot < SLOTS / 2]
    high = [f"!{number}" for number in range(40) if f"!{number}" not in low]
    first, second = cluster.addresses
    async with listening(first, deployment) as one, listening(second, deployment) as other:
        await other.begin(*low[:5], *high[:5])
        for topic in (*low[:10], *high[:10]):
            one.bus.say(topic, topic.encode())
        await one.bus.close()
        await other.has(10)
        # In order on each server; between them, there is none.
        assert set(other.heard) == {topic.encode() for topic in (*low[:5], *high[:5])}


async def test_a_slot_of_a_cluster_may_move(cluster: Cluster, deployment: str) -> None:
    topic, slot = next((topic, slot) for topic, slot in topics_of(deployment) if slot < SLOTS / 2)
    first, second = cluster.addresses
    async with listening(first, deployment) as one, listening(second, deployment) as other:
        await other.begin(topic)
        await asyncio.to_thread(cluster.move, slot)
        await becomes_deaf(other.bus)
        await other.listens()
        # Who speaks finds out by being refused; that word is lost, the next one is not.
        one.bus.say(topic, b"lost")
        await becomes_deaf(one.bus)
        await one.listens()
        one.bus.say(topic, b"1")
        await other.hears(b"1")
