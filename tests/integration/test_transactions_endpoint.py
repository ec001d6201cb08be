"""The homeserver's side of a running bridge, without a homeserver: whatever may be sent to it."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import random
import string
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
import pytest_asyncio

from openmeet_bridge.core import events
from openmeet_bridge.core.relations import is_line
from openmeet_bridge.matrix import registration as registrations
from openmeet_bridge.matrix.registration import Registration

from ..support.bridge import HERE, Settings, running_bridge
from ..support.databases import Databases
from ..support.openmeet import Answer, Backend, User, call
from ..support.ports import free_port
from ..support.world import World, connected

DATA = Path(__file__).parent.parent / "data"
BASE = "/_matrix/app/v1"
NOWHERE = "http://127.0.0.1:1"
ROOM = "!7bU0c5b3m9Jq0Q3tqM0o9xE0f7pYVtq0l3eYd8Jw2aE"
MORNING = "$morningA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"
MIB = 1 << 20

Event = dict[str, Any]
_numbers = itertools.count(1)

in_module = pytest.mark.asyncio(loop_scope="module")


class Pushing:
    """The homeserver, as far as it pushes.

    Args:
        world: The bridge.
        token: The ``hs_token``.
    """

    def __init__(self, world: World, token: str) -> None:
        self.world = world
        self.url = f"http://127.0.0.1:{world.settings.transactions}"
        self.headers = {"Authorization": f"Bearer {token}"}

    async def ask(self, method: str, path: str, headers: dict[str, str] | None = None) -> Answer:
        """Makes a request without a body."""
        headers = self.headers if headers is None else headers
        return await call(self.world.session, method, self.url + path, headers=headers)

    async def raw(self, body: bytes, txn_id: str | None = None) -> Answer:
        """Pushes a body as it is."""
        url = f"{self.url}{BASE}/transactions/{txn_id or next(_numbers)}"
        async with self.world.session.put(
            url, data=io.BytesIO(body), headers=self.headers
        ) as answer:
            return Answer(answer.status, await answer.json())

    async def push(self, *events: Any, txn_id: str | None = None, **more: Any) -> Answer:
        """Pushes events."""
        return await self.raw(_json({"events": events, **more}), txn_id)

    async def kept(self, room_id: str = ROOM) -> list[str]:
        """The events of a room that are in the log, in the order of its timeline."""
        rows = await self.world.sql(
            "SELECT event_id FROM log WHERE room_id = $1 ORDER BY sort_key", room_id
        )
        return [row["event_id"] for row in rows]

    async def set_aside(self, txn_id: str = "") -> list[str]:
        """Why events were set aside, of one transaction or of all."""
        rows = await self.world.sql(
            "SELECT reason FROM quarantine WHERE $1 IN ('', txn_id) ORDER BY id", txn_id
        )
        return [row["reason"] for row in rows]


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _is_line(one: Event) -> bool:
    return is_line(msgspec.json.decode(_json(one), type=events.Event))


def sample(name: str) -> Event:
    """One of the recorded shapes."""
    return dict(json.loads((DATA / f"{name}.json").read_text()))


def event(**changes: Any) -> Event:
    """A message in a room of room version 12."""
    number = next(_numbers)
    made: Event = {
        "age": 3,
        "content": {"msgtype": "m.text", "body": f"message {number}"},
        "event_id": f"$event{number}",
        "origin_server_ts": 1_795_000_000_000 + number,
        "room_id": ROOM,
        "sender": "@om_here_alice:localhost",
        "type": "m.room.message",
        "unsigned": {"age": 3},
        "user_id": "@om_here_alice:localhost",
    }
    return {key: value for key, value in (made | changes).items() if value is not ...}


@asynccontextmanager
async def _pushing(
    folder: Path, database_url: str, registration_file: Path
) -> AsyncIterator[Pushing]:
    settings = Settings(folder, database_url, registration_file, NOWHERE, free_port())
    hs_token = registrations.load(registration_file, "localhost").hs_token
    async with running_bridge(settings), connected(settings, NOWHERE) as world:
        yield Pushing(world, hs_token)


@pytest.fixture
async def synapse_side(
    tmp_path: Path, database_url: str, registration_file: Path
) -> AsyncIterator[Pushing]:
    """A bridge that has kept nothing yet."""
    async with _pushing(tmp_path, database_url, registration_file) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(
    databases: Databases, registration_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Pushing]:
    """A bridge for tests whose events are in rooms of their own."""
    database_url = databases.create()
    folder = tmp_path_factory.mktemp("shared")
    async with _pushing(folder, database_url, registration_file) as made:
        yield made
    databases.drop(database_url)


@pytest.fixture
async def people(synapse_side: Pushing) -> tuple[User, User]:
    """Alice and Bob of the recorded shapes."""
    backend: Backend = synapse_side.world.here
    await backend.do("PUT", "/groups/early-birds", {"name": "Early birds"})
    alice = await backend.user("Alice", slug="alice")
    bob = await backend.user("Bob", slug="bob")
    for user in (alice, bob):
        await backend.do("PUT", f"/groups/early-birds/members/{user.slug}", {})
    return alice, bob


ROUTES = [
    ("PUT", f"{BASE}/transactions/1"),
    ("GET", f"{BASE}/users/%40om_bot%3Alocalhost"),
    ("GET", f"{BASE}/rooms/%23om_here_group_x%3Alocalhost"),
    ("POST", f"{BASE}/ping"),
    ("GET", f"{BASE}/thirdparty/protocol/irc"),
    ("GET", f"{BASE}/thirdparty/user/irc"),
    ("GET", f"{BASE}/thirdparty/location"),
]


@in_module
@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_the_token_is_asked_for(
    shared: Pushing, registration: Registration, method: str, path: str
) -> None:
    token, ask = registration.hs_token, shared.ask
    for missing in ({}, {"Authorization": token}, {"Authorization": f"Basic {token}"}):
        for query in ("", f"?access_token={token}"):
            answer = await ask(method, path + query, missing)
            assert (answer.status, answer.errcode) == (401, "M_MISSING_TOKEN")
    for wrong in (registration.as_token, token[:-1], token + "x", "é", HERE.service_key):
        answer = await ask(method, path, {"Authorization": f"Bearer {wrong}"})
        assert (answer.status, answer.errcode) == (403, "M_FORBIDDEN")


@in_module
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/_matrix/app/v1/rooms", 404),
        ("PUT", "/transactions/1", 404),
        ("GET", "/users/%40om_bot%3Alocalhost", 404),
        ("PUT", "/_matrix/app/v2/transactions/1", 404),
        ("GET", "/_matrix/app/v1/thirdparty/network/irc", 404),
        ("GET", "/api/v1/me", 404),
        ("POST", "/_matrix/app/v1/transactions/1", 405),
        ("GET", "/_matrix/app/v1/transactions/1", 405),
        ("DELETE", "/_matrix/app/v1/users/%40om_bot%3Alocalhost", 405),
        ("GET", "/_matrix/app/v1/ping", 405),
    ],
)
async def test_what_is_not_there_is_unrecognized(
    shared: Pushing, method: str, path: str, status: int
) -> None:
    answer = await shared.ask(method, path)
    assert (answer.status, answer.errcode) == (status, "M_UNRECOGNIZED")


@in_module
@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        (b"", "M_NOT_JSON"),
        (b"events", "M_NOT_JSON"),
        (b'{"events":[', "M_NOT_JSON"),
        (b"\xff\xfe", "M_NOT_JSON"),
        (b"[]", "M_BAD_JSON"),
        (b"{}", "M_BAD_JSON"),
        (b'{"events":{}}', "M_BAD_JSON"),
        (b'{"events":null}', "M_BAD_JSON"),
    ],
)
async def test_a_body_that_is_no_transaction(shared: Pushing, body: bytes, errcode: str) -> None:
    answer = await shared.raw(body)
    assert answer.status == 400
    assert answer.errcode in (errcode, "M_BAD_JSON" if body.startswith(b"{") else errcode)


async def test_large_bodies(synapse_side: Pushing) -> None:
    large = event(content={"msgtype": "m.text", "body": "x" * (20 * MIB)})
    assert await synapse_side.push(large, event()) == Answer(200, {})
    assert len(await synapse_side.kept()) == 2
    for chunked in (False, True):
        status = await _push_too_much(synapse_side, chunked=chunked)
        assert status == 413
    assert await synapse_side.push(event()) == Answer(200, {})
    assert len(await synapse_side.kept()) == 3


async def _push_too_much(synapse_side: Pushing, *, chunked: bool) -> int:
    """Sends more than 64 MiB with bare hands: a client that is answered midway may complain."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", synapse_side.world.settings.transactions
    )
    size = 64 * MIB + 1
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    head = f"PUT {BASE}/transactions/1 HTTP/1.1\r\nHost: x\r\n{length}\r\n"
    writer.write(
        head.encode() + f"Authorization: {synapse_side.headers['Authorization']}\r\n\r\n".encode()
    )
    answering = asyncio.create_task(reader.readline())
    try:
        for _ in range(size // MIB + 1):
            if answering.done():
                break
            writer.write(b"%x\r\n%b\r\n" % (MIB, b" " * MIB) if chunked else b" " * MIB)
            await writer.drain()
    except ConnectionError:
        pass
    line = await asyncio.wait_for(answering, 30)
    writer.close()
    return int(line.split()[1])


def _noise(size: int) -> str:
    """A text that no compression makes smaller."""
    return "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=size))


BAD: dict[str, Any] = {
    "no event id": event(event_id=...),
    "a number as event id": event(event_id=5),
    "an empty event id": event(event_id=""),
    "no type": event(type=...),
    "no sender": event(sender=...),
    "a list as sender": event(sender=["@om_here_alice:localhost"]),
    "no room": event(room_id=...),
    "no content": event(content=...),
    "null as content": event(content=None),
    "text as content": event(content="text"),
    "a number as state key": event(state_key=7),
    "no time": event(origin_server_ts=...),
    "text as time": event(origin_server_ts="now"),
    "a time beyond all time": event(origin_server_ts=1 << 63),
    "a time before all time": event(origin_server_ts=-(1 << 63) - 1),
    "half a second": event(origin_server_ts=0.5),
    "NUL in the event id": event(event_id="$nul\0"),
    "NUL in the room id": event(room_id=ROOM + "\0"),
    "NUL in the type": event(type="m.room\0message"),
    "NUL in the sender": event(sender="@om_here_alice\0:localhost"),
    "NUL in the state key": event(state_key="\0"),
    "half a pair in the type": event(type="\ud800"),
    "a very long type": event(type=_noise(3000)),
    "a very long state key": event(type="m.room.topic", state_key=_noise(60_000)),
    "a large one that cannot be read": event(event_id=5, content={"body": _noise(60_000)}),
    "endless nesting": event(content={"x": json.loads("[" * 900 + "]" * 900)}),
    "null": None,
    "a number": 3,
    "a list": [],
    "text": "event",
}


@in_module
@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
async def test_a_bad_event_is_set_aside_and_the_others_are_kept(shared: Pushing, bad: Any) -> None:
    before, after = event(), event()
    txn_id = before["event_id"].removeprefix("$")
    for _ in range(2):  # the second time as a retry
        assert await shared.push(before, bad, after, txn_id=txn_id) == Answer(200, {})
        kept = await shared.kept()
        at = kept.index(before["event_id"])
        reasons = await shared.set_aside(txn_id)
        if reasons:
            assert kept[at:] == [before["event_id"], after["event_id"]]
        else:  # read after all
            assert kept[at:] == [before["event_id"], bad["event_id"], after["event_id"]]
        assert len(reasons) <= 1
        assert all(reasons)


@in_module
@pytest.mark.parametrize(
    "odd",
    [
        event(origin_server_ts=0),
        event(origin_server_ts=-1),
        event(origin_server_ts=(1 << 63) - 1),
        event(content={"org.openmeet.txn_id": "nul\0"}),
        event(content={"org.openmeet.txn_id": _noise(60_000)}),
        event(content={"org.openmeet.txn_id": 7}),
        event(type="m.room.redaction", content={"redacts": "$nul\0"}),
        event(type="m.room.redaction", content={"redacts": _noise(60_000)}),
        event(type="m.room.redaction", content={"redacts": 7}, redacts="$other"),
        event(type="m.room.redaction", content={}),
        event(type="m.room.member", state_key="@x:y", content={"membership": "weird"}),
        event(
            type="m.room.member", state_key="@x:y", content={"membership": "join", "displayname": 3}
        ),
        event(
            type="m.room.member",
            state_key="@x:y",
            content={"membership": "join", "displayname": "nul\0" + _noise(60_000)},
        ),
        event(type="m.room.power_levels", state_key="", content={"users": [], "ban": "x"}),
        event(
            type="m.room.create",
            state_key="",
            sender="@om_bot:localhost",
            content={"org.openmeet.portal": 3},
        ),
        event(type="m.room.message", content={"m.relates_to": [], "msgtype": "m.replace"}),
        event(content={"body": "\0\u2028\U0001f600"}),
        event(room_id="!old:example.org", event_id="$old:example.org"),
        event(unsigned=...),
        event(unsigned={}),
    ],
    ids=lambda odd: json.dumps({key: odd[key] for key in ("type", "content")})[:60],
)
async def test_an_odd_event_is_kept(shared: Pushing, odd: Event) -> None:
    txn_id = odd["event_id"].strip("$")
    assert await shared.push(odd, txn_id=txn_id) == Answer(200, {})
    assert (await shared.kept(odd["room_id"]))[-1] == odd["event_id"]
    assert await shared.set_aside(txn_id) == []


async def test_duplicates(synapse_side: Pushing) -> None:
    events = [event() for _ in range(100)]
    ids = [one["event_id"] for one in events]
    assert await synapse_side.push(*events, *events, txn_id="1") == Answer(200, {})
    assert await synapse_side.push(*events, txn_id="1") == Answer(200, {})
    assert await synapse_side.push(*events, txn_id="2") == Answer(200, {})
    assert await synapse_side.kept() == ids
    # A homeserver on SQLite counts from 1 again after a restart.
    another = event()
    assert await synapse_side.push(another, txn_id="1") == Answer(200, {})
    assert await synapse_side.kept() == [*ids, another["event_id"]]


async def test_the_same_at_once(synapse_side: Pushing) -> None:
    events = [event() for _ in range(20)]
    pushes = (synapse_side.push(*events[start:]) for start in (0, 5, 10, 0))
    assert set(map(str, await asyncio.gather(*pushes))) == {str(Answer(200, {}))}
    assert sorted(await synapse_side.kept()) == sorted(one["event_id"] for one in events)


async def test_recorded_transactions(synapse_side: Pushing, people: tuple[User, User]) -> None:
    alice, bob = people
    setup, relations = sample("room_setup"), sample("relations")
    for _ in range(2):
        assert await synapse_side.raw(_json(setup)) == Answer(200, {})
    room = (await bob.rooms())[ROOM]
    assert (room["kind"], room["slug"], room["name"]) == ("group", "early-birds", "Early birds")
    assert (room["member_count"], room["unread_count"]) == (2, 1)
    members = (await alice.do("GET", f"/rooms/{quote(ROOM)}/members"))["members"]
    assert {one["slug"]: one["power_level"] for one in members} == {"alice": 50, "bob": 0}
    assert await synapse_side.raw(_json(relations)) == Answer(200, {})
    entries = {entry["event_id"]: entry for entry in await alice.timeline(ROOM)}
    lines = [one for one in setup["events"] + relations["events"] if _is_line(one)]
    assert list(entries) == [one["event_id"] for one in lines]
    for one in lines:
        entry = entries[one["event_id"]]
        assert entry["type"] == one["type"]
        assert entry["timestamp"] == one["origin_server_ts"]
        assert entry.get("state_key") == one.get("state_key")
        assert ("deletion" in entry) is ("wrong00" in one["event_id"])
    assert await bob.rooms() == {}
    assert (await bob.ask("GET", f"/rooms/{quote(ROOM)}")).status == 404
    assert await synapse_side.set_aside() == []


async def test_a_redaction_may_come_first(synapse_side: Pushing, people: tuple[User, User]) -> None:
    alice, _ = people
    await synapse_side.raw(_json(sample("room_setup")))
    target = event()
    redaction = event(type="m.room.redaction", content={"redacts": target["event_id"]})
    await synapse_side.push(redaction)
    await synapse_side.push(target)
    entry = next(one for one in await alice.timeline(ROOM) if one["event_id"] == target["event_id"])
    assert (entry["kind"], "deletion" in entry) == ("deleted", True)


async def test_what_the_homeserver_hides_stays_hidden(synapse_side: Pushing) -> None:
    hidden = event(unsigned={"io.element.synapse.soft_failed": True})
    assert await synapse_side.push(hidden) == Answer(200, {})
    assert await synapse_side.kept() == []


STABLE, UNSTABLE = "ephemeral", "de.sorunome.msc2409.ephemeral"


@pytest.mark.parametrize("names", [(STABLE, UNSTABLE), (STABLE,), (UNSTABLE,)])
async def test_ephemeral_events_count_once(
    synapse_side: Pushing, people: tuple[User, User], names: tuple[str, ...]
) -> None:
    alice, bob = people
    await synapse_side.raw(_json(sample("room_setup")))
    ephemeral = sample("ephemeral")
    heard = ephemeral.pop(STABLE)
    async with alice.stream() as stream, alice.socket() as socket:
        for one in (stream, socket):
            await one.wait("hello")
        body = _json(ephemeral | dict.fromkeys(names, heard))
        assert await synapse_side.raw(body) == Answer(200, {})
        await synapse_side.push(event(content={"msgtype": "m.text", "body": "last"}))
        for one in (stream, socket):
            await one.message("last")
            (typing,) = one.of("typing")
            assert [user["slug"] for user in typing.data["users"]] == ["bob"]
            (receipt,) = one.of("receipt")
            assert receipt.data["user"]["slug"] == "bob"
            assert receipt.data["event_id"] == MORNING
            assert receipt.data["timestamp"] == 1795000000500
    page = await bob.do("GET", f"/rooms/{quote(ROOM)}/timeline")
    # Who said something has read it; of those who only read, there is Bob.
    assert {(mark["user"]["slug"], mark["event_id"] == MORNING) for mark in page["receipts"]} == {
        *(("alice", False), ("bob", True))
    }


ODD_EPHEMERAL: list[Any] = [
    {"type": "m.typing", "room_id": ROOM, "content": {"user_ids": "bob"}},
    {"type": "m.typing", "room_id": ROOM, "content": {"user_ids": ["nul\0"]}},
    {"type": "m.typing", "room_id": ROOM + "\0", "content": {"user_ids": []}},
    {"type": "m.typing", "content": {"user_ids": []}},
    {"type": "m.receipt", "room_id": ROOM, "content": {"$nul\0": {"m.read": {"@a:b": {"ts": 1}}}}},
    {"type": "m.receipt", "room_id": ROOM, "content": {MORNING: {"m.read": {"nul\0": {"ts": 1}}}}},
    {
        "type": "m.receipt",
        "room_id": ROOM,
        "content": {MORNING: {"m.read": {"@a:b": {"ts": 1 << 70}}}},
    },
    {"type": "m.receipt", "room_id": ROOM, "content": {MORNING: {"m.read": []}}},
    {"type": "m.receipt", "room_id": ROOM, "content": []},
    {"type": "m.unknown", "room_id": ROOM, "content": {}},
    {"type": 5},
    None,
    "typing",
]


@pytest.mark.parametrize("odd", ODD_EPHEMERAL, ids=lambda odd: json.dumps(odd)[:60])
async def test_odd_ephemeral_events_cost_nothing(
    synapse_side: Pushing, people: tuple[User, User], odd: Any
) -> None:
    alice, _ = people
    await synapse_side.raw(_json(sample("room_setup")))
    good = {
        "type": "m.typing",
        "room_id": ROOM,
        "content": {"user_ids": ["@om_here_bob:localhost"]},
    }
    async with alice.stream() as stream:
        await stream.wait("hello")
        kept = event()
        for ephemeral in ([odd], [odd, good]):
            assert await synapse_side.push(kept, ephemeral=ephemeral) == Answer(200, {})
        await stream.message(kept["content"]["body"])
        assert kept["event_id"] in await synapse_side.kept()
        await stream.until(
            lambda one: any(frame.data["users"] for frame in one.of("typing")), "Bob typing"
        )


async def test_who_and_what_exists(synapse_side: Pushing, people: tuple[User, User]) -> None:
    async def ask(what: str, name: str) -> Answer:
        return await synapse_side.ask("GET", f"{BASE}/{what}/{quote(name, safe='')}")

    there = Answer(200, {})
    assert await ask("users", people[0].mxid) == there
    assert await ask("users", "@om_bot:localhost") == there
    for what, name in (
        ("users", "@om_here_nobody:localhost"),
        ("users", "@om_there_alice:localhost"),
        ("users", "@om_here_alice:example.org"),
        ("users", "@om_here_=61lice:localhost"),
        ("users", "@om_here_=00:localhost"),
        ("users", "nonsense"),
        ("users", "\0"),
        ("rooms", "#om_here_group_nothing:localhost"),
        ("rooms", "#om_here_meetup_early-birds:localhost"),
        ("rooms", "#om_here_group_early-birds:example.org"),
        ("rooms", "\0"),
    ):
        answer = await ask(what, name)
        assert (answer.status, answer.errcode) == (404, "M_NOT_FOUND"), name
    await synapse_side.world.here.do("DELETE", "/groups/early-birds")
    assert (await ask("rooms", "#om_here_group_early-birds:localhost")).status == 404


async def test_third_parties(synapse_side: Pushing) -> None:
    answer = await synapse_side.ask("GET", f"{BASE}/thirdparty/protocol/irc")
    assert (answer.status, answer.errcode) == (404, "M_NOT_FOUND")
    for path in ("user/irc", "location/irc", "user?userid=%40a%3Ab", "location?alias=%23a%3Ab"):
        assert await synapse_side.ask("GET", f"{BASE}/thirdparty/{path}") == Answer(200, [])


async def test_a_ping_is_remembered(synapse_side: Pushing) -> None:
    world = synapse_side.world

    async def ping(body: bytes) -> int:
        url = synapse_side.url + BASE + "/ping"
        async with world.session.post(url, data=body, headers=synapse_side.headers) as answer:
            assert await answer.json() == {}
            return answer.status

    async def seen(transaction_id: str) -> bool:
        url = f"{world.settings.operations_url}/internal/pings/{transaction_id}"
        return bool((await call(world.session, "GET", url)).body["seen"])

    for body in (b'{"transaction_id":"mine"}', b"", b"{}", b"[]", b"nonsense", b"\xff"):
        assert await ping(body) == 200
    assert await seen("mine")
    assert not await seen("somebodys")
