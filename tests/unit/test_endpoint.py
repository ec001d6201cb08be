"""The declarative edge: what a handler is given, and what a bad request is told."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from openmeet_bridge.api.decoding import explain
from openmeet_bridge.api.endpoint import Call, Endpoints, Reply, register
from openmeet_bridge.api.middleware import install
from openmeet_bridge.core.errors import BridgeError, MissingToken, NotFound

LIMIT = 64 * 1024
ENDPOINTS = Endpoints(tag="Things")
PLAIN = Endpoints(tag="Plain", auth="none")


class ThingPath(msgspec.Struct):
    thing_id: Annotated[str, msgspec.Meta(max_length=20)]


class ThingQuery(msgspec.Struct):
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50
    before: str | None = None
    deep: bool = False
    kinds: list[str] = []


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    size: int


class NewThing(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    inner: list[Inner] = []
    extra: dict[str, Any] = {}


class Thing(msgspec.Struct):
    caller: str
    thing_id: str
    said: str
    limit: int = 0


class ThingsApi:
    """A surface with a service."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    @ENDPOINTS.get("/things/{thing_id}", errors=(NotFound,))
    async def thing(self, call: Call[str, ThingPath, ThingQuery, None]) -> Thing:
        """One thing.

        Told in full.

        Raises:
            NotFound: There is none.
        """
        if call.path.thing_id == "none":
            raise NotFound("There is no such thing.")
        said = f"{call.query.before} {call.query.deep} {','.join(call.query.kinds)}"
        return Thing(call.caller, self._prefix + call.path.thing_id, said, call.query.limit)

    @ENDPOINTS.put("/things/{thing_id}", success={200: "Made.", 202: "Later.", 201: "Cookie."})
    async def make_thing(self, call: Call[str, ThingPath, None, NewThing]) -> Thing | Reply[Thing]:
        """Makes a thing."""
        thing = Thing(call.caller, call.path.thing_id, call.body.text)
        if call.body.text == "cookie":
            return Reply(201, thing, (("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")))
        statuses = {"later": 202, "undocumented": 299}
        return Reply(statuses.get(call.body.text, 200), thing)

    @ENDPOINTS.delete("/things/{thing_id:[a-z]+}")
    async def drop_thing(self, call: Call[str, ThingPath, None, None]) -> None:
        """Drops a thing."""


@PLAIN.post("/plain", success={201: "Made."})
async def plain(call: Call[None, None, None, NewThing]) -> Reply[None]:
    """A plain function."""
    assert call.caller is None
    return Reply(201, None)


@PLAIN.get("/raw", produces="text/plain", summary="S", description="D", name="rawest", tag="T")
async def raw(call: Call[None, None, None, None]) -> web.Response:
    """Overridden."""
    return web.Response(text=call.request.path)


async def authenticate(request: web.Request) -> str:
    if not (caller := request.headers.get("Authorization")):
        raise MissingToken("Who are you?")
    return caller


Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    app = web.Application(client_max_size=1)
    install(app)
    register(app, ENDPOINTS, {"user": authenticate}, surface=ThingsApi("x-"), body_limit=LIMIT)
    register(app, PLAIN, {})
    headers = {"Authorization": "ann"}
    async with TestClient(TestServer(app), headers=headers) as made:
        yield made


async def get(client: Client, path: str) -> tuple[int, Any]:
    async with client.get(path) as answer:
        return answer.status, await answer.json()


async def put(client: Client, data: Any, **headers: str) -> tuple[int, Any]:
    sent = {"Content-Type": "application/json", **headers}
    async with client.put("/things/a", data=data, headers=sent) as answer:
        return answer.status, await answer.json()


async def test_a_handler_gets_typed_parts_and_its_service(client: Client) -> None:
    assert await get(client, "/things/a%2Fb") == (
        200,
        {"caller": "ann", "thing_id": "x-a/b", "said": "None False ", "limit": 50},
    )
    status, body = await get(client, "/things/a?limit=7&before=null&deep=true&kinds=a&kinds=b&x=1")
    assert (status, body["said"], body["limit"]) == (200, "null True a,b", 7)


async def test_answers_are_not_to_be_cached(client: Client) -> None:
    async with client.get("/things/a") as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.content_type == "application/json"


async def test_errors_of_the_handler(client: Client) -> None:
    status, body = await get(client, "/things/none")
    assert (status, body) == (404, {"errcode": "M_NOT_FOUND", "error": "There is no such thing."})


