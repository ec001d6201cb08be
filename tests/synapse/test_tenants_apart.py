"""Two sites on one bridge, with people and groups of the same names: neither finds the other.

Every route of the public listener is tried by somebody from the other site, with every kind of
credentials that they can have. A route that is not in the table below fails the first test.
"""

from __future__ import annotations

import importlib
import pkgutil
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import msgspec
import pytest
import pytest_asyncio

from openmeet_bridge import api
from openmeet_bridge.api import openapi
from openmeet_bridge.api.endpoint import Endpoint
from openmeet_bridge.core.naming import direct_pair
from openmeet_bridge.demo.synapse import SynapseProcess

from ..support.bridge import HERE, THERE, Settings, Site, running_bridge
from ..support.databases import Databases
from ..support.openmeet import Answer, User, call, message_path
from ..support.streams import Stream, sse, websocket
from ..support.waiting import eventually
from ..support.world import World, connected

pytestmark = [pytest.mark.synapse, pytest.mark.asyncio(loop_scope="module")]

Route = tuple[str, str]
Json = Mapping[str, Any]

SECRET = "sesame"
_ROOM = "/api/v1/rooms/{room_id}"
_ENTRY = _ROOM + "/entries/{event_id}"
_TENANT = "/api/integration/v1/tenants/{tenant}"

OF_ONE_ROOM: dict[Route, Json | None] = {
    ("GET", _ROOM): None,
    ("GET", _ROOM + "/members"): None,
    ("GET", _ROOM + "/timeline"): None,
    ("PUT", _ROOM + "/messages/{client_txn_id}"): {"body": "from over there"},
    ("GET", _ROOM + "/messages/{client_txn_id}"): None,
    ("DELETE", _ROOM + "/messages/{client_txn_id}"): None,
    ("GET", _ENTRY): None,
    ("DELETE", _ENTRY): None,
    ("GET", _ENTRY + "/versions"): None,
    ("GET", _ENTRY + "/reactions"): None,
    ("GET", _ENTRY + "/readers"): None,
    ("PUT", _ENTRY + "/reactions/{key}"): None,
    ("DELETE", _ENTRY + "/reactions/{key}"): None,
    ("PUT", _ENTRY + "/edits/{client_txn_id}"): {"body": "changed from over there"},
    ("PUT", _ROOM + "/unread"): {"unread": True},
    ("POST", _ROOM + "/read"): {"event_id": "{event_id}"},
    ("PUT", _ROOM + "/typing"): {"typing": True},
    ("GET", _ROOM + "/presence"): None,
}
"""Routes of a user about a room: of a room of the other site there is nothing to find."""

OF_ONESELF: dict[Route, Json | None] = {
    ("GET", "/api/v1/me"): None,
    ("GET", "/api/v1/me/preferences"): None,
    ("PUT", "/api/v1/me/preferences"): {"presence": True, "receipts": True},
    ("PUT", "/api/v1/presence"): {"state": "online"},
    ("GET", "/api/v1/rooms"): None,
    ("GET", "/api/v1/unread"): None,
    ("POST", "/api/v1/stream/tickets"): None,
}
"""Routes of a user about themselves: they answer, and of nobody else."""

STREAMS: dict[Route, Json | None] = {("GET", "/api/v1/stream"): None, ("GET", "/api/v1/ws"): None}

