"""Portals with many members come to be on a real Synapse, and an upgrade there is followed.

The full size (a hundred portals with twenty members each) is the benchmark ``provisioning``.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace

import aiohttp
import msgspec
import pytest
from prometheus_client import REGISTRY

from openmeet_bridge.bridge import reconciler
from openmeet_bridge.core.changes import PutPortal, PutUser, ReplaceMembers
from openmeet_bridge.core.directory import Member, Portal, User, Visibility
from openmeet_bridge.core.ids import PortalKind, PortalRef, TenantId, UserSlug
from openmeet_bridge.core.naming import Naming
from openmeet_bridge.core.rules import Rules
from openmeet_bridge.demo.synapse import SynapseProcess
from openmeet_bridge.matrix.homeserver import Homeserver

from ..support.bridge import HERE, Settings, running_bridge
from ..support.settling import Town, registrar
from ..support.waiting import eventually
from ..support.world import connected

pytestmark = pytest.mark.synapse

NAMING = Naming("localhost")
TENANT = TenantId(HERE.id)


@pytest.fixture(autouse=True)
def _wide_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nobody wakes the bridge when a test writes into its database.
    monkeypatch.setattr(reconciler, "_IDLE", 0.1)


def _failed() -> float:
    return REGISTRY.get_sample_value("openmeet_bridge_jobs_total", {"outcome": "failed"}) or 0


async def test_a_town_settles_without_a_failed_job(
    settings: Settings, homeserver: Homeserver
) -> None:
    town = Town(TENANT, portals=8, members=6, users=16, tail=f"-{secrets.token_hex(3)}")
    settings.changes = {"rooms": {"jobs_at_once": 4}}
    before = _failed()
    async with (
        running_bridge(settings),
        registrar(settings.database_url, NAMING, Rules()) as writer,
    ):
        await writer.write(TENANT, town.changes())
        await writer.settled(seconds=240)
    assert _failed() == before
    for number in range(town.portals):
        room_id = await homeserver.resolve_alias(NAMING.alias(town.ref(number)))
        assert room_id is not None
        events = await homeserver.members(room_id, NAMING.bot, "join")
        joined = {msgspec.json.decode(event)["state_key"] for event in events}
        wanted = {NAMING.ghost(TENANT, one.user) for one in town.members_of(number)}
        assert joined == wanted | {NAMING.bot}


async def test_an_upgrade_is_followed(settings: Settings, synapse: SynapseProcess) -> None:
    tail = secrets.token_hex(3)
    ann, ref = UserSlug(f"ann-{tail}"), PortalRef(TENANT, PortalKind.GROUP, f"hikers-{tail}")
    settings.changes = {"rooms": {"version": "10"}}
    portal = Portal(ref, "", "Hikers", visibility=Visibility.PUBLIC)
    await asyncio.to_thread(synapse.register_user, f"eve-{tail}", "password")
    login = await asyncio.to_thread(synapse.login, f"eve-{tail}", "password")
    async with (
        running_bridge(settings),
        registrar(settings.database_url, NAMING, Rules()) as writer,
        connected(settings, synapse.base_url) as world,
    ):
        await writer.write(
            TENANT,
            [
                PutUser(User(TENANT, ann, None, "Ann", None)),
                PutPortal(portal),
                ReplaceMembers(ref, (Member(ann),)),
            ],
        )
        await writer.settled()
        old = await world.homeserver.resolve_alias(NAMING.alias(ref))
        assert old is not None
        eve = Homeserver(world.session, synapse.base_url, login.access_token)
        await eve.join(old, login.user_id)
        get = world.homeserver.get_state
        levels = await get(old, "m.room.power_levels", "", NAMING.bot) or {}
        users = {**levels["users"], login.user_id: 100}
        await world.homeserver.send_state(
            old, "m.room.power_levels", "", {**levels, "users": users}, NAMING.bot
        )
        new = await _upgrade(world.session, synapse, login.access_token, old)

        async def moved() -> bool:
            rows = await world.sql("SELECT room_id FROM portal WHERE slug = $1", ref.slug)
            assert [row["room_id"] for row in rows] == [new]
            await writer.settled()
            member = await get(new, "m.room.member", NAMING.ghost(TENANT, ann), NAMING.bot)
            return member is not None and member["membership"] == "join"

        await eventually(moved, "the portal and its members are in the new room")
        assert await world.homeserver.resolve_alias(NAMING.alias(ref)) == new
        renamed = replace(portal, name="Walkers")
        await writer.write(TENANT, [PutPortal(renamed)])
        await writer.settled()
        assert await get(new, "m.room.name", "", NAMING.bot) == {"name": "Walkers"}


async def _upgrade(
    session: aiohttp.ClientSession, synapse: SynapseProcess, token: str, room_id: str
) -> str:
    url = f"{synapse.base_url}/_matrix/client/v3/rooms/{room_id}/upgrade"
    headers = {"Authorization": f"Bearer {token}"}
    async with session.post(url, json={"new_version": "11"}, headers=headers) as answer:
        body = await answer.json()
        assert answer.status == 200, body
        return str(body["replacement_room"])


async def test_an_alias_makes_a_room(settings: Settings, synapse: SynapseProcess) -> None:
    tail = secrets.token_hex(3)
    ref = PortalRef(TENANT, PortalKind.GROUP, f"runners-{tail}")
    async with (
        running_bridge(settings),
        registrar(settings.database_url, NAMING, Rules(spaces=False)) as writer,
        connected(settings, synapse.base_url) as world,
    ):
        await writer.write(TENANT, [PutPortal(Portal(ref, "", "Runners"))])
        # Whether the job or the question comes first: who asks gets the room.
        room_id = await world.homeserver.resolve_alias(NAMING.alias(ref))
        rows = await world.sql("SELECT room_id FROM portal WHERE slug = $1", ref.slug)
        assert [row["room_id"] for row in rows] == [room_id]
        nothing = PortalRef(TENANT, PortalKind.GROUP, f"nobody-{tail}")
        assert await world.homeserver.resolve_alias(NAMING.alias(nothing)) is None
        await writer.settled()
