"""The declarative edge: a table of endpoints that registers, validates and documents them.

A surface is a class whose methods are the handlers and whose constructor takes the services they
need. The module holds one static table, so that the OpenAPI document can be made with no service
at hand; :func:`register` binds the table to a surface::

    ENDPOINTS = Endpoints(tag="Rooms")

    class RoomsApi:
        def __init__(self, rooms: Rooms) -> None:
            self._rooms = rooms

        @ENDPOINTS.get("/api/v1/rooms/{room_id}", errors=(NotFound,))
        async def room(self, call: Call[Session, RoomPath, None, None]) -> Room:
            \"\"\"One room of mine.\"\"\"
            return await self._rooms.get(call.caller, call.path.room_id)

    register(app, ENDPOINTS, {"user": authenticate_user}, surface=RoomsApi(rooms))

Path, query, body and answer are read from the annotations; summary and description from the
docstring. There is no second place to say any of it.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, TypeVar, Unpack

import msgspec
from aiohttp import web

from openmeet_bridge.api.decoding import decode_body, decode_path, decode_query, read_body
from openmeet_bridge.api.signature import Call, Reply, Signature, read_signature
from openmeet_bridge.core.errors import BridgeError

__all__ = ["Auth", "Authenticator", "Call", "Endpoint", "Endpoints", "Reply", "register"]

Auth = Literal[
    "user",
    "service",
    "stream",
    "signature",
    "web_app",
    "web_app_guest",
    "web_app_admin",
    "web_app_stream",
    "none",
]
"""Who may call.

A user with a JWT (or cookie), a backend with a service key, a user with the same or a ticket, a
backend that has signed the body, a user of OpenMeet's own web app (or somebody who has not logged
in to it, or an administrator, or a user with a cookie or a ticket too), or anybody.
"""

Authenticator = Callable[[web.Request], Awaitable[Any]]
"""Turns a request into its caller, or raises ``MissingToken``, ``UnknownToken``, ``Forbidden``."""

REQUEST_BYTES = 256 * 1024

_ENCODER = msgspec.json.Encoder()
_PLACEHOLDER = re.compile(r"{(\w+)(?::[^{}]*)?}")
_SECTION = re.compile(r"\n\s*(?:Args|Returns|Raises|Yields):\n.*", re.DOTALL)

H = TypeVar("H", bound=Callable[..., Awaitable[Any]])


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path, with everything that is to be known about it.

    Attributes:
        method: The HTTP method.
        path: In aiohttp's syntax.
        name: The handler's name; the operationId, unique in a document.
        handler: The function or the not yet bound method.
        signature: The types read from its annotations.
        summary: One line.
        description: Further paragraphs, Markdown; may be empty.
        tag: The chapter of the document.
        auth: Who may call it.
        success: Description of each status that means success; the first is the usual one.
        errors: What may be raised, besides what authentication and decoding raise.
        produces: Media type of a raw response; JSON otherwise.
        frames: Named structs that a stream carries, for the document.
        headers: Request headers that the handler reads, with a description.
        lenient: Whether a body may hold fields that are not known; they are ignored.
    """

    method: str
    path: str
    name: str
    handler: Callable[..., Awaitable[Any]]
    signature: Signature
    summary: str
    description: str
    tag: str
    auth: Auth
    success: Mapping[int, str]
    errors: tuple[type[BridgeError], ...]
    produces: str
    frames: Mapping[str, type[msgspec.Struct]]
    headers: Mapping[str, str]
    lenient: bool = False

    def __post_init__(self) -> None:
        declared = set(_PLACEHOLDER.findall(self.path))
        path = self.signature.path
        names = {field.encode_name for field in msgspec.structs.fields(path)} if path else set()
        if declared != names:
            raise TypeError(f"{self.name}: {self.path} has {declared}, its struct has {names}")
        body = self.signature.body
        if body and not self.lenient and not body.__struct_config__.forbid_unknown_fields:
            raise TypeError(f"{self.name}: {body.__name__} must forbid unknown fields")

    @property
    def template(self) -> str:
        """The path without aiohttp's patterns, as OpenAPI wants it."""
        return _PLACEHOLDER.sub(r"{\1}", self.path)


class Details(TypedDict, total=False):
    """What a decorator may say of an endpoint, beyond its method, path and types."""

    auth: Auth
    """Who may call it; the table has a default."""
    success: Mapping[int, str]
    """Description of each status that means success."""
    errors: tuple[type[BridgeError], ...]
    """What the handler may raise."""
    produces: str
    """Media type, where the handler builds the response itself."""
    frames: Mapping[str, type[msgspec.Struct]]
    """What a stream carries, by the frame's type; for the document."""
    headers: Mapping[str, str]
    """Request headers that the handler reads, with a description."""
    summary: str
    """One line; otherwise the docstring's first."""
    description: str
    """Markdown; otherwise the docstring's further paragraphs."""
    name: str
    """operationId; otherwise the function's name."""
    tag: str
    """Chapter of the document; the table has a default."""