OF_A_BACKEND: dict[Route, Json | None] = {
    ("PUT", _TENANT + "/users/{user}"): {"name": "Changed from over there"},
    ("DELETE", _TENANT + "/users/{user}"): None,
    ("GET", _TENANT + "/users/{user}/status"): None,
    ("POST", _TENANT + "/users/{user}/rename"): {"to": "renamed-from-over-there"},
    ("POST", _TENANT + "/users/{user}/sign-out"): None,
    ("PUT", _TENANT + "/users/{user}/blocks/{other}"): None,
    ("DELETE", _TENANT + "/users/{user}/blocks/{other}"): None,
    ("GET", _TENANT + "/users/{user}/blocks"): None,
    ("POST", _TENANT + "/users/{user}/erase"): None,
    ("GET", _TENANT + "/users/{user}/erasure"): None,
    ("PUT", _TENANT + "/groups/{slug}"): {"name": "Changed from over there"},
    ("PUT", _TENANT + "/meetups/{slug}"): {"name": "Changed from over there"},
    ("DELETE", _TENANT + "/{kind}/{slug}"): None,
    ("POST", _TENANT + "/{kind}/{slug}/rename"): {"to": "renamed-from-over-there"},
    ("GET", _TENANT + "/{kind}/{slug}/status"): None,
    ("PUT", _TENANT + "/{kind}/{slug}/members"): {"members": []},
    ("GET", _TENANT + "/{kind}/{slug}/members"): None,
    ("PUT", _TENANT + "/{kind}/{slug}/members/{user}"): {"role": "owner"},
    ("DELETE", _TENANT + "/{kind}/{slug}/members/{user}"): None,
    ("PUT", _TENANT + "/direct-chats/{first}/{second}"): None,
    ("DELETE", _TENANT + "/direct-chats/{first}/{second}"): None,
    ("GET", _TENANT + "/direct-chats/{first}/{second}/status"): None,
    ("POST", _TENANT + "/batch"): {"changes": [{"op": "delete_user", "slug": "{user}"}]},
    ("PUT", _TENANT + "/snapshot"): {"users": [], "groups": [], "meetups": []},
    ("GET", _TENANT + "/status"): None,
    ("GET", _TENANT + "/jobs"): None,
    ("POST", _TENANT + "/events"): {"event": "user.updated", "payload": {"id": 1}},
}

FOR_ANYBODY: dict[Route, Json | None] = {
    ("POST", "/api/v1/session"): {"token": "{token}"},
    ("DELETE", "/api/v1/session"): None,
    ("GET", "/api/v1/openapi.json"): None,
    ("GET", "/api/v1/docs"): None,
}

DEMONSTRATION: dict[Route, Json | None] = {("GET", "/api/v1/demo"): None}
"""Not there, unless the configuration says that the bridge is one."""

_STATE = [
    *(
        f"SELECT * FROM {table} WHERE room_id = ANY($1::text[]) ORDER BY 1, 2"  # noqa: S608
        for table in (
            *("log", "relation", "mention", "room_member", "room_state", "read_mark"),
            *("unread_flag", "portal", "outbox"),
        )
    ),
    "SELECT * FROM directory_user WHERE tenant = 'here' ORDER BY slug",
    "SELECT * FROM directory_portal WHERE tenant = 'here' ORDER BY kind, slug",
    "SELECT * FROM directory_member WHERE tenant = 'here' ORDER BY kind, slug, user_slug",
    "SELECT kind, slug, wanted FROM job WHERE tenant = 'here' ORDER BY kind, slug",
]
"""All that is kept of this site, in its rooms and in its directory; its jobs come last."""

ALL = OF_ONE_ROOM | OF_ONESELF | STREAMS | OF_A_BACKEND | FOR_ANYBODY | DEMONSTRATION


def _tables() -> Iterator[Endpoint]:
    for module in pkgutil.iter_modules(api.__path__):
        yield from getattr(
            importlib.import_module(f"{api.__name__}.{module.name}"), "ENDPOINTS", ()
        )


