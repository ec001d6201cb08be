"""Whatever breaks while people send: each message is in the room once, in the order of sending."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from openmeet_bridge.demo.synapse import SynapseProcess

from ..support.bridge import BridgeProcess, Settings, running_bridge
from ..support.fault_proxy import Exchange, FaultProxy, fault_proxy, lose_answer, pass_on
from ..support.openmeet import Answer, User, message_path
from ..support.speakers import Speaker, bodies, check, speaking, three_people
from ..support.waiting import eventually
from ..support.world import World, connected

pytestmark = [pytest.mark.synapse, pytest.mark.timeout(300)]

SEED = 20_240_817
ROUNDS = 8
SHORT_WAIT = {"limits": {"send_wait": 0.5}}


@pytest.fixture
async def to_synapse(synapse: SynapseProcess) -> AsyncIterator[FaultProxy]:
    """On the way from the bridge to Synapse."""
    async with fault_proxy(synapse.base_url) as proxy:
        yield proxy


async def test_the_bridge_is_killed_while_it_sends(
    settings: Settings, synapse: SynapseProcess, to_synapse: FaultProxy
) -> None:
    settings.homeserver_url = to_synapse.url
    settings.changes = SHORT_WAIT
    bridge = BridgeProcess(settings)
    chance = random.Random(SEED)

    async def die_before(exchange: Exchange) -> web.StreamResponse:
        await asyncio.to_thread(bridge.kill)
        return web.Response(status=502)

    async def die_after(exchange: Exchange) -> web.StreamResponse:
        # Synapse has the message, and the bridge will never be told.
        await exchange.forward()
        return await die_before(exchange)

    await asyncio.to_thread(bridge.start)
    try:
        async with connected(settings, synapse.base_url) as world:
            room_id, speakers, carol = await three_people(world)
            async with speaking(*speakers):
                for number in range(ROUNDS):
                    wanted = 2 * number + 2
                    await eventually(lambda: _have_said(speakers, wanted), "they speak")  # noqa: B023
                    if number % 4 == 3:
                        await asyncio.sleep(chance.uniform(0.05, 0.6))
                        await asyncio.to_thread(bridge.kill)
                    else:
                        rule = die_before if number % 2 else die_after
                        await to_synapse.once(rule, lambda exchange: exchange.is_message).wait()
                        await eventually(lambda: _is_dead(bridge), "the bridge is dead")
                    await asyncio.to_thread(bridge.start)
            await check(world, room_id, speakers, carol)
    finally:
        assert await asyncio.to_thread(bridge.stop) == 0


async def _is_dead(bridge: BridgeProcess) -> bool:
    return not bridge.runs


async def test_synapse_goes_away_while_the_bridge_sends(
    settings: Settings, synapse: SynapseProcess
) -> None:
    settings.changes = SHORT_WAIT
    chance = random.Random(SEED)
    async with running_bridge(settings), connected(settings, synapse.base_url) as world:
        room_id, speakers, carol = await three_people(world)

        async def in_mid_send() -> None:
            """Waits until messages flow again, and then some chance moment longer."""
            before = len(await bodies(world, room_id))

            async def flowing() -> bool:
                return len(await bodies(world, room_id)) >= before + 4

            await eventually(flowing, "messages flow")
            await asyncio.sleep(chance.uniform(0, 0.4))

        async with speaking(*speakers):
            for _ in range(3):
                await in_mid_send()
                await asyncio.to_thread(synapse.kill)
                await asyncio.to_thread(synapse.start)
            for _ in range(2):
                await in_mid_send()
                synapse.pause()
                await asyncio.sleep(chance.uniform(0.5, 1.5))
                synapse.resume()
        await check(world, room_id, speakers, carol)


async def test_all_goes_at_once(settings: Settings, synapse: SynapseProcess) -> None:
    settings.changes = SHORT_WAIT
    bridge = BridgeProcess(settings)
    await asyncio.to_thread(bridge.start)
    try:
        async with connected(settings, synapse.base_url) as world:
            room_id, speakers, carol = await three_people(world)
            async with speaking(*speakers):
                await eventually(lambda: _have_said(speakers, 5), "they speak")
                bridge.kill()
                synapse.kill()
                await asyncio.to_thread(bridge.start)
                await asyncio.to_thread(synapse.start)
                await eventually(lambda: _have_said(speakers, 10), "they speak again")
            await check(world, room_id, speakers, carol)
    finally:
        assert await asyncio.to_thread(bridge.stop) == 0


async def test_answers_of_synapse_are_lost(
    settings: Settings, synapse: SynapseProcess, to_synapse: FaultProxy
) -> None:
    settings.homeserver_url = to_synapse.url
    settings.changes = SHORT_WAIT
    chance = random.Random(SEED)

    async def moody(exchange: Exchange) -> web.StreamResponse:
        mood = chance.random() if exchange.is_message else 1.0
        if mood < 0.2:
            return await lose_answer(exchange)
        if mood < 0.3:
            return web.json_response(
                {"errcode": "M_LIMIT_EXCEEDED", "error": "slow down", "retry_after_ms": 50},
                status=429,
            )
        if mood < 0.4:
            return web.json_response({"errcode": "M_UNKNOWN", "error": "broken"}, status=500)
        return await exchange.forward()

    async with running_bridge(settings), connected(settings, synapse.base_url) as world:
        room_id, speakers, carol = await three_people(world)
        to_synapse.rule = moody
        async with speaking(*speakers):
            await eventually(lambda: _have_said(speakers, 15), "enough is said")
        to_synapse.rule = pass_on
        await check(world, room_id, speakers, carol)


async def _have_said(speakers: list[Speaker], count: int) -> bool:
    return all(len(speaker.accepted) >= count for speaker in speakers)


Obstacle = Callable[[World, str, User], Awaitable[None]]


async def mute(world: World, room_id: str, user: User) -> None:
    """Takes everybody's right to write, before the homeserver sees the message."""
    levels = await world.homeserver.get_state(room_id, "m.room.power_levels", "", world.bot) or {}
    await world.homeserver.send_state(
        room_id, "m.room.power_levels", "", levels | {"events_default": 50}, world.bot
    )