async def test_a_stranger_learns_nothing_of_the_request(client: Client) -> None:
    async with client.get("/things/a?limit=x", headers={"Authorization": ""}) as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert (await answer.json())["errcode"] == "M_MISSING_TOKEN"


@pytest.mark.parametrize(
    ("path", "field", "says"),
    [
        ("/things/a?limit=x", "query.limit", "Expected `int`"),
        ("/things/a?limit=", "query.limit", "Expected `int`"),
        ("/things/a?limit=0", "query.limit", ">= 1"),
        ("/things/a?limit=201", "query.limit", "<= 200"),
        ("/things/a?deep=perhaps", "query.deep", "bool"),
        ("/things/a?limit=1&limit=2", "query.limit", "more than once"),
        ("/things/a?before=%00", "query.before", "NUL"),
        ("/things/a?kinds=b&kinds=%00", "query.kinds[1]", "NUL"),
        ("/things/" + "a" * 21, "path.thing_id", "length <= 20"),
        ("/things/a%00", "path.thing_id", "NUL"),
        ("/things/a%ED%A0%80", "path.thing_id", "UTF-8"),
        ("/things/%C3%A9%25%FF", "path.thing_id", "UTF-8"),
    ],
)
async def test_parameters_are_named(client: Client, path: str, field: str, says: str) -> None:
    status, body = await get(client, path)
    assert (status, body["errcode"]) == (400, "M_INVALID_PARAM")
    assert list(body["fields"]) == [field]
    assert says in body["fields"][field]


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (b'{"text": 1}', {"body.text": "Expected `str`, got `int`"}),
        (b'{"text": null}', {"body.text": "Expected `str`, got `null`"}),
        (b"{}", {"body.text": "is required"}),
        (b"[]", {"body": "Expected `object`, got `array`"}),
        (b"null", {"body": "Expected `object`, got `null`"}),
        (b'{"text": "a", "b": 1}', {"body.b": "is not a known field"}),
        (
            b'{"text": "a", "inner": [{"size": 1}, {"size": "x"}]}',
            {"body.inner[1].size": "Expected `int`, got `str`"},
        ),
        (b'{"text": "a", "inner": [{}]}', {"body.inner[0].size": "is required"}),
        (
            b'{"text": "a", "inner": [{"size": 1, "z": 2}]}',
            {"body.inner[0].z": "is not a known field"},
        ),
    ],
)
async def test_fields_of_the_body_are_named(
    client: Client, data: bytes, fields: dict[str, str]
) -> None:
    status, body = await put(client, data)
    assert (status, body["errcode"], body["fields"]) == (400, "M_BAD_JSON", fields)


@pytest.mark.parametrize(
    ("data", "places"),
    [
        (b'{"text": "a\\u0000"}', ["body.text"]),
        (b'{"text": "a", "extra": {"k": ["x", "\\u0000"]}}', ["body.extra.k[1]"]),
        (b'{"text": "a", "extra": {"\\u0000": 1}}', ["body.extra"]),
        (b'{"text": "\\ud800"}', ["body.text"]),
        (b'{"text": "a", "extra": {"\\udfff": "\\uDC00"}}', ["body.extra.?", "body.extra"]),
    ],
)
async def test_text_that_cannot_be_stored(client: Client, data: bytes, places: list[str]) -> None:
    status, body = await put(client, data)
    assert (status, list(body["fields"])) == (400, places)


async def test_a_backslash_before_u0000_is_text(client: Client) -> None:
    assert (await put(client, b'{"text": "\\\\u0000"}'))[0] == 200


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff",
        b'{"text": "\xff"}',
        b'{"text": "\\ud83d\\ude00"',
        b'{"text": "a"} x',
        b"text=a",
        b'{"text": "a", "extra": {"a": ' + b"[" * 20_000 + b"]" * 20_000 + b"}}",
    ],
)
async def test_what_is_not_json(client: Client, data: bytes) -> None:
    status, body = await put(client, data)
    assert (status, body["errcode"]) == (400, "M_NOT_JSON")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "x/json"])
async def test_media_types_of_forms_are_refused(client: Client, kind: str) -> None:
    status, body = await put(client, b'{"text": "a"}', **{"Content-Type": kind})
    assert (status, body["errcode"]) == (400, "M_NOT_JSON")
    good = "application/json; charset=utf-8"
    assert (await put(client, b'{"text": "a"}', **{"Content-Type": good}))[0] == 200