@dataclass
class Stage:
    """Both sites, and what of the one the other would like to find.

    Attributes:
        world: The bridge.
        alice: Of this site.
        bob: Of this site.
        mallory: Of the other site, with Alice's slug and Alice's number.
        names: What of this site stands for each placeholder of a route.
        own_room: Mallory's own room.
        rooms: The rooms of this site.
    """

    world: World
    alice: User
    bob: User
    mallory: User
    names: dict[str, str]
    own_room: str
    rooms: list[str]

    @property
    def marks(self) -> list[str]:
        """What no answer to anybody of the other site may hold."""
        return [SECRET, "@om_here_", self.names["room_id"], self.names["event_id"]]

    def path(self, template: str) -> str:
        """A route's path with the names of this site."""
        for name, value in self.names.items():
            template = template.replace(f"{{{name}}}", quote(value, safe=""))
        return template

    def body(self, template: Json | None) -> Json | None:
        """A route's body with the names of this site."""
        if template is None:
            return None
        return {
            key: self.names.get(value[1:-1], value) if isinstance(value, str) else value
            for key, value in template.items()
        }

    async def attempt(
        self, route: Route, headers: Mapping[str, str], params: Mapping[str, str] = {}
    ) -> Answer:
        """Tries a route with somebody's credentials; whatever is answered tells nothing."""
        method, template = route
        answer = await call(
            self.world.session,
            method,
            self.world.settings.api_url + self.path(template),
            headers=headers,
            body=self.body(ALL[route]),
            params=params,
        )
        self.check_silent(answer.body)
        return answer

    def check_silent(self, text: object) -> None:
        """Checks that something says nothing of this site."""
        said = msgspec.json.encode(text).decode()
        assert not [mark for mark in self.marks if mark in said], said

    @asynccontextmanager
    async def unchanged(self) -> AsyncIterator[None]:
        """Checks that the block changes nothing of this site."""
        before = await self._state()
        yield
        assert await self._state() == before

    async def _state(self) -> list[list[asyncpg.Record]]:
        *state, jobs = [
            await self.world.sql(statement, *([self.rooms] if "$1" in statement else []))
            for statement in _STATE
        ]
        # Direct chats of an earlier test, which Synapse could not deliver before, name strangers.
        chats = await self.world.sql(
            "SELECT slug FROM portal WHERE kind = 'direct' AND room_id <> ALL($1::text[])",
            self.rooms,
        )
        strangers = {("user", slug) for chat in chats for slug in direct_pair(chat["slug"])}
        return [*state, [job for job in jobs if (job["kind"], job["slug"]) not in strangers]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(
    databases: Databases,
    registration_file: Path,
    session_synapse: SynapseProcess,
    bridge_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Stage]:
    url, database_url = session_synapse.base_url, databases.create()
    folder = tmp_path_factory.mktemp("tenants")
    settings = Settings(folder, database_url, registration_file, url, bridge_port)
    async with running_bridge(settings), connected(settings, url) as world:
        yield await _set(world)
    databases.drop(database_url)


async def _set(world: World) -> Stage:
    slug = f"open-{secrets.token_hex(4)}"
    alice = await world.here.user(f"Alice {SECRET}", slug=f"alice-{secrets.token_hex(3)}")
    bob = await world.here.user(f"Bob {SECRET}", slug=f"bob-{secrets.token_hex(3)}")
    mallory = User(world.session, world.settings, THERE, alice.number, alice.slug, "Mallory")
    await world.there.do("PUT", f"/users/{mallory.slug}", {"id": alice.number, "name": "Mallory"})
    room_id = await world.here.group(slug, [alice, bob])
    own_room = await world.there.group(slug, [mallory])
    direct = await world.here.direct(alice, bob)
    event_id = (await alice.send(room_id, f"open {SECRET}", "my-own-id"))["event_id"]
    await mallory.send(own_room, "nobody is here")
    names = {
        "tenant": HERE.id,
        "room_id": room_id,
        "event_id": event_id,
        "client_txn_id": "my-own-id",
        "key": "👍",
        "user": alice.slug,
        "other": bob.slug,
        "kind": "groups",
        "slug": slug,
        "first": alice.slug,
        "second": bob.slug,
        "token": mallory.headers()["Authorization"].partition(" ")[2],
    }
    stage = Stage(world, alice, bob, mallory, names, own_room, [room_id, direct])

    async def read() -> bool:
        return bool(await alice.bodies(room_id))

    await eventually(read, "what was said is in the log")
    return stage


def wrong_credentials(stage: Stage) -> list[tuple[dict[str, str], dict[str, str]]]:
    """Headers and query of requests with which somebody of the other site claims this one."""
    token = stage.mallory.headers()["Authorization"]
    cookie = {"Cookie": f"openmeet_token={token.partition(' ')[2]}", "X-Requested-With": "openmeet"}
    crossed = Site(HERE.id, "", THERE.secret, "").token(stage.alice.number, stage.alice.slug)
    here = {"X-Tenant-Id": str(HERE.id)}
    return [
        ({"Authorization": token} | here, {}),
        ({"Authorization": token}, {"tenantId": HERE.id}),
        (cookie | here, {}),
        (cookie, {"tenantId": HERE.id}),
        ({"Authorization": f"Bearer {crossed}"} | here, {}),
        ({"Authorization": f"Bearer {crossed}"}, {}),
        ({"Authorization": f"Bearer {THERE.service_key}"} | here, {}),
        ({"Authorization": f"Bearer {THERE.service_key}"}, {}),
        (here, {}),
    ]


async def test_every_route_is_tried() -> None:
    documented = {
        (method.upper(), path)
        for path, operations in openapi.assemble()["paths"].items()
        for method in operations
    }
    known = {(endpoint.method, endpoint.template) for endpoint in _tables()}
    assert set(ALL) == known
    assert set(ALL) - set(DEMONSTRATION) == documented


@pytest.mark.parametrize("route", OF_ONE_ROOM, ids=" ".join)
async def test_a_room_of_the_other_site_is_not_there(stage: Stage, route: Route) -> None:
    async with stage.unchanged():
        answer = await stage.attempt(route, stage.mallory.headers())
    assert (answer.status, answer.errcode) == (404, "M_NOT_FOUND")


@pytest.mark.parametrize("place", ["around", "before", "after"])
async def test_an_event_of_the_other_site_is_not_there(stage: Stage, place: str) -> None:
    """In a room of one's own, with ids and orders of the other site."""
    entries = await stage.alice.timeline(stage.names["room_id"])
    value = stage.names["event_id"] if place == "around" else entries[-1]["order"]
    path = f"/rooms/{quote(stage.own_room)}"
    answer = await stage.mallory.ask("GET", f"{path}/timeline", params={place: value})
    assert answer.status == (404 if place == "around" else 200)
    stage.check_silent(answer.body)
    async with stage.unchanged():
        body = {"event_id": stage.names["event_id"]}
        assert (await stage.mallory.ask("POST", f"{path}/read", body)).status == 404
        where = f"{path}/messages/{stage.names['client_txn_id']}"
        assert (await stage.mallory.ask("GET", where)).status == 404


@pytest.mark.parametrize("route", OF_ONESELF, ids=" ".join)
async def test_everybody_is_themselves(stage: Stage, route: Route) -> None:
    answer = await stage.attempt(route, stage.mallory.headers())
    assert answer.status == 200
    if route == ("GET", "/api/v1/me"):
        assert answer.body["user"]["mxid"] == stage.mallory.mxid
        assert answer.body["tenant"]["id"] == THERE.id
    if route == ("GET", "/api/v1/rooms"):
        assert [room["room_id"] for room in answer.body["rooms"]] == [stage.own_room]


@pytest.mark.parametrize("route", OF_ONE_ROOM | OF_ONESELF | STREAMS, ids=" ".join)
async def test_nobody_comes_in_with_credentials_of_the_other_site(
    stage: Stage, route: Route
) -> None:
    async with stage.unchanged():
        for headers, params in wrong_credentials(stage):
            answer = await stage.attempt(route, headers, params)
            assert answer.status == 401, (headers, params)
            assert answer.errcode in ("M_UNKNOWN_TOKEN", "M_MISSING_TOKEN")


@pytest.mark.parametrize("route", OF_A_BACKEND, ids=" ".join)
async def test_a_backend_writes_on_its_own_site_only(stage: Stage, route: Route) -> None:
    bearers = [
        THERE.service_key,
        stage.names["token"],
        # Not even this site's own people are its backend.
        stage.alice.headers()["Authorization"].partition(" ")[2],
        "",
    ]
    async with stage.unchanged():
        for bearer in bearers:
            for named in ({}, {"X-Tenant-Id": THERE.id}):
                headers = {"Authorization": f"Bearer {bearer}"} | named
                answer = await stage.attempt(route, headers, {"tenantId": THERE.id})
                assert answer.status == 401
                assert answer.errcode in ("M_UNKNOWN_TOKEN", "M_MISSING_TOKEN")


async def test_a_backend_sees_nothing_of_the_other_site(stage: Stage) -> None:
    bob, alice = stage.bob.slug, stage.alice.slug
    for path in (
        f"/users/{bob}",
        f"/direct-chats/{alice}/{bob}",
        f"/meetups/{stage.names['slug']}",
    ):
        answer = await stage.world.there.ask("GET", f"{path}/status")
        assert (answer.status, answer.errcode) == (404, "M_NOT_FOUND")
        stage.check_silent(answer.body)
    path = f"/groups/{stage.names['slug']}"
    answer = await stage.world.there.ask("GET", f"{path}/status")
    assert answer.body["room_id"] == stage.own_room
    # Bob is nobody on the other site, so he cannot become a member there.
    answer = await stage.world.there.ask("PUT", f"{path}/members/{bob}", {"role": "member"})
    assert (answer.status, answer.errcode) == (404, "M_NOT_FOUND")


@pytest.mark.parametrize("route", FOR_ANYBODY | DEMONSTRATION, ids=" ".join)
async def test_what_anybody_may_see_says_nothing(stage: Stage, route: Route) -> None:
    async with stage.unchanged():
        answer = await stage.attempt(route, {"X-Tenant-Id": HERE.id})
    if route == ("POST", "/api/v1/session"):
        assert answer.status == 401
    elif route in DEMONSTRATION:
        assert answer.status == 404
    else:
        assert answer.status == 200


@asynccontextmanager
async def _open(
    stage: Stage, route: Route, headers: Mapping[str, str], params: Mapping[str, str]
) -> AsyncIterator[Stream]:
    opener = sse if route == ("GET", "/api/v1/stream") else websocket
    url = stage.world.settings.api_url
    async with opener(stage.world.session, url, headers=headers, params=params) as stream:
        yield stream


@pytest.mark.parametrize("route", STREAMS, ids=" ".join)
async def test_a_stream_shows_its_own_site_only(stage: Stage, route: Route) -> None:
    """Whatever is claimed beside good credentials: another site's place, or the site itself."""
    world, mallory = stage.world, stage.mallory

    async def ticket() -> str:
        return str((await mallory.do("POST", "/stream/tickets"))["ticket"])

    async with stage.alice.stream() as alices:
        cursor = (await alices.wait("hello")).data["cursor"]
    beginning = cursor.rpartition("-")[0] + "-0"
    claims: list[tuple[dict[str, str], dict[str, str]]] = [
        (mallory.headers(), {"cursor": beginning}),
        (mallory.headers() | {"Last-Event-ID": beginning}, {}),
        ({}, {"ticket": await ticket(), "cursor": beginning}),
        ({"X-Tenant-Id": HERE.id}, {"ticket": await ticket(), "cursor": beginning}),
        ({}, {"ticket": await ticket(), "tenantId": HERE.id}),
    ]
    for number, (headers, params) in enumerate(claims):
        async with stage.alice.stream() as here, _open(stage, route, headers, params) as there:
            await here.wait("hello")
            assert (await there.wait("hello")).data["user"]["mxid"] == mallory.mxid
            room_id, own = stage.names["room_id"], f"own {route[1]} {number}"
            path = f"/rooms/{quote(room_id)}"
            for typing in (True, False):
                await stage.bob.do("PUT", f"{path}/typing", {"typing": typing})
            said = await stage.bob.send(room_id, f"{SECRET} {number}")
            await here.message(f"{SECRET} {number}")
            await stage.alice.do("POST", f"{path}/read", {"event_id": said["event_id"]})
            await here.wait("typing", room_id=room_id)
            await here.wait("receipt", event_id=said["event_id"])
            await mallory.send(stage.own_room, own)
            await there.message(own)
            for frame in there.frames:
                stage.check_silent(frame.data)
            assert {entry["room_id"] for entry in there.entries()} == {stage.own_room}
            assert own not in here.bodies()
    spent = await ticket()
    async with _open(stage, route, {}, {"ticket": spent}) as stream:
        await stream.wait("hello")
    async with _open(stage, route, {}, {"ticket": spent}) as stream:
        assert stream.status == 401
    await world.sql("DELETE FROM stream_ticket")


async def test_an_intruder_is_not_heard(stage: Stage) -> None:
    async with stage.alice.stream() as stream:
        await stream.wait("hello")
        for route in OF_ONE_ROOM:
            await stage.attempt(route, stage.mallory.headers())
        path = message_path(stage.names["room_id"])
        assert (await stage.bob.do("PUT", path, {"body": "all quiet"}))["status"] == "sent"
        await stream.message("all quiet")
        assert stream.bodies() == ["all quiet"]
        assert {frame.type for frame in stream.frames} <= {"hello", "timeline", "heartbeat"}
