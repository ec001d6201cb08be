"""Tokens that name no tenant: bound to the one whose database has their session."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from openmeet_bridge.bridge.openmeet_sessions import BAD, GOOD, STALE, SessionVerifier
from openmeet_bridge.core.errors import Unavailable, UnknownToken
from openmeet_bridge.core.ids import TenantId, UserSlug
from openmeet_bridge.openmeet.tenants import KeySettings, Tenant
from openmeet_bridge.openmeet.tokens import Claims

from ..support.clock import Clock

LAKE = TenantId("lake")
BOUND = Tenant(LAKE, "Lake", KeySettings("HS256", tenant_claim_required=False, by_session=True))
NAMELESS = Claims(LAKE, 7, UserSlug("ann"), None, 0, names_tenant=False, session=3)


class Table:
    """OpenMeet's sessions."""

    def __init__(self) -> None:
        self.sessions = {(LAKE, 3, 7)}
        self.away = False
        self.asked = 0

    async def has_session(self, tenant: TenantId, session: int, user: int) -> bool:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("connect to 10.0.0.1 refused")
        return (tenant, session, user) in self.sessions


class Signed:
    """Finds every token good, and says of it what it is told to."""

    claims = NAMELESS

    async def verify(self, token: str, tenant: Tenant) -> Claims:
        return self.claims


class Stage:
    """A verifier with its surroundings."""

    def __init__(self) -> None:
        self.clock, self.table, self.signed = Clock(), Table(), Signed()
        self.verifier = SessionVerifier(self.signed, self.table, self.clock)

    async def verify(self, tenant: Tenant = BOUND) -> Claims:
        return await self.verifier.verify("token", tenant)

    async def refused(self) -> None:
        with pytest.raises(UnknownToken, match="not valid"):
            await self.verify()


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_a_session_is_asked_for_once_a_minute(stage: Stage) -> None:
    answers = await asyncio.gather(*(stage.verify() for _ in range(5)))
    assert answers == [NAMELESS] * 5
    stage.clock.wait(GOOD - 1)
    await stage.verify()
    assert stage.table.asked == 1
    stage.clock.wait(2)
    stage.table.sessions.clear()
    await stage.refused()
    stage.table.sessions.add((LAKE, 3, 7))
    await stage.refused()
    assert stage.table.asked == 2
    stage.clock.wait(BAD)
    await stage.verify()


async def test_the_numbers_must_fit_and_be_there(stage: Stage) -> None:
    for change in ({"session": 4}, {"user_id": 8}, {"tenant": TenantId("sea")}, {"session": None}):
        stage.signed.claims = replace(NAMELESS, **change)
        await stage.refused()


async def test_a_token_that_names_its_tenant_needs_none(stage: Stage) -> None:
    stage.signed.claims = replace(NAMELESS, names_tenant=True, session=None)
    await stage.verify()
    stage.signed.claims = NAMELESS
    await stage.verify(Tenant(LAKE, "Lake", KeySettings("HS256", tenant_claim_required=False)))
    assert stage.table.asked == 0


async def test_what_was_good_stays_good_for_a_while(stage: Stage) -> None:
    stage.table.away = True
    with pytest.raises(Unavailable) as caught:
        await stage.verify()
    assert "10.0.0.1" not in caught.value.message
    stage.table.away = False
    await stage.verify()
    stage.table.away = True
    stage.clock.wait(GOOD + 1)
    for _ in range(3):
        await stage.verify()
    assert stage.table.asked == 3, "who is away is not asked by everybody"
    stage.clock.wait(STALE - GOOD)
    with pytest.raises(Unavailable):
        await stage.verify()
    stage.table.away = False
    await stage.verify()
