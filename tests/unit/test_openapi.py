"""The OpenAPI document and its page: valid, complete, and the same on every run."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Annotated, Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from openapi_spec_validator import OpenAPIV31SpecValidator

from openmeet_bridge.api import docs_page, openapi
from openmeet_bridge.api.endpoint import Call, Endpoint, Endpoints, Reply, register
from openmeet_bridge.api.middleware import install
from openmeet_bridge.api.openapi import document
from openmeet_bridge.core.errors import Forbidden, LimitExceeded, NotFound

USERS = Endpoints(tag="Rooms & more")
STREAMS = Endpoints(tag="Streams", auth="stream")
SERVICES = Endpoints(tag="Integration", auth="service")


class RoomPath(msgspec.Struct):
    room_id: Annotated[str, msgspec.Meta(description="A Matrix room id.")]


class Page(msgspec.Struct):
    limit: Annotated[int, msgspec.Meta(ge=1, le=200, description="At most so many.")] = 50
    before: str | None = None


class Send(msgspec.Struct, forbid_unknown_fields=True):
    """A message to send."""

    body: str


class Status(msgspec.Struct):
    """What became of it."""

    status: Annotated[str, msgspec.Meta(description="`sent` or <pending>.")]
    event_id: str | msgspec.UnsetType = msgspec.UNSET


class Hello(msgspec.Struct):
    cursor: str


class Surface:
    @USERS.get("/rooms/{room_id}", errors=(NotFound, Forbidden))
    async def room(self, call: Call[str, RoomPath, Page, None]) -> Status:
        """A `room` of <mine>.

        With a second paragraph.
        """
        return Status("x")

    @USERS.put("/rooms/{room_id:.+}", success={200: "Sent.", 202: "Pending."})
    async def send(self, call: Call[str, RoomPath, None, Send]) -> Reply[Status]:
        """Sends."""
        return Reply(202, Status("pending"))

    @STREAMS.get(
        "/stream",
        produces="text/event-stream",
        frames={"hello": Hello, "timeline": Status},
        headers={"Last-Event-ID": "Where to go on."},
        errors=(LimitExceeded,),
    )
    async def stream(self, call: Call[str, None, None, None]) -> web.StreamResponse:
        """A stream."""
        return web.StreamResponse()

    @STREAMS.get("/ws", success={101: "Switching."})
    async def ws(self, call: Call[str, None, None, None]) -> web.WebSocketResponse:
        """A WebSocket."""
        return web.WebSocketResponse()

    @SERVICES.delete("/users/{room_id}")
    async def drop(self, call: Call[str, RoomPath, None, None]) -> None:
        """Drops."""


TABLE: list[Endpoint] = [*USERS, *STREAMS, *SERVICES, *docs_page.ENDPOINTS]
DOCUMENT: dict[str, Any] = document(TABLE, "things", "1")


def operation(method: str, path: str) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][path][method]
    return found


def test_the_document_is_valid() -> None:
    OpenAPIV31SpecValidator(msgspec.json.decode(msgspec.json.encode(DOCUMENT))).validate()
    assert msgspec.json.encode(DOCUMENT) == msgspec.json.encode(document(TABLE, "things", "1"))


def test_the_document_of_the_surfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openapi, "SURFACES", ("docs_page",))
    text = openapi.document_json()
    assert text == openapi.document_json()
    assert text.startswith('{\n  "openapi": "3.1.0"')
    assert set(msgspec.json.decode(text)["paths"]) == {"/api/v1/openapi.json", "/api/v1/docs"}


def test_parameters_come_from_structs() -> None:
    parameters = operation("get", "/rooms/{room_id}")["parameters"]
    assert parameters[:3] == [
        {
            "name": "room_id",
            "in": "path",
            "required": True,
            "description": "A Matrix room id.",
            "schema": {"type": "string"},
        },
        {
            "name": "limit",
            "in": "query",
            "required": False,
            "description": "At most so many.",
            "schema": {"type": "integer", "minimum": 1, "maximum": 200, "default": 50},
        },
        {
            "name": "before",
            "in": "query",
            "required": False,
            "schema": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        },
    ]
    assert parameters[3] == {"$ref": "#/components/parameters/TenantHeader"}
    assert operation("get", "/stream")["parameters"][0]["name"] == "Last-Event-ID"


def test_schemas_are_those_of_bodies_answers_and_frames() -> None:
    assert set(DOCUMENT["components"]["schemas"]) == {"ErrorBody", "Send", "Status", "Hello"}
    assert operation("get", "/stream")["x-frames"] == {
        "hello": {"$ref": "#/components/schemas/Hello"},
        "timeline": {"$ref": "#/components/schemas/Status"},
    }


def test_responses_name_every_status() -> None:
    responses = operation("put", "/rooms/{room_id}")["responses"]
    assert set(responses) == {"200", "202", "400", "401", "413", "500", "503"}
    assert responses["202"]["description"] == "Pending."
    schema = responses["202"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/Status"}
    for code in ("M_INVALID_PARAM", "M_BAD_JSON", "M_NOT_JSON"):
        assert code in responses["400"]["description"]
    assert {"403", "404"} <= set(operation("get", "/rooms/{room_id}")["responses"])
    assert "content" not in operation("get", "/ws")["responses"]["101"]
    assert "text/event-stream" in operation("get", "/stream")["responses"]["200"]["content"]


def test_security() -> None:
    assert operation("get", "/stream")["security"] == [
        {"userToken": []},
        {"userCookie": []},
        {"streamTicket": []},
    ]
    assert operation("delete", "/users/{room_id}")["security"] == [{"serviceKey": []}]
    assert operation("get", "/api/v1/docs")["security"] == []


def test_names_and_paths_are_unique() -> None:
    with pytest.raises(ValueError, match="twice"):
        document([*USERS, *USERS], "x", "1")
    same_path = Endpoints(tag="x")
    same_path.get("/rooms/{room_id:x}", name="other")(Surface.room)
    with pytest.raises(ValueError, match="twice"):
        document([*USERS, *same_path], "x", "1")


class Audit(HTMLParser):
    """Collects what matters for safety and for screen readers."""

    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.anchors: list[str] = []
        self.labels: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self._open.append(tag)
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            assert name != "style"
            collected = {"id": self.ids, "href": self.anchors, "aria-labelledby": self.labels}
            if name in collected:
                collected[name].append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


def test_the_page_is_whole_safe_and_accessible() -> None:
    html = docs_page.render(DOCUMENT)
    audit = Audit(html)
    assert not {"script", "link", "img", "iframe"} & set(audit.tags)
    assert len(audit.ids) == len(set(audit.ids))
    local = {anchor[1:] for anchor in audit.anchors if anchor.startswith("#")}
    assert local | set(audit.labels) <= set(audit.ids)
    assert set(audit.anchors) - {f"#{name}" for name in local} == {"openapi.json"}
    assert "&lt;mine&gt;" in html
    assert "<mine>" not in html
    assert "<code>room</code>" in html
    assert 'lang="en"' in html
    assert "prefers-color-scheme:dark" in html
    for endpoint in TABLE:
        assert f'id="{endpoint.name}"' in html


async def test_the_document_and_the_page_are_served() -> None:
    app = web.Application()
    install(app)
    register(app, docs_page.ENDPOINTS, {}, surface=docs_page.DocumentationApi(DOCUMENT))
    async with TestClient(TestServer(app)) as client:
        async with client.get("/api/v1/openapi.json") as answer:
            assert (await answer.json())["openapi"] == "3.1.0"
        async with client.get("/api/v1/docs") as answer:
            assert answer.content_type == "text/html"
            policy = answer.headers["Content-Security-Policy"]
            assert re.search(r"style-src 'sha256-[A-Za-z0-9+/=]{44}'", policy)
            assert "script" not in policy
