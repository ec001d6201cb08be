"""PostgreSQL goes away: nothing is taken that cannot be kept, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from openmeet_bridge.storage.embedded import EmbeddedPostgres

from ..support.bridge import Settings, running_bridge
from ..support.databases import Databases
from ..support.fault_proxy import FaultProxy, fault_proxy
from ..support.openmeet import Answer, call, message_path
from ..support.ports import free_port
from ..support.speakers import bodies, check, speaking, three_people
from ..support.streams import Stream
from ..support.truth import assembled, sources, true_order
from ..support.waiting import eventually
from ..support.world import World, connected

pytestmark = [pytest.mark.synapse, pytest.mark.timeout(300)]

UNAVAILABLE = "ORG_OPENMEET_UNAVAILABLE"
QUICK = {"fsync": "off", "full_page_writes": "off"}

End = Callable[[EmbeddedPostgres], None]


@pytest.fixture(scope="module")
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that no other test needs."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("pg"), settings=QUICK) as server:
        yield server


@pytest.fixture(scope="module")
def own_databases(own_postgres: EmbeddedPostgres) -> Databases:
    return Databases(own_postgres)


@pytest.fixture
async def push(settings: Settings, own_databases: Databases) -> AsyncIterator[FaultProxy]:
    """On the way from Synapse to a bridge that uses this PostgreSQL."""
    port, settings.transactions = settings.transactions, free_port()
    settings.database_url = await asyncio.to_thread(own_databases.create)
    settings.changes = {"stream": {"heartbeat": 1}, "limits": {"send_wait": 1}}
    async with fault_proxy(f"http://127.0.0.1:{settings.transactions}", port) as proxy:
        yield proxy


@pytest.fixture
async def world(settings: Settings, push: FaultProxy) -> AsyncIterator[World]:
    async with running_bridge(settings), connected(settings, settings.homeserver_url) as world:
        yield world


def stop(server: EmbeddedPostgres) -> None:
    """Ends the server as an operator does."""
    server.stop()


def crash(server: EmbeddedPostgres) -> None:
    """Ends the server as the power going away would."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    server.stop()


async def health(world: World, what: str) -> Answer:
    return await call(world.session, "GET", f"{world.settings.operations_url}/health/{what}")


async def is_ready(world: World) -> bool:
    return (await health(world, "ready")).status == 200


def heartbeats(stream: Stream) -> int:
    return len(stream.of("heartbeat"))


@pytest.mark.parametrize("end", [stop, crash])
async def test_all_waits_and_goes_on(
    world: World, push: FaultProxy, own_postgres: EmbeddedPostgres, end: End
) -> None:
    alice, bob = await world.here.user("Alice"), await world.here.user("Bob")
    room_id = await world.here.group(f"away-{secrets.token_hex(4)}", [alice, bob])
    earlier = set(await true_order(world, room_id))
    await eventually(lambda: is_ready(world), "the bridge has looked at the homeserver")

    async def speak(body: str) -> str:
        content = {"msgtype": "m.text", "body": body}
        txn_id = secrets.token_hex(16)
        return await world.homeserver.send_event(
            room_id, "m.room.message", txn_id, content, alice.mxid
        )

    async with bob.stream() as sse, bob.socket() as ws:
        await sse.wait("hello")
        await ws.wait("hello")
        said = [await speak("before")]
        await sse.message("before")
        await asyncio.to_thread(end, own_postgres)
        try:
            said += [await speak(f"meanwhile {number}") for number in range(5)]

            async def refused() -> bool:
                return any(one.events and one.status == 503 for one in push.passed)

            await eventually(refused, "a transaction is refused")
            ready = await health(world, "ready")
            assert (ready.status, ready.body["status"]) == (503, "degraded")
            assert ready.body["checks"]["database"] != "ok"
            assert (await health(world, "live")).status == 200
            path = message_path(room_id, "while-away")
            for method, where, body in (("GET", "/rooms", None), ("PUT", path, {"body": "hi"})):
                answer = await alice.ask(method, where, body)
                assert (answer.status, answer.errcode) == (503, UNAVAILABLE)
                assert answer.body["retry_after_ms"] > 0
            async with alice.stream() as late:
                assert late.status == 503
            before = heartbeats(sse), heartbeats(ws)
            await sse.until(lambda one: heartbeats(one) > before[0] + 1, "heartbeats")
            await ws.until(lambda one: heartbeats(one) > before[1] + 1, "heartbeats")
            pings = len([one for one in push.passed if one.path.endswith("/ping")])
        finally:
            await asyncio.to_thread(own_postgres.start)

        async def kept() -> bool:
            found = await sources(world, said)
            return sum(found.values()) == len(said)

        await eventually(kept, "what Synapse kept is in the log")

        async def asked_for() -> bool:
            return len([one for one in push.passed if one.path.endswith("/ping")]) > pings

        await eventually(asked_for, "the bridge asks Synapse to go on")
        answer = await alice.do("PUT", path, {"body": "hi"})
        if answer["status"] == "pending":
            await sse.message("hi")
        truth = await true_order(world, room_id)
        new = [event_id for event_id in truth if event_id not in earlier]
        assert set(said) < set(new)
        assert len(new) == len(said) + 1
        for stream in (sse, ws):
            await stream.until(
                lambda one: assembled(one.entries(room_id)) == new, "all of it, in its place"
            )
            assert not stream.ended
        entries = await bob.timeline(room_id)
        assert [entry["event_id"] for entry in entries] == truth

        async def ready_again() -> bool:
            return (await health(world, "ready")).status == 200

        await eventually(ready_again, "the bridge is ready again")
    assert (await bodies(world, room_id)).count("hi") == 1


async def test_people_who_send_meanwhile(world: World, own_postgres: EmbeddedPostgres) -> None:
    room_id, speakers, carol = await three_people(world)
    async with speaking(*speakers):
        for end in (stop, crash, stop):
            await asyncio.sleep(0.5)
            await asyncio.to_thread(end, own_postgres)
            await asyncio.sleep(0.5)
            await asyncio.to_thread(own_postgres.start)
    await check(world, room_id, speakers, carol)
