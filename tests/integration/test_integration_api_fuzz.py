"""Whatever OpenMeet's backend sends, the bridge answers with a good reason, never with a 500."""

from __future__ import annotations

import copy
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from ..support.bridge import Settings, running_bridge
from ..support.databases import Databases
from ..support.openmeet import Answer
from ..support.ports import free_port
from ..support.world import World, connected

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOWHERE = "http://127.0.0.1:1"
ROUNDS = 400
USER: dict[str, Any] = {
    "name": "Ann",
    "id": 1,
    "avatar_url": "https://x.example/a",
    "active": True,
    "matrix_user_id": "@om_here_ann:localhost",
}
MEETUP: dict[str, Any] = {
    "name": "Walk",
    "id": 7,
    "topic": "Up",
    "visibility": "public",
    "status": "published",
    "starts_at": "2026-05-01T18:30:00+02:00",
    "ends_at": None,
    "group": "g",
}
MEMBERS: list[Any] = [{"user": "ann", "role": "owner", "status": "confirmed"}]
SNAPSHOT: dict[str, Any] = {
    "users": [USER | {"slug": "ann"}],
    "groups": [{"slug": "g", "name": "G", "members": MEMBERS}],
    "meetups": [MEETUP | {"slug": "m", "members": MEMBERS}],
    "directs": [],
}
BATCH: dict[str, Any] = {
    "changes": [
        {"op": "put_user", "slug": "ann"} | USER,
        {"op": "put_meetup", "slug": "m"} | MEETUP,
        {"op": "put_member", "kind": "meetup", "slug": "m", "user": "ann"},
        {"op": "replace_members", "kind": "meetup", "slug": "m", "members": MEMBERS},
        {"op": "rename", "kind": "meetup", "slug": "m", "to": "m2"},
        {"op": "put_direct", "first": "ann", "second": "ben"},
    ]
}
ROUTES: list[tuple[str, str, Any]] = [
    ("PUT", "/users/{}", USER),
    ("POST", "/users/{}/rename", {"to": "ben"}),
    ("DELETE", "/users/{}", None),
    ("GET", "/users/{}/status", None),
    ("PUT", "/users/{}/blocks/{}", None),
    ("GET", "/users/{}/blocks", None),
    ("GET", "/users/{}/erasure", None),
    ("PUT", "/groups/{}", {"name": "G", "visibility": "private"}),
    ("PUT", "/meetups/{}", MEETUP),
    ("POST", "/meetups/{}/rename", {"to": "m"}),
    ("DELETE", "/meetups/{}", None),
    ("PUT", "/meetups/{}/members", {"members": MEMBERS}),
    ("GET", "/meetups/{}/members", None),
    ("PUT", "/meetups/{}/members/{}", MEMBERS[0]),
    ("PUT", "/direct-chats/{}/{}", None),
    ("POST", "/batch", BATCH),
    ("PUT", "/snapshot", SNAPSHOT),
    ("GET", "/jobs", None),
]
TEXTS = [
    "",
    "\0",
    "a\0b",
    ".",
    "..",
    "/",
    "%",
    "%2F",
    "ann",
    "ben",
    "m",
    "x" * 255,
    "x" * 256,
    "ü" * 90,
    "\u202eevil\u200b",
    "😀" * 20,
    "a@b.example",
    "' OR 1=1 --",
    "2026-13-45T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "1969-12-31T23:59:59.123456789Z",
    "public",
    "banned",
]
VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    2**31,
    2**63 - 1,
    2**63,
    2**70,
    1e300,
    [],
    {},
    [[[[]]]],
    {"a": {"b": None}},
    *TEXTS,
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(
    databases: Databases, registration_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    settings = Settings(
        tmp_path_factory.mktemp("bridge"),
        databases.create(),
        registration_file,
        NOWHERE,
        free_port(),
        {"logging": {"level": "error"}},
    )
    async with running_bridge(settings), connected(settings, NOWHERE) as world:
        yield world


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place inside a JSON value."""
    yield path
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value if isinstance(value, list) else ())
    )
    for key, one in inner:
        yield from places(one, (*path, key))


def spoilt(body: Any, chance: random.Random) -> Any:
    """A body with something in one or two places that does not belong there."""
    body = copy.deepcopy(body)
    for _ in range(chance.randrange(1, 3)):
        inside = [path for path in places(body) if path]
        if not inside:
            break
        *above, last = chance.choice(inside)
        there = body
        for key in above:
            there = there[key]
        if chance.random() < 0.1:
            del there[last]
            continue
        there[last] = copy.deepcopy(chance.choice(VALUES))
        if isinstance(there, dict) and chance.random() < 0.1:
            there[chance.choice(TEXTS)] = 1
    return body


def check(answer: Answer, said: object) -> None:
    """Checks that a refusal tells what is wrong."""
    assert answer.status < 500, (said, answer)
    if answer.status in (400, 409, 413) and answer.errcode != "M_NOT_JSON":
        assert answer.body["error"], said
        if answer.status == 400:
            assert answer.body["fields"], (said, answer)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: " ".join(route[:2]))
async def test_nothing_breaks_it(world: World, route: tuple[str, str, Any]) -> None:
    method, template, body = route
    chance = random.Random(f"{method} {template}")
    for _ in range(ROUNDS // len(ROUTES)):
        names = [quote(chance.choice(TEXTS[8:]), safe="") for _ in range(2)]
        path = template.format(*names)
        params = {}
        if chance.random() < 0.3:
            name = chance.choice(["dry_run", "if_revision", "state", "after", "limit", "x"])
            params[name] = str(chance.choice(VALUES))
        sent = None if body is None else spoilt(body, chance)
        answer = await world.here.ask(method, path, sent, params)
        check(answer, (method, path, params, sent))
    assert (await world.here.ask("GET", "/status")).status == 200
