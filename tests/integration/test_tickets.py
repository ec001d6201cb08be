"""Tickets: good once, for a moment, for one user; and users behind tokens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from openmeet_bridge.bridge.identity import Identity
from openmeet_bridge.core.directory import User
from openmeet_bridge.core.ids import TenantId, UserSlug
from openmeet_bridge.storage import directory, tickets
from openmeet_bridge.storage.database import Database
from openmeet_bridge.storage.tickets import Ticket

LAKE, SEA = TenantId("lake"), TenantId("sea")
ANN = User(LAKE, UserSlug("ann"), 7, "Ann", None)
BEN = User(LAKE, UserSlug("ben"), None, "Ben", None)
SEA_ANN = User(SEA, UserSlug("ann"), 8, "Another Ann", None)
TICKET = Ticket(LAKE, UserSlug("ann"), 5)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    made = Database(database_url)
    async with made.transaction() as connection:
        for user in (ANN, BEN, SEA_ANN):
            await directory.put_user(connection, user)
    yield made
    await made.close()


@pytest.fixture
def identity(database: Database) -> Identity:
    return Identity(database, ticket_lifetime=600.0)


async def test_a_ticket_is_good_once(identity: Identity) -> None:
    secret = await identity.issue_ticket(ANN, 123)
    assert await identity.spend_ticket(secret) == (ANN, 123)
    assert await identity.spend_ticket(secret) is None


async def test_two_who_spend_at_once_are_not_both_let_in(identity: Identity) -> None:
    secret = await identity.issue_ticket(ANN, 123)
    results = await asyncio.gather(*(identity.spend_ticket(secret) for _ in range(5)))
    assert sum(one is not None for one in results) == 1


async def test_tickets_are_hard_to_guess(identity: Identity) -> None:
    secrets = {await identity.issue_ticket(ANN, 1) for _ in range(5)}
    assert len(secrets) == 5
    assert min(map(len, secrets)) >= 43


@pytest.mark.parametrize("secret", ["", "unknown", "\x00", "\ud800", "x" * 100_000])
async def test_what_is_no_ticket(identity: Identity, secret: str) -> None:
    assert await identity.spend_ticket(secret) is None


async def test_an_expired_ticket(database: Database, identity: Identity) -> None:
    async with database.transaction() as connection:
        await tickets.put(connection, "old", TICKET, -1.0)
    assert await identity.spend_ticket("old") is None


async def test_expired_tickets_are_dropped_and_secrets_not_kept(database: Database) -> None:
    async with database.connection() as connection:
        await tickets.put(connection, "old", TICKET, -1.0)
        await tickets.put(connection, "new", TICKET, 600.0)
        rows = await connection.fetch("SELECT digest FROM stream_ticket")
        assert len(rows) == 1
        assert b"new" not in rows[0]["digest"]
        assert await tickets.spend(connection, "new") == TICKET


async def test_a_ticket_of_somebody_who_is_gone(database: Database, identity: Identity) -> None:
    secret = await identity.issue_ticket(ANN, 123)
    async with database.transaction() as connection:
        await directory.delete_user(connection, LAKE, ANN.slug)
    assert await identity.spend_ticket(secret) is None


@pytest.mark.parametrize(
    ("tenant", "number", "slug", "found"),
    [
        (LAKE, 7, None, ANN),
        (LAKE, 7, "ann", ANN),
        (LAKE, 7, "ben", None),
        (LAKE, 8, None, None),
        (LAKE, 8, "ann", None),
        (LAKE, 8, "ben", BEN),
        (LAKE, 8, "nobody", None),
        (SEA, 7, "ann", None),
        (SEA, 8, "ann", SEA_ANN),
    ],
)
async def test_number_and_slug_must_fit(
    identity: Identity, tenant: TenantId, number: int, slug: str | None, found: User | None
) -> None:
    assert await identity.user(tenant, number, slug) == found


async def test_the_users_of_a_tenant(identity: Identity) -> None:
    assert await identity.users(LAKE, 10) == [ANN, BEN]
    assert await identity.users(LAKE, 1) == [ANN]
    assert await identity.users(TenantId("nowhere"), 10) == []