async def kick(world: World, room_id: str, user: User) -> None:
    """Takes somebody out of the room, before the homeserver sees their message."""
    await world.homeserver.kick(room_id, user.mxid, "not today", world.bot)


@pytest.mark.parametrize("obstacle", [mute, kick])
async def test_what_can_never_be_sent_is_told_to_its_sender(
    settings: Settings, synapse: SynapseProcess, to_synapse: FaultProxy, obstacle: Obstacle
) -> None:
    settings.homeserver_url = to_synapse.url
    settings.changes = SHORT_WAIT
    free = asyncio.Event()

    async def wait(exchange: Exchange) -> web.StreamResponse:
        await free.wait()
        return await exchange.forward()

    async with running_bridge(settings), connected(settings, synapse.base_url) as world:
        alice, bob = await world.here.user("Alice"), await world.here.user("Bob")
        room_id = await world.here.group(f"refused-{secrets.token_hex(4)}", [alice, bob])
        async with alice.stream() as stream, bob.stream() as other:
            for one in (stream, other):
                await one.wait("hello")
            came = to_synapse.once(wait, lambda exchange: exchange.is_message)
            path = message_path(room_id, "too-late")
            assert await alice.ask("PUT", path, {"body": "too late"}) == Answer(
                202, {"status": "pending"}
            )
            await came.wait()
            await obstacle(world, room_id, alice)
            free.set()
            frame = await stream.wait("send.failed", room_id=room_id, client_txn_id="too-late")
            assert frame.data["errcode"] == "M_FORBIDDEN"
            assert frame.data["error"]
            status = await alice.do("GET", path)
            assert (status["status"], status["errcode"]) == ("failed", "M_FORBIDDEN")
            assert status["error"] == frame.data["error"]
            again = await alice.ask("PUT", path, {"body": "too late"})
            assert (again.status, again.errcode) == (403, "M_FORBIDDEN")
            assert status["error"] in again.body["error"]
            assert not other.of("send.failed")
        assert await bodies(world, room_id) == []
