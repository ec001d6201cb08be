"""Accounts in OpenMeet's database: sessions, roles, and the one column that is written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from openmeet_bridge.bridge.id_writing import IdWriting
from openmeet_bridge.core.directory import User
from openmeet_bridge.core.errors import NotFound, Unavailable
from openmeet_bridge.core.ids import Mxid, TenantId, UserSlug
from openmeet_bridge.openmeet.accounts import MatrixIds, Named, OpenMeetAccounts
from openmeet_bridge.openmeet.schema import UnusableSchema
from openmeet_bridge.storage import directory as stored
from openmeet_bridge.storage import ghosts
from openmeet_bridge.storage.database import Database

from ..support.databases import Databases
from ..support.openmeet_database import OpenMeet
from ..support.openmeet_site import Site

LAKE = TenantId("lake-1_x")
SCHEMA = '"tenant_lake-1_x"'
READER = "accounts_reader"
# As the guide has it: nothing else.
GRANTS = f"""
    CREATE ROLE {READER};
    ALTER ROLE {READER} SET default_transaction_read_only = on;
    GRANT USAGE ON SCHEMA {SCHEMA} TO {READER};
    GRANT SELECT ON {SCHEMA}."groups", {SCHEMA}."groupMembers", {SCHEMA}."groupRoles",
        {SCHEMA}."events", {SCHEMA}."eventAttendees", {SCHEMA}."eventRoles" TO {READER};
    GRANT SELECT ("id", "slug", "firstName", "lastName", "photoId", "statusId", "matrixUserId",
        "isShadowAccount", "createdAt", "updatedAt", "deletedAt") ON {SCHEMA}."users" TO {READER};
"""
MORE_GRANTS = f"""
    GRANT SELECT ("id", "userId") ON {SCHEMA}."sessions" TO {READER};
    GRANT SELECT ("roleId") ON {SCHEMA}."users" TO {READER};
    GRANT SELECT ON {SCHEMA}."roles" TO {READER};
    GRANT UPDATE ("matrixUserId") ON {SCHEMA}."users" TO {READER};
"""


@dataclass
class World:
    site: Site
    accounts: OpenMeetAccounts
    ids: MatrixIds


@pytest.fixture
async def world(databases: Databases) -> AsyncIterator[World]:
    dsn = databases.create_empty()
    meet = await OpenMeet.build(dsn, [LAKE], rows=False)
    site = meet.site(LAKE)
    await site._connection.execute(GRANTS)
    reader = f"{dsn}&role={READER}"
    accounts, ids = OpenMeetAccounts(reader, {LAKE}), MatrixIds(reader, {LAKE})
    yield World(site, accounts, ids)
    await accounts.close()
    await ids.close()
    await site.do(f"DROP OWNED BY {READER}")
    await site.do(f"DROP ROLE {READER}")
    await meet.close()
    databases.drop(dsn)


async def test_what_is_not_granted_is_said_and_then_read(world: World) -> None:
    site, accounts, ids = world.site, world.accounts, world.ids
    ann = await site.register("ann-x1", "Ann")
    session = await site.log_in(ann)
    for ask, words in (
        (accounts.has_session(LAKE, session, ann), "jwt.tenant_claim: session.*'sessions'"),
        (accounts.role(LAKE, ann), "roles of users.*'roleId'"),
        (ids.check(LAKE), "may not update"),
        (ids.write(LAKE, [Named(ann, UserSlug("ann-x1"), Mxid("@a:b"))]), "permission denied"),
    ):
        with pytest.raises(UnusableSchema, match=words):
            await ask
    await site._connection.execute(MORE_GRANTS)
    assert await accounts.has_session(LAKE, session, ann)
    assert not await accounts.has_session(LAKE, session, ann + 1)
    assert not await accounts.has_session(LAKE, session + 1, ann)
    await site.do('UPDATE "sessions" SET "deletedAt" = now()')
    assert await accounts.has_session(LAKE, session, ann), "logging out stamps the wrong rows"
    assert await accounts.role(LAKE, ann) == "user"
    await site.set_role(ann, "admin")
    assert await accounts.role(LAKE, ann) == "admin"
    assert await accounts.role(LAKE, ann + 1) is None
    await site.delete_user(ann)
    assert await accounts.role(LAKE, ann) is None
    await ids.check(LAKE)
    with pytest.raises(NotFound):
        await accounts.role(TenantId("sea"), 1)
    away = OpenMeetAccounts("postgresql://nobody@127.0.0.1:1/none", {LAKE}, patience=1)
    with pytest.raises(Unavailable):
        await away.has_session(LAKE, 1, 1)
    await away.close()


async def test_only_what_is_empty_is_written(
    world: World, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openmeet_bridge.bridge.id_writing._BATCH", 2)
    site = world.site
    await site._connection.execute(MORE_GRANTS)
    before = {
        "empty": None,
        "blank": "",
        "spaces": " \t\n ",
        "theirs": "@theirs:elsewhere.org",
        "nonsense": "nonsense",
        "unmade": None,
        "unknown": None,
        "renamed": None,
    }
    numbers = {name: await site.register(name, mxid=mxid) for name, mxid in before.items()}
    deleted = await site.register("deleted")
    await site.delete_user(deleted)
    rows = 'SELECT "slug", "matrixUserId", "updatedAt", "preferences" FROM "users" ORDER BY "id"'
    was: list[Any] = [dict(row) for row in await site.rows(rows)]
    database = Database(database_url)
    async with database.connection() as connection:
        for name, number in {**numbers, "deleted": deleted}.items():
            if name == "unknown":
                continue
            slug = UserSlug("another" if name == "renamed" else name)
            await stored.put_user(connection, User(LAKE, slug, number, name, None))
            await ghosts.ensure(connection, mxid(slug), LAKE, slug)
            if name != "unmade":
                await ghosts.mark_registered(connection, mxid(slug))
    writing = IdWriting(database, world.ids, [LAKE])
    assert await writing.fill(LAKE) == 3
    assert await writing.fill(LAKE) == 0
    written = {name: mxid(name) for name in ("empty", "blank", "spaces")}
    assert [dict(row) for row in await site.rows(rows)] == [
        {**row, "matrixUserId": written.get(row["slug"], row["matrixUserId"])} for row in was
    ]
    await writing.one(LAKE, numbers["unmade"], UserSlug("unmade"), Mxid("@now:made"))
    await writing.one(LAKE, numbers["theirs"], UserSlug("theirs"), Mxid("@now:made"))
    await site.do(f'REVOKE UPDATE ("matrixUserId") ON {SCHEMA}."users" FROM {READER}')
    await writing.one(LAKE, numbers["unknown"], UserSlug("unknown"), Mxid("@not:granted"))
    found = {row["slug"]: row["matrixUserId"] for row in await site.rows(rows)}
    assert found["unmade"] == "@now:made"
    assert (found["theirs"], found["unknown"]) == ("@theirs:elsewhere.org", None)
    await database.close()


def mxid(slug: str) -> Mxid:
    return Mxid(f"@om_lake_{slug}:test")