def sized(size: int) -> bytes:
    return b'{"text": "' + b"x" * (size - 12) + b'"}'


async def test_the_limit_of_the_body(client: Client) -> None:
    assert (await put(client, sized(LIMIT)))[0] == 200
    status, body = await put(client, sized(LIMIT + 1))
    assert (status, body["errcode"]) == (413, "M_TOO_LARGE")


async def test_the_limit_counts_what_comes_out_of_compression(client: Client) -> None:
    packed = {"Content-Encoding": "gzip"}
    assert (await put(client, gzip.compress(sized(LIMIT)), **packed))[0] == 200
    assert (await put(client, gzip.compress(sized(50 * LIMIT)), **packed))[0] == 413
    assert (await put(client, b"not gzip at all, though it says so", **packed))[0] == 400


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b" " * 1024


async def test_the_limit_holds_without_a_length(client: Client) -> None:
    assert (await put(client, chunks(65)))[0] == 413


async def test_statuses_and_headers(client: Client) -> None:
    assert (await put(client, b'{"text": "later"}'))[0] == 202
    headers = {"Content-Type": "application/json"}
    async with client.put("/things/a", data=b'{"text": "cookie"}', headers=headers) as answer:
        assert answer.status == 201
        assert answer.headers.getall("Set-Cookie") == ["a=1", "b=2"]
    assert (await put(client, b'{"text": "undocumented"}'))[0] == 500


async def test_nothing_to_say_is_an_empty_object(client: Client) -> None:
    async with client.delete("/things/a") as answer:
        assert (answer.status, await answer.json()) == (200, {})
    async with client.post("/plain", json={"text": "a"}) as answer:
        assert (answer.status, await answer.json()) == (201, {})


async def test_a_raw_response_passes(client: Client) -> None:
    async with client.get("/raw") as answer:
        assert (answer.status, await answer.text()) == (200, "/raw")


def test_the_table_is_there_without_services() -> None:
    thing, _, drop = ENDPOINTS
    assert len(ENDPOINTS) == 3
    assert (thing.summary, thing.description) == ("One thing.", "Told in full.")
    assert thing.signature.query is ThingQuery
    assert thing.signature.result is Thing
    assert drop.template == "/things/{thing_id}"
    assert drop.signature.result is None
    rawest = list(PLAIN)[1]
    assert (rawest.name, rawest.summary, rawest.description, rawest.tag) == (
        "rawest",
        "S",
        "D",
        "T",
    )


def test_an_authenticator_must_be_there() -> None:
    with pytest.raises(LookupError, match="user"):
        register(web.Application(), ENDPOINTS, {}, surface=ThingsApi(""))


class Loose(msgspec.Struct):
    text: str


async def open_body(call: Call[None, None, None, Loose]) -> None:
    """Its body would take unknown fields."""


async def other_path(call: Call[None, ThingPath, None, None]) -> None:
    """Its path struct has another field than its path."""


async def two_kinds(call: Call[None, None, None, None]) -> Thing | Loose:
    """Which of them?"""
    return Loose("")


async def no_call(request: web.Request) -> Thing:
    """An aiohttp handler."""
    return Thing("", "", "")


async def no_struct(call: Call[None, None, None, None]) -> dict[str, str]:
    """Its answer has no documented shape."""
    return {}


async def no_result(call: Call[None, None, None, None]):  # type: ignore[no-untyped-def] # noqa: ANN201
    """Its answer is not annotated."""


def not_async(call: Call[None, None, None, None]) -> None:
    """Not a coroutine."""


@pytest.mark.parametrize(
    "handler", [open_body, other_path, two_kinds, no_call, no_struct, no_result, not_async]
)
def test_mistakes_are_found_when_the_module_is_loaded(
    handler: Callable[..., Awaitable[Any]],
) -> None:
    with pytest.raises(TypeError):
        Endpoints(tag="T").get("/x/{other}" if handler is other_path else "/x")(handler)


@pytest.mark.parametrize("kind", BridgeError.__subclasses__())
def test_every_error_has_a_status_and_a_sentence(kind: type[BridgeError]) -> None:
    assert 400 <= kind.default_status < 600
    assert kind.__doc__


def test_complaints_that_have_another_form_are_kept() -> None:
    assert explain("body", "Something new") == {"body": "Something new"}
    assert explain("body", "x - at `$.a[...]`") == {"body.a[...]": "x"}
    assert explain("body", "x - at `key` in `$.a`") == {"body.a": "x"}
