"""What Synapse loses or turns round, the bridge puts in its place: each event once, in order."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from openmeet_bridge.demo.synapse import SynapseProcess

from ..support.bridge import Settings, running_bridge
from ..support.fault_proxy import Exchange, FaultProxy, fault_proxy, hang, pass_on, refuse
from ..support.openmeet import User
from ..support.ports import free_port
from ..support.streams import Stream
from ..support.truth import assembled, repeated, sources, true_order
from ..support.waiting import eventually
from ..support.world import World, connected

pytestmark = [pytest.mark.synapse, pytest.mark.timeout(300)]

MANY = 130  # more than one answer of /sync holds
AT_ONCE = 8
OFTEN = {"interval": 3, "echo_overdue": 3}
"""The bridge looks by itself, soon."""

ONLY_WHEN_OVERDUE = {"interval": 3600, "echo_overdue": 2}
"""The bridge looks when a message of its own does not come back, and not before."""


async def hang_with_events(exchange: Exchange) -> web.StreamResponse:
    """Keep the first transaction waiting that brings events, and not one of presence alone."""
    return await (hang(exchange) if exchange.events else exchange.forward())


@dataclass
class Scene:
    """A room with two people, and the way from Synapse to the bridge.

    Attributes:
        world: The bridge and what is around it.
        push: Between Synapse and the bridge's listener for it.
        synapse: To be killed.
        room_id: The room.
        slug: The room's group.
        alice: Speaks.
        bob: Listens.
        streams: His streams, over SSE and WebSocket, open all the time.
        earlier: The events from before the streams were opened.
    """

    world: World
    push: FaultProxy
    synapse: SynapseProcess
    room_id: str
    slug: str
    alice: User
    bob: User
    streams: tuple[Stream, Stream]
    earlier: set[str]

    async def speak(self, body: str) -> str:
        """Sends a message as Alice's ghost past the bridge; returns the event's id."""
        return await self.world.homeserver.send_event(
            self.room_id,
            "m.room.message",
            secrets.token_hex(16),
            {"msgtype": "m.text", "body": body},
            self.alice.mxid,
        )

    async def speak_often(self, name: str, count: int) -> list[str]:
        """Sends many messages past the bridge, several at once; returns the events' ids."""
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> str:
            async with turns:
                return await self.speak(f"{name} {number}")

        return list(await asyncio.gather(*(one(number) for number in range(count))))

    async def quiet(self) -> None:
        """Waits until everything is delivered that has happened so far."""
        await self.speak("so far")
        for stream in self.streams:
            await stream.message("so far")

    async def crash(self) -> None:
        """Kills Synapse with all that it has in memory, and starts it again."""
        await asyncio.to_thread(self.synapse.kill)
        await asyncio.to_thread(self.synapse.start)

    async def pushed(self, *event_ids: str) -> None:
        """Waits until the bridge has taken these events in transactions."""

        async def look() -> bool:
            return set(event_ids) <= set(self.push.pushed())

        await eventually(look, f"{event_ids} are pushed")

    async def logged(self, event_ids: Iterable[str]) -> dict[str, int]:
        """Waits until the log has these events; returns how many came in which way."""
        wanted = set(event_ids)

        async def look() -> dict[str, int] | None:
            found = await sources(self.world, wanted)
            return found if sum(found.values()) == len(wanted) else None

        return await eventually(look, "the log has all") or {}

    async def orders(self, *event_ids: str) -> list[str]:
        """The present places of these events in the timeline."""
        entries = {entry["event_id"]: entry for entry in await self.bob.timeline(self.room_id)}
        return [entries[event_id]["order"] for event_id in event_ids]

    async def call_for_a_look(self) -> None:
        """Sends a message through the bridge whose echo is lost on the way."""
        self.push.rule = hang_with_events
        answer = await self.alice.send(self.room_id, "does not come back")
        await self.logged([answer["event_id"]])
        self.push.rule = pass_on

    async def check(self) -> None:
        """Waits until log, timeline and streams show the room as it truly is."""
        truth = await true_order(self.world, self.room_id)
        assert len(set(truth)) == len(truth)

        async def timeline() -> bool:
            entries = await self.bob.timeline(self.room_id)
            assert [entry["event_id"] for entry in entries] == truth
            return True

        await eventually(timeline, "the timeline has the true order")
        new = [event_id for event_id in truth if event_id not in self.earlier]
        for stream in self.streams:
            await stream.until(lambda one: self._shown(one) == new, "all of it, in its place")

    def _shown(self, stream: Stream) -> list[str]:
        shown = assembled(stream.entries(self.room_id))
        return [event_id for event_id in shown if event_id not in self.earlier]


@asynccontextmanager
async def scene(
    settings: Settings, synapse: SynapseProcess, **repair: float
) -> AsyncIterator[Scene]:
    """Sets a scene around a bridge that looks for losses as often as a test wants."""
    port, settings.transactions = settings.transactions, free_port()
    settings.changes = {"repair": repair}
    slug = f"loss-{secrets.token_hex(4)}"
    async with (
        fault_proxy(f"http://127.0.0.1:{settings.transactions}", port) as push,
        running_bridge(settings),
        connected(settings, synapse.base_url) as world,
    ):
        alice, bob = await world.here.user("Alice"), await world.here.user("Bob")
        room_id = await world.here.group(slug, [alice, bob])
        earlier = set(await true_order(world, room_id))
        async with bob.stream() as sse, bob.socket() as ws:
            for stream in (sse, ws):
                await stream.wait("hello")
            yield Scene(world, push, synapse, room_id, slug, alice, bob, (sse, ws), earlier)


