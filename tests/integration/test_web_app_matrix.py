"""OpenMeet's web app comes to a bridge that reads OpenMeet's database: who it is, where it may be.

The tokens are those of OpenMeet's earlier versions: they name no tenant, and both tenants sign with
the same secret.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from jose import jwt

from openmeet_bridge.bridge.arrivals import Arrivals
from openmeet_bridge.bridge.comparison import Comparison, Schedule
from openmeet_bridge.bridge.roster import Roster
from openmeet_bridge.core.directory import User
from openmeet_bridge.core.errors import Forbidden, NotFound, Unavailable
from openmeet_bridge.core.ids import PortalKind, PortalRef, TenantId, UserSlug
from openmeet_bridge.core.rules import Rules
from openmeet_bridge.openmeet.database import OpenMeetDatabase
from openmeet_bridge.storage import directory as stored
from openmeet_bridge.storage.database import Database

from ..support.bridge import HERE, THERE
from ..support.databases import Databases
from ..support.fault_proxy import refuse
from ..support.openmeet import Answer, call
from ..support.openmeet_database import OpenMeet
from ..support.openmeet_site import Site
from ..support.simulated_world import SimulatedWorld, simulated_world
from ..support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "one secret for all sites, as OpenMeet has it"
US, THEM = TenantId(HERE.id), TenantId(THERE.id)
Json = dict[str, Any]


@dataclass
class Person:
    """A user of OpenMeet with the web app."""

    world: World
    number: int
    slug: str
    session: int
    tenant: TenantId

    @property
    def token(self) -> str:
        now = int(time.time())
        claims = {"id": self.number, "role": {"id": 2}, "sessionId": self.session, "iat": now}
        return str(jwt.encode({**claims, "exp": now + 900}, SECRET, "HS256"))

    @property
    def mxid(self) -> str:
        return f"@om_{self.tenant}_{self.slug}:localhost"

    async def ask(
        self, method: str, path: str, body: Json | None = None, tenant: str | None = None
    ) -> Answer:
        headers = {
            "Authorization": f"Bearer {self.token}",
            "X-Tenant-ID": self.tenant if tenant is None else tenant,
        }
        url = f"{self.world.simulated.settings.api_url}{path}"
        return await call(self.world.http, method, url, headers=headers, body=body)

    async def post(self, path: str, body: Json | None = None) -> Any:
        answer = await self.ask("POST", path, body)
        assert answer.status in (200, 201), answer
        return answer.body

    async def known(self) -> User:
        """Makes the bridge hear of them; returns what it knows."""
        assert (await self.ask("GET", "/api/v1/me")).status == 200
        async with self.world.database.connection() as connection:
            user = await stored.user(connection, self.tenant, UserSlug(self.slug))
        assert user is not None
        return user


@dataclass
class World:
    """A bridge, a homeserver with an administrator, and OpenMeet."""

    simulated: SimulatedWorld
    meet: OpenMeet
    openmeet_dsn: str
    database: Database
    http: aiohttp.ClientSession

    @property
    def site(self) -> Site:
        return self.meet.site(US)

    async def person(self, name: str, tenant: TenantId = US) -> Person:
        """Registers somebody at OpenMeet, and logs them in; the bridge does not hear of it."""
        site = self.meet.site(tenant)
        number = await site.register(f"{name}-x1", name.title(), "Lee")
        return Person(self, number, f"{name}-x1", await site.log_in(number), tenant)

    async def column(self, person: Person) -> tuple[str | None, Any]:
        """What OpenMeet's database has of somebody's Matrix id, and when the row changed."""
        rows = await self.meet.site(person.tenant).rows(
            'SELECT "matrixUserId", "updatedAt" FROM "users" WHERE "id" = $1', person.number
        )
        return tuple(rows[0])

    def arrivals(self, source: OpenMeetDatabase | None, *, patience: float = 10.0) -> Arrivals:
        """Arrivals on the bridge's database, which OpenMeet tells nothing else meanwhile."""
        wake = lambda: None  # noqa: E731  (the bridge looks every 0.1 s)
        directory = self.simulated.registrar.directory
        tenants = [US]
        comparison = None
        if source is not None:
            schedule = Schedule(3600, 3600)
            comparison = Comparison(
                self.database,
                directory,
                source,
                tenants,
                schedule=schedule,
                max_removals=0.2,
                wake=wake,
            )
        roster = Roster(self.database, lambda _: Rules())
        # No ghost is made here: the bridge does that.
        ghosts: Any = None
        return Arrivals(
            self.database, ghosts, roster, comparison, wake, patience, rest=0.1, forget=0.2
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """One world for all tests of this module; each has its own people."""
    theirs = databases.create_empty()
    meet = await OpenMeet.build(theirs, [US, THEM], rows=False)
    jwt_block = {"algorithm": "HS256", "secret": SECRET, "tenant_claim": "session"}
    token = "the token of an administrator"
    blocks: dict[str, dict[str, Any]] = {
        # Nothing is compared by itself.
        "openmeet": {"database": theirs, "interval": 3600, "write_matrix_user_id": True},
        "homeserver": {"admin_token": token},
        "web_app": {"endpoint": "https://chat.example.org"},
    }
    folder: Path = tmp_path_factory.mktemp("bridge")
    ours = databases.create()
    async with (
        simulated_world(
            folder,
            ours,
            blocks=blocks,
            of_tenant={
                tenant: {"jwt": jwt_block, "site_url": "https://meet.example.org"}
                for tenant in (US, THEM)
            },
        ) as simulated,
        aiohttp.ClientSession() as http,
    ):
        simulated.homeserver.appoint(token)
        database = Database(ours)
        await _compared(database)
        yield World(simulated, meet, theirs, database, http)
        await database.close()
    await meet.close()
    databases.drop(theirs)


async def _compared(database: Database) -> None:
    """Wait for the bridge's first look at an OpenMeet that is still empty."""

    async def looked() -> bool:
        async with database.connection() as connection:
            heads = [await stored.head(connection, tenant) for tenant in (US, THEM)]
        return all(head.compared_at is not None for head in heads)

    await eventually(looked, "the first comparison")


# Who comes


async def test_somebody_new_is_known_at_once(world: World) -> None:
    ann = await world.person("ann")
    first, *_ = answers = await asyncio.gather(*(ann.ask("GET", "/api/v1/me") for _ in range(5)))
    assert {answer.status for answer in answers} == {200}, answers
    assert first.body["user"]["slug"] == ann.slug
    async with world.database.connection() as connection:
        user = await stored.user(connection, ann.tenant, UserSlug(ann.slug))
    assert user is not None
    assert (user.name, user.openmeet_id, user.mxid) == ("Ann Lee", ann.number, ann.mxid)


async def test_nobody_comes_whom_openmeet_does_not_have(world: World) -> None:
    gone = await world.person("gone")
    await world.site.delete_user(gone.number)
    idle = await world.person("idle")
    await world.site.set_status(idle.number, active=False)
    for one in (gone, idle):
        assert (await one.ask("GET", "/api/v1/me")).status == 401


async def test_a_token_is_of_the_tenant_that_has_its_session(world: World) -> None:
    ben = await world.person("ben")
    others = await world.person("other", THEM)
    for number in (ben.number, others.number):  # the same numbers elsewhere are somebody's, too
        await world.meet.site(THEM).do(
            'INSERT INTO "users" ("id", "slug") VALUES ($1, $2) ON CONFLICT DO NOTHING',
            number,
            f"namesake-{number}",
        )
    assert (await ben.ask("GET", "/api/v1/me")).status == 200
    elsewhere = await ben.ask("GET", "/api/v1/me", tenant=THERE.id)
    assert (elsewhere.status, elsewhere.errcode) == (401, "M_UNKNOWN_TOKEN")
    ben.session += 1000
    assert (await ben.ask("POST", "/api/matrix/websocket-info")).body["message"] == "Invalid token"
    # Logging out ends, at OpenMeet, sessions of others: it says nothing.
    ben.session -= 1000
    await world.site.do('UPDATE "sessions" SET "deletedAt" = now() WHERE "id" = $1', ben.session)
    assert (await ben.ask("GET", "/api/v1/me")).status == 200


# The app's own calls


async def test_provisioning_is_repeatable_and_told_to_openmeet(world: World) -> None:
    cid = await world.person("cid")
    await world.site.do('UPDATE "users" SET "matrixUserId" = $2 WHERE "id" = $1', cid.number, " \t")
    _, changed = await world.column(cid)
    made = await cid.post("/api/matrix/provision-user")
    # The bridge's own job for somebody new may have been quicker.
    assert made | {"provisioned": True} == {
        "matrixUserId": cid.mxid,
        "provisioned": True,
        "success": True,
    }
    assert await world.column(cid) == (cid.mxid, changed)
    assert cid.mxid in world.simulated.homeserver.users
    again = await cid.post("/api/matrix/provision-user")
    assert again == {"matrixUserId": cid.mxid, "provisioned": False, "success": True}


async def test_what_openmeet_has_is_never_overwritten(world: World) -> None:
    dan = await world.person("dan")
    theirs = "@dan:elsewhere.org"
    await world.site.do(
        'UPDATE "users" SET "matrixUserId" = $2 WHERE "id" = $1', dan.number, theirs
    )
    await dan.post("/api/matrix/provision-user")
    assert (await world.column(dan))[0] == theirs


async def test_a_homeserver_that_is_away_keeps_nobody_out(world: World) -> None:
    lea = await world.person("lea")
    proxy = world.simulated.proxy
    rule, proxy.rule = proxy.rule, refuse
    try:
        made = await lea.post("/api/matrix/provision-user")
        refused = await lea.ask("POST", "/api/matrix/set-password", {"password": "long enough"})
    finally:
        proxy.rule = rule
    assert made == {"matrixUserId": lea.mxid, "provisioned": False, "success": True}
    assert refused.status == 503
    assert (await world.column(lea))[0] is None, "nobody is told of a user who does not exist"

    async def written() -> bool:
        await lea.post("/api/matrix/provision-user")
        return (await world.column(lea))[0] == lea.mxid

    await eventually(written, "the user is made, and OpenMeet told")


async def test_where_the_socket_is(world: World) -> None:
    eve = await world.person("eve")
    assert await eve.post("/api/matrix/websocket-info") == {
        "endpoint": "https://chat.example.org",
        "authenticated": True,
        "matrixUserId": eve.mxid,
    }


async def test_the_placeholder_and_what_is_never_given(world: World) -> None:
    fay = await world.person("fay")
    token = await fay.post("/api/matrix/token")
    assert token["accessToken"].startswith("placeholder-")
    assert token["expiresIn"] == 3_600_000
    refused = await fay.ask("POST", "/api/matrix/test-broadcast", {"roomId": "!a", "message": "b"})
    assert refused.status == 403


async def test_a_password_for_other_clients(world: World) -> None:
    gil = await world.person("gil")
    short = await gil.ask("POST", "/api/matrix/set-password", {"password": "short"})
    told = {"password": "must have at least 8 characters"}
    assert (short.status, short.body["errors"]) == (422, told)
    body = await gil.post("/api/matrix/set-password", {"password": "long enough", "more": 1})
    assert body["success"] is True
    assert "any Matrix client" in body["message"]
    homeserver = world.simulated.homeserver
    assert homeserver.passwords[gil.mxid] == "long enough"
    admins, homeserver.admins = homeserver.admins, set()
    refused = await gil.ask("POST", "/api/matrix/set-password", {"password": "long enough"})
    homeserver.admins = admins
    assert refused.status == 403
    assert "You are not a server admin" in refused.body["message"]


# Where they may be


async def test_somebody_who_has_just_joined_is_let_in(world: World) -> None:
    hal, ivy = await world.person("hal"), await world.person("ivy")
    walk = await world.site.create_event("walk", "Walk", hal.number)
    ref = PortalRef(hal.tenant, PortalKind.MEETUP, "walk")
    source = OpenMeetDatabase(world.openmeet_dsn, {hal.tenant: None}, patience=10)
    arrivals = world.arrivals(source)
    host, guest = await hal.known(), await ivy.known()
    room_id = await arrivals.room(host, ref)
    assert room_id == world.simulated.room(ref).room_id
    for status, words in (
        (None, "do not attend"),
        ("pending", "waiting for approval"),
        ("cancelled", "cancelled"),
        ("maybe", "maybe"),
    ):
        if status is not None:
            await world.site.attend(walk, ivy.number, status)
        with pytest.raises(Forbidden, match=words):
            await arrivals.room(guest, ref)
    await world.site.attend(walk, ivy.number, "confirmed")
    assert await asyncio.gather(*(arrivals.room(guest, ref) for _ in range(3))) == [room_id] * 3
    typing = {"isTyping": True}
    for name in (room_id, "walk", "!event_walk:localhost"):
        assert await ivy.post(f"/api/matrix/{name}/typing", typing) == {"success": True}
    stranger = await world.person("jan")
    for name in (room_id, "walk", "!nowhere", "no%00where"):
        refused = await stranger.ask("POST", f"/api/matrix/{name}/typing", typing)
        assert refused.status in (403, 422), refused
    with pytest.raises(NotFound, match="Event with slug stroll not found"):
        await arrivals.room(guest, ref._replace(slug="stroll"))
    with pytest.raises(NotFound, match="Group with slug walk not found"):
        await arrivals.room(guest, ref._replace(kind=PortalKind.GROUP))
    await source.close()


async def test_what_cannot_be_known_now_is_no_refusal(world: World) -> None:
    kim, lou = await world.person("kim"), await world.person("lou")
    group = await world.site.create_group("readers", "Readers", kim.number)
    ref = PortalRef(kim.tenant, PortalKind.GROUP, "readers")
    member = await lou.known()
    away = OpenMeetDatabase("postgresql://nobody@127.0.0.1:1/none", {kim.tenant: None}, patience=1)
    with pytest.raises(Unavailable, match="try again") as caught:
        await world.arrivals(away).room(member, ref)
    assert "127.0.0.1" not in caught.value.message
    await away.close()
    alone = world.arrivals(None)
    assert await alone.user(kim.tenant, 10_000) is None
    with pytest.raises(NotFound):
        await alone.room(member, ref)
    source = OpenMeetDatabase(world.openmeet_dsn, {kim.tenant: None}, patience=10)
    arrivals = world.arrivals(source)
    await world.site.add_member(group, lou.number, "guest")
    with pytest.raises(Forbidden, match="waiting for approval"):
        await arrivals.room(member, ref)
    await world.site.set_group_role(group, lou.number, "member")
    hurried = world.arrivals(source, patience=0.05)
    with pytest.raises(Unavailable, match="being prepared"):
        await hurried.room(member, ref)
    assert await arrivals.room(member, ref) == world.simulated.room(ref).room_id
    await source.close()


# Administrators


async def test_an_administrator_has_a_room_closed_and_made_anew(world: World) -> None:
    mia, ned = await world.person("mia"), await world.person("ned")
    group = await world.site.create_group("singers", "Singers", mia.number)
    await world.site.add_member(group, ned.number, "member")
    path = "/api/chat/admin/group/singers/chatroom"
    refused = await mia.ask("POST", path)
    assert (refused.status, refused.body["message"]) == (403, "Only administrators may do this.")
    await world.site.set_role(mia.number, "admin")  # the token says nothing of it
    made = await mia.ask("POST", path)
    ref = PortalRef(mia.tenant, PortalKind.GROUP, "singers")
    assert made.status == 201, made
    first = made.body["roomId"]
    assert (made.body["success"], first) == (True, world.simulated.room(ref).room_id)
    await world.simulated.registrar.settled()
    closed = await mia.ask("DELETE", path)
    assert (closed.status, closed.body["success"]) == (200, True), closed
    assert "removed from the homeserver" in closed.body["message"]
    rooms = world.simulated.homeserver.rooms
    assert first not in rooms.rooms
    second = (await mia.post(path))["roomId"]
    assert second != first
    await world.simulated.registrar.settled()
    room = world.simulated.room(ref)
    assert room.room_id == second
    assert {room.membership(one.mxid) for one in (mia, ned)} == {"join"}
    for kind, slug in (("event", "singers"), ("group", "nobody-sings")):
        for method in ("POST", "DELETE"):
            answer = await mia.ask(method, f"/api/chat/admin/{kind}/{slug}/chatroom")
            text = f"{kind.capitalize()} with slug {slug} not found"
            assert (answer.status, answer.body["message"]) == (404, text)
