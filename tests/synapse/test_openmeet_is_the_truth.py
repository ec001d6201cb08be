"""Whatever happens to OpenMeet, Synapse and the bridge: in the end Matrix is as OpenMeet says.

OpenMeet's tables change at random, people change rooms by hand, and everything is killed at random
meanwhile. The bridge reads OpenMeet's database alone: no call tells it anything.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
import pytest

from openmeet_bridge.core.ids import Mxid, TenantId
from openmeet_bridge.core.rules import Rules
from openmeet_bridge.demo.synapse import SynapseProcess
from openmeet_bridge.matrix.errors import HomeserverError

from ..support.bridge import HERE, THERE, BridgeProcess, Settings
from ..support.databases import Databases
from ..support.openmeet_database import OpenMeet
from ..support.waiting import eventually
from ..support.world import World, connected

pytestmark = [pytest.mark.synapse, pytest.mark.timeout(900)]

SEED = int(os.environ.get("OPENMEET_BRIDGE_TEST_SEED", "20261122"))
STEPS = int(os.environ.get("OPENMEET_BRIDGE_TEST_STEPS", "2400"))
BURST = 200
KILL_EVERY = 2  # bursts
BY_HAND = 10  # attempts to change a room by hand in each burst
PATIENCE = 240.0
SITES = (HERE.id, THERE.id)
RULES = Rules(archive_after=None, archive_cancelled_after=None)
JOIN_RULES = {"public": "public", "authenticated": "invite", "private": "invite"}


@dataclass
class Chaos:
    """Everything that can change or die.

    Attributes:
        world: The homeserver, and the bridge's database.
        openmeet: The truth.
        bridge: To be killed.
        synapse: To be killed.
        chance: Decides.
        done: What happened, for the one who must understand a failure.
    """

    world: World
    openmeet: OpenMeet
    bridge: BridgeProcess
    synapse: SynapseProcess
    chance: random.Random
    done: list[str] = field(default_factory=list)

    async def burst(self) -> None:
        """Some minutes of a busy day."""
        for _ in range(BURST):
            self.done.append(await self.openmeet.random_step(self.chance))
        for _ in range(BY_HAND):
            with suppress(HomeserverError):
                await self._by_hand()
        await asyncio.sleep(self.chance.uniform(0, 0.6))

    async def accident(self) -> None:
        """Something dies, or stands still for a while."""
        kind = self.chance.choice(("bridge", "bridge", "synapse", "both", "pause"))
        self.done.append(f"accident: {kind}")
        if kind == "pause":
            self.synapse.pause()
            await asyncio.sleep(self.chance.uniform(0.2, 1.0))
            self.synapse.resume()
            return
        if kind in ("bridge", "both"):
            await asyncio.to_thread(self.bridge.kill)
        if kind in ("synapse", "both"):
            await asyncio.to_thread(self.synapse.kill)
            await asyncio.to_thread(self.synapse.start)
        if kind in ("bridge", "both"):
            await asyncio.to_thread(self.bridge.start)

    async def _by_hand(self) -> None:
        """Somebody with power does something in a room that OpenMeet knows nothing of."""
        rooms = await self.world.sql("SELECT room_id FROM portal ORDER BY room_id")
        if not rooms:
            return
        room_id = self.chance.choice(rooms)["room_id"]
        people = await self.world.sql(
            """
            SELECT mxid FROM room_member JOIN ghost USING (mxid)
            WHERE room_id = $1 AND membership = 'join' ORDER BY mxid
            """,
            room_id,
        )
        if not people:
            return
        one, other = (Mxid(self.chance.choice(people)["mxid"]) for _ in range(2))
        matrix = self.world.homeserver
        deeds: list[Callable[[], Awaitable[object]]] = [
            lambda: matrix.send_state(room_id, "m.room.name", "", {"name": "Mine"}, one),
            lambda: matrix.send_state(room_id, "m.room.topic", "", {"topic": "Mine"}, one),
            lambda: matrix.kick(room_id, other, "by hand", one),
            lambda: matrix.ban(room_id, other, "by hand", one),
            lambda: matrix.leave(room_id, one),
        ]
        await self.chance.choice(deeds)()

    async def differences(self, tenant: TenantId) -> list[str]:
        """In what Matrix is not as OpenMeet says."""
        wanted = await self.openmeet.expected(tenant, RULES)
        rows = await self.world.sql(
            """
            SELECT kind, slug, room_id FROM portal JOIN directory_portal USING (tenant, kind, slug)
            WHERE tenant = $1 AND kind <> 'direct'
            """,
            tenant,
        )
        rooms = {(row["kind"], row["slug"]): row["room_id"] for row in rows}
        found = [f"too few: {one}" for one in wanted.keys() - rooms.keys()]
        found += [f"too many: {one}" for one in rooms.keys() - wanted.keys()]
        ghosts = await self.world.sql(
            """
            SELECT ghost.mxid, ghost.slug, active FROM ghost
            JOIN directory_user USING (tenant, slug) WHERE tenant = $1
            """,
            tenant,
        )
        mxids = {row["slug"]: row["mxid"] for row in ghosts}
        for portal in sorted(wanted.keys() & rooms.keys()):
            expected = wanted[portal]
            people = {mxids.get(slug, slug): level for slug, level in expected.levels.items()}
            seen = await self._seen(rooms[portal])
            facts = (expected.name, JOIN_RULES[expected.visibility], people)
            if seen != facts:
                found.append(f"{portal}: wanted {facts}, is {seen}")
        active = {row["slug"]: row["mxid"] for row in ghosts if row["active"]}
        return found + await self._wrong_names(tenant, active)

    async def is_equal(self) -> bool:
        """Whether all is done; then Matrix is as OpenMeet says."""
        undone = await self.undone()
        assert not undone, "\n".join(undone)
        try:
            different = [line for one in SITES for line in await self.differences(one)]
        except HomeserverError as error:
            raise AssertionError(str(error)) from error
        assert not different, "\n".join(different[:20])
        return True

    async def undone(self) -> list[str]:
        """What the bridge has not done yet, and why."""
        jobs = await self.world.sql(
            "SELECT tenant, kind, slug, attempts, permanent, error FROM job WHERE wanted > done"
        )
        heads = await self.world.sql(
            """
            SELECT tenant, comparison_error FROM directory_head
            WHERE comparison_error IS NOT NULL
            """
        )
        return [str(dict(row)) for row in (*jobs, *heads)]

    async def _seen(self, room_id: str) -> tuple[str, str, dict[str, int]]:
        state = {
            (one["type"], one["state_key"]): one["content"]
            for one in map(
                msgspec.json.decode,
                await self.world.homeserver.room_state(room_id, self.world.bot),
            )
        }
        levels = state.get(("m.room.power_levels", ""), {}).get("users", {})
        people = {
            key: levels.get(key, 0)
            for (kind, key), content in state.items()
            if kind == "m.room.member" and content["membership"] == "join"
        }
        people.pop(self.world.bot, None)
        name = state.get(("m.room.name", ""), {}).get("name", "")
        return name, state.get(("m.room.join_rules", ""), {}).get("join_rule", ""), people

    async def _wrong_names(self, tenant: TenantId, mxids: dict[str, str]) -> list[str]:
        wrong = []
        names = await self.openmeet.expected_names(tenant)
        for slug, mxid in sorted(mxids.items()):
            profile = await self.world.homeserver.get_profile(mxid, acting_as=self.world.bot)
            if profile.displayname != names.get(slug):
                wrong.append(f"{slug}: wanted {names.get(slug)!r}, is {profile.displayname!r}")
        return wrong


@pytest.fixture
async def openmeet(databases: Databases) -> AsyncIterator[tuple[OpenMeet, str]]:
    """OpenMeet with its two sites, and the address of its database."""
    dsn = databases.create_empty()
    site = await OpenMeet.build(dsn, SITES)
    yield site, dsn
    await site.close()
    databases.drop(dsn)


async def test_matrix_follows_openmeet_through_everything(
    settings: Settings, synapse: SynapseProcess, openmeet: tuple[OpenMeet, str]
) -> None:
    site, dsn = openmeet
    settings.changes = {
        "openmeet": {"database": dsn, "interval": 1, "full_interval": 5, "max_removals": 1},
        "rooms": {"sweep": 10},
        "rules": {"archive_after": None, "archive_cancelled_after": None},
    }
    bridge = BridgeProcess(settings)
    await asyncio.to_thread(bridge.start)
    try:
        async with connected(settings, synapse.base_url) as world:
            chaos = Chaos(world, site, bridge, synapse, random.Random(SEED))
            for number in range(STEPS // BURST):
                await chaos.burst()
                if number % KILL_EVERY == KILL_EVERY - 1:
                    await chaos.accident()
            what = "Matrix equals OpenMeet"
            await eventually(chaos.is_equal, what, seconds=PATIENCE, poll=0.5)
    finally:
        assert await asyncio.to_thread(bridge.stop) == 0