@pytest.fixture
async def often(settings: Settings, synapse: SynapseProcess) -> AsyncIterator[Scene]:
    async with scene(settings, synapse, **OFTEN) as made:
        yield made


@pytest.fixture
async def blind(settings: Settings, synapse: SynapseProcess) -> AsyncIterator[Scene]:
    async with scene(settings, synapse, **ONLY_WHEN_OVERDUE) as made:
        yield made


async def test_what_synapse_held_in_memory_comes_back(often: Scene) -> None:
    await often.quiet()
    often.push.rule = hang_with_events
    lost = await often.speak_often("past the bridge", MANY)
    answers = [await often.alice.send(often.room_id, f"through it {n}") for n in range(3)]
    lost += [answer["event_id"] for answer in answers]
    await often.crash()
    often.push.rule = pass_on
    came = await often.logged(lost)
    # All but what was in the one transaction that Synapse had written down.
    assert came["repair"] >= MANY - AT_ONCE
    await often.check()
    last = await often.speak("after")
    for stream in often.streams:
        await stream.message("after")
    await often.pushed(last)
    await often.check()
    assert not repeated(often.streams[0], often.room_id)


async def test_a_transaction_in_flight_returns_after_newer_ones(often: Scene) -> None:
    await often.quiet()
    often.push.rule = hang_with_events
    lost = [await often.speak(f"lost {number}") for number in range(5)]
    await often.crash()
    often.push.rule = pass_on
    await often.logged(lost)
    newer = [await often.speak(f"newer {number}") for number in range(3)]
    await often.pushed(*newer)
    # Only a failure makes Synapse look for what it has written down and not delivered.
    often.push.once(refuse, lambda exchange: exchange.is_transaction)
    newest = await often.speak("newest")
    await often.pushed(lost[0], newest)
    pushed = often.push.pushed()
    assert pushed.index(lost[0]) > pushed.index(newer[-1])
    await often.check()


async def test_it_returns_before_anybody_has_looked(blind: Scene) -> None:
    await blind.quiet()
    blind.push.rule = hang_with_events
    lost = [await blind.speak(f"lost {number}") for number in range(5)]
    await blind.crash()
    blind.push.rule = pass_on
    newer = [await blind.speak(f"newer {number}") for number in range(3)]
    await blind.pushed(*newer)
    blind.push.once(refuse, lambda exchange: exchange.is_transaction)
    newest = await blind.speak("newest")
    await blind.pushed(lost[0], newest)
    for stream in blind.streams:
        await stream.message("lost 0")
    wrong = await blind.orders(*newer, lost[0])
    assert wrong == sorted(wrong)
    # What Synapse had not even begun to hand on when it was killed returns as well, in time.
    returned = set(lost) & set(blind.push.pushed())
    assert len(returned) < len(lost)
    assert await sources(blind.world, lost) == {"push": len(returned)}
    await blind.call_for_a_look()
    await blind.logged(lost)
    await blind.check()
    for stream in blind.streams:
        assert lost[0] in repeated(stream, blind.room_id) <= returned


async def test_an_overtaken_transaction_finds_its_place(blind: Scene) -> None:
    held: list[Exchange] = []

    async def hold_first(exchange: Exchange) -> web.StreamResponse:
        if held or not exchange.events:
            return await exchange.forward()
        held.append(exchange)
        return web.json_response({})

    await blind.quiet()
    blind.push.rule = hold_first
    late = await blind.speak("late")
    newer = [await blind.speak(f"newer {number}") for number in range(4)]
    await blind.pushed(*newer)
    await held[0].forward()
    for stream in blind.streams:
        await stream.message("late")
    wrong = await blind.orders(*newer, late)
    assert wrong == sorted(wrong)
    await blind.call_for_a_look()
    await blind.check()
    for stream in blind.streams:
        assert repeated(stream, blind.room_id) == {late}


async def test_rooms_and_members_are_whole_after_a_crash(often: Scene) -> None:
    """Whole rooms are lost, and goings; what follows from them is not."""
    here, slug = often.world.here, f"lost-{secrets.token_hex(4)}"
    often.push.rule = hang_with_events
    await here.do("PUT", f"/groups/{slug}", {"name": "Lost and found"})
    for user in (often.alice, often.bob):
        await here.do("PUT", f"/groups/{slug}/members/{user.slug}", {"role": "member"})
    await here.do("DELETE", f"/groups/{often.slug}/members/{often.bob.slug}")

    async def members() -> dict[str, set[str]]:
        """Whom Synapse has in the new room and in the old one."""
        known = await often.world.homeserver.joined_rooms(often.bob.mxid)
        assert often.room_id not in known
        assert len(known) == 1
        return {room_id: set() for room_id in known}

    await eventually(members, "Synapse has done what it was asked")
    await often.crash()
    often.push.rule = pass_on
    room_id = str((await here.settled(f"/groups/{slug}"))["room_id"])
    await here.settled(f"/groups/{often.slug}")
    for stream in often.streams:
        await stream.wait("room.added", room_id=room_id)
        await stream.wait("room.removed", room_id=often.room_id)
    assert set(await often.bob.rooms()) == {room_id}
    said: dict[str, Any] = await often.alice.send(room_id, "found")
    for stream in often.streams:
        await stream.message("found")
    truth = await true_order(often.world, room_id)

    async def whole() -> bool:
        # Whether anybody waits for an event or not, it comes in at the latest with the next look.
        entries = await often.bob.timeline(room_id)
        assert [entry["event_id"] for entry in entries] == truth
        return True

    await eventually(whole, "the timeline has the true order")
    assert truth[-1] == said["event_id"]
    assert (await often.bob.ask("GET", f"/rooms/{often.room_id}/timeline")).status == 404