class Endpoints:
    """The static table of a surface, filled by its decorators.

    Args:
        tag: The chapter of the document that these endpoints belong to.
        auth: Who may call them, unless an endpoint says otherwise.
        lenient: Whether bodies may hold fields that are not known.
    """

    def __init__(self, *, tag: str, auth: Auth = "user", lenient: bool = False) -> None:
        self.tag = tag
        self.auth = auth
        self.lenient = lenient
        self._table: list[Endpoint] = []

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def endpoint(self, method: str, path: str, **details: Unpack[Details]) -> Callable[[H], H]:
        """Returns a decorator that adds its function to the table, and leaves it as it is.

        Args:
            method: The HTTP method.
            path: In aiohttp's syntax; its placeholders are the fields of the path struct.
            **details: See :class:`Details`.
        """

        def add(handler: H) -> H:
            self._table.append(self._described(method, path, handler, details))
            return handler

        return add

    def get(self, path: str, **details: Unpack[Details]) -> Callable[[H], H]:
        """Like :meth:`endpoint`, for GET."""
        return self.endpoint("GET", path, **details)

    def put(self, path: str, **details: Unpack[Details]) -> Callable[[H], H]:
        """Like :meth:`endpoint`, for PUT."""
        return self.endpoint("PUT", path, **details)

    def post(self, path: str, **details: Unpack[Details]) -> Callable[[H], H]:
        """Like :meth:`endpoint`, for POST."""
        return self.endpoint("POST", path, **details)

    def delete(self, path: str, **details: Unpack[Details]) -> Callable[[H], H]:
        """Like :meth:`endpoint`, for DELETE."""
        return self.endpoint("DELETE", path, **details)

    def _described(
        self, method: str, path: str, handler: Callable[..., Awaitable[Any]], details: Details
    ) -> Endpoint:
        summary, description = _doc(handler)
        return Endpoint(
            method=method,
            path=path,
            name=details.get("name", handler.__name__),
            handler=handler,
            signature=read_signature(handler),
            summary=details.get("summary", summary),
            description=details.get("description", description),
            tag=details.get("tag", self.tag),
            auth=details.get("auth", self.auth),
            success=details.get("success", {200: "Done."}),
            errors=details.get("errors", ()),
            produces=details.get("produces", "application/json"),
            frames=details.get("frames", {}),
            headers=details.get("headers", {}),
            lenient=self.lenient,
        )


def register(
    app: web.Application,
    endpoints: Endpoints,
    authenticators: Mapping[str, Authenticator],
    *,
    surface: object | None = None,
    body_limit: int = REQUEST_BYTES,
) -> None:
    """Adds the endpoints of a table to an application.

    Args:
        app: The application; :mod:`openmeet_bridge.api.middleware` answers what is raised.
        endpoints: The table.
        authenticators: One for each kind of caller in the table; ``none`` needs none.
        surface: The instance whose methods the handlers are; None for plain functions.
        body_limit: The longest body, in bytes.

    Raises:
        LookupError: An endpoint asks for an authenticator that is not there.
    """
    for endpoint in endpoints:
        authenticate = _authenticator(endpoint, authenticators)
        run = functools.partial(endpoint.handler, surface)
        handler = run if endpoint.signature.bound else endpoint.handler
        route = _route(endpoint, handler, authenticate, body_limit)
        app.router.add_route(endpoint.method, endpoint.path, route)


def _route(
    endpoint: Endpoint,
    handler: Callable[[Any], Awaitable[Any]],
    authenticate: Authenticator,
    body_limit: int,
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    types = endpoint.signature

    async def route(request: web.Request) -> web.StreamResponse:
        # First who is calling: a stranger learns nothing of what a good request looks like.
        caller = await authenticate(request)
        path = decode_path(request, types.path) if types.path else None
        query = decode_query(request, types.query) if types.query else None
        body = await _body(request, types.body, body_limit) if types.body else None
        result = await handler(Call(request, caller, path, query, body))
        return result if isinstance(result, web.StreamResponse) else _answer(endpoint, result)

    return route


async def _body(request: web.Request, into: type[msgspec.Struct], limit: int) -> msgspec.Struct:
    return decode_body(await read_body(request, limit), request.content_type, into)


def _answer(endpoint: Endpoint, result: Any) -> web.Response:
    reply = result if isinstance(result, Reply) else Reply(next(iter(endpoint.success)), result)
    if reply.status not in endpoint.success:
        raise LookupError(f"{endpoint.name} answers {reply.status}, which it does not document")
    body = {} if reply.body is None else reply.body
    response = web.Response(
        status=reply.status, body=_ENCODER.encode(body), content_type="application/json"
    )
    response.headers["Cache-Control"] = "no-store"
    for name, value in reply.headers:
        response.headers.add(name, value)
    return response


def _authenticator(endpoint: Endpoint, known: Mapping[str, Authenticator]) -> Authenticator:
    if endpoint.auth == "none":
        return _anybody
    if endpoint.auth not in known:
        raise LookupError(f"{endpoint.name} needs an authenticator for {endpoint.auth!r}")
    return known[endpoint.auth]


async def _anybody(request: web.Request) -> None:
    return None


def _doc(handler: Callable[..., Any]) -> tuple[str, str]:
    text = _SECTION.sub("", inspect.getdoc(handler) or "").strip()
    first, _, rest = text.partition("\n\n")
    return " ".join(first.split()), rest.strip()
