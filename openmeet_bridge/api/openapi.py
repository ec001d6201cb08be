"""The OpenAPI 3.1 document, made from the same tables that register the routes."""

from __future__ import annotations

import importlib
import inspect
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from openmeet_bridge.api.endpoint import Auth, Endpoint
from openmeet_bridge.api.errors import ErrorBody
from openmeet_bridge.core.errors import (
    BadRequest,
    BridgeError,
    InvalidParam,
    MissingToken,
    NotJson,
    TooLarge,
    Unavailable,
    UnknownToken,
)

TITLE = "openmeet-bridge"
VERSION = "1"
SURFACES = (
    "client",
    "rooms",
    "timeline",
    "entries",
    "messages",
    "read_state",
    "presence",
    "preferences",
    "streams",
    "integration",
    "integration_bulk",
    "integration_people",
    "integration_progress",
    "integration_events",
    "docs_page",
)
"""Modules of this package with an ``ENDPOINTS`` table, in the document's order."""

_DESCRIPTION = """\
Chat rooms of OpenMeet groups, meetups and direct chats, on a Matrix homeserver.

Times are integers in milliseconds since the epoch, but for those of meetups, which OpenMeet \
writes in RFC 3339. Identifiers are opaque. Every error has one shape, `ErrorBody`; unknown fields \
in a body are refused, unknown fields in an answer are to be ignored."""

_SECURITY_SCHEMES = {
    "userToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "OpenMeet's access token.",
    },
    "userCookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "openmeet_token",
        "description": "The same token in an HttpOnly cookie, set by `POST /api/v1/session`.",
    },
    "streamTicket": {
        "type": "apiKey",
        "in": "query",
        "name": "ticket",
        "description": "A single-use ticket, for clients that cannot send headers.",
    },
    "serviceKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "A service key of the tenant in the path.",
    },
    "webhookSignature": {
        "type": "apiKey",
        "in": "header",
        "name": "webhook-signature",
        "description": "Standard Webhooks, with the `webhook_secret` of the tenant in the path.",
    },
}
_SCHEMES: Mapping[Auth, tuple[str, ...]] = {
    "user": ("userToken", "userCookie"),
    "stream": ("userToken", "userCookie", "streamTicket"),
    "service": ("serviceKey",),
    "signature": ("webhookSignature",),
    "none": (),
}
_TENANT_PARAMETERS = {
    "TenantHeader": {
        "name": "X-Tenant-Id",
        "in": "header",
        "required": False,
        "schema": {"type": "string"},
        "description": "The tenant. May be left out when the token names it.",
    },
    "TenantQuery": {
        "name": "tenantId",
        "in": "query",
        "required": False,
        "schema": {"type": "string"},
        "description": "The tenant, for clients that cannot send headers.",
    },
}

Json = dict[str, Any]


def document(endpoints: Iterable[Endpoint], title: str, version: str) -> Json:
    """Returns the OpenAPI 3.1 document of some endpoints.

    Args:
        endpoints: From one or more tables; none of them needs its services.
        title: Of the document.
        version: Of the API.

    Raises:
        ValueError: Two endpoints have the same name, or the same method and path.
    """
    table = list(endpoints)
    _check_unique(table)
    schemas, components = _schemas(table)
    paths: dict[str, Json] = {}
    for endpoint in table:
        operation = _operation(endpoint, schemas, components)
        paths.setdefault(endpoint.template, {})[endpoint.method.lower()] = operation
    for struct in _parameter_structs(table):
        components.pop(_component_name(schemas[struct]), None)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": _DESCRIPTION},
        "tags": [{"name": tag} for tag in dict.fromkeys(item.tag for item in table)],
        "paths": paths,
        "components": {
            "schemas": components,
            "parameters": _TENANT_PARAMETERS,
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def assemble() -> Json:
    """Returns the document of the public listener: every surface of :data:`SURFACES`."""
    # Imported here: a surface may itself serve this document.
    modules = (importlib.import_module(f"openmeet_bridge.api.{name}") for name in SURFACES)
    tables = [module.ENDPOINTS for module in modules]
    return document(itertools.chain.from_iterable(tables), TITLE, VERSION)


def document_json() -> str:
    """Returns :func:`assemble`'s document as indented JSON, the same on every run."""
    return msgspec.json.format(msgspec.json.encode(assemble()), indent=2).decode() + "\n"


def _check_unique(table: Iterable[Endpoint]) -> None:
    seen: set[object] = set()
    for endpoint in table:
        keys = {endpoint.name, (endpoint.method, endpoint.template)}
        if seen & keys:
            raise ValueError(f"{endpoint.method} {endpoint.path} ({endpoint.name}) is there twice")
        seen |= keys


def _parameter_structs(table: Iterable[Endpoint]) -> set[type[msgspec.Struct]]:
    signatures = [endpoint.signature for endpoint in table]
    return {part for types in signatures for part in (types.path, types.query) if part}


def _schemas(table: Iterable[Endpoint]) -> tuple[dict[Any, Json], dict[str, Json]]:
    structs: dict[type[msgspec.Struct], None] = {ErrorBody: None}
    for endpoint in table:
        types = endpoint.signature
        used = (types.path, types.query, types.body, types.result, *endpoint.frames.values())
        structs.update(dict.fromkeys(struct for struct in used if struct))
    references, components = msgspec.json.schema_components(
        list(structs), ref_template="#/components/schemas/{name}"
    )
    return dict(zip(structs, references, strict=True)), dict(components)


def _component_name(reference: Json) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _operation(
    endpoint: Endpoint, schemas: Mapping[Any, Json], components: Mapping[str, Json]
) -> Json:
    operation: Json = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "security": [{scheme: []} for scheme in _SCHEMES[endpoint.auth]],
        "responses": _successes(endpoint, schemas) | _failures(endpoint, schemas),
    }
    if endpoint.description:
        operation["description"] = endpoint.description
    if parameters := _parameters(endpoint, schemas, components):
        operation["parameters"] = parameters
    if body := endpoint.signature.body:
        content = {"application/json": {"schema": schemas[body]}}
        operation["requestBody"] = {"required": True, "content": content}
    if endpoint.frames:
        operation["x-frames"] = {name: schemas[kind] for name, kind in endpoint.frames.items()}
    return operation


def _parameters(
    endpoint: Endpoint, schemas: Mapping[Any, Json], components: Mapping[str, Json]
) -> list[Json]:
    parameters: list[Json] = []
    for place, struct in (("path", endpoint.signature.path), ("query", endpoint.signature.query)):
        if struct:
            parameters += _fields(place, components[_component_name(schemas[struct])])
    for name, description in endpoint.headers.items():
        schema = {"type": "string"}
        parameters.append(
            {"name": name, "in": "header", "description": description, "schema": schema}
        )
    if endpoint.auth in ("user", "stream"):
        references = (f"#/components/parameters/{name}" for name in _TENANT_PARAMETERS)
        parameters += [{"$ref": reference} for reference in references]
    return parameters


def _fields(place: str, component: Json) -> Iterable[Json]:
    for name, schema in component["properties"].items():
        described = dict(schema)
        parameter = {
            "name": name,
            "in": place,
            "required": name in component["required"],
            "schema": described,
        }
        if "description" in described:
            parameter["description"] = described.pop("description")
        yield parameter


def _successes(endpoint: Endpoint, schemas: Mapping[Any, Json]) -> Json:
    return {
        str(status): {"description": text} | _content(endpoint, status, schemas)
        for status, text in endpoint.success.items()
    }


def _content(endpoint: Endpoint, status: int, schemas: Mapping[Any, Json]) -> Json:
    types = endpoint.signature
    if status < 200 or status == 204:
        return {}
    schema: Json = {"type": "object"}
    if types.result:
        schema = schemas[types.result]
    elif types.raw and endpoint.produces != "application/json":
        schema = {"type": "string"}
    return {"content": {endpoint.produces: {"schema": schema}}}


def _failures(endpoint: Endpoint, schemas: Mapping[Any, Json]) -> Json:
    by_status: dict[int, list[type[BridgeError]]] = {}
    for error in dict.fromkeys((*_implied(endpoint), *endpoint.errors)):
        by_status.setdefault(error.default_status, []).append(error)
    content = {"application/json": {"schema": schemas[ErrorBody]}}
    return {
        str(status): {"description": _described(kinds), "content": content}
        for status, kinds in sorted(by_status.items())
    }


def _implied(endpoint: Endpoint) -> Iterable[type[BridgeError]]:
    types = endpoint.signature
    if endpoint.auth != "none":
        yield from (MissingToken, UnknownToken)
    if types.path or types.query:
        yield InvalidParam
    if types.body:
        yield from (BadRequest, NotJson, TooLarge)
    yield from (Unavailable, BridgeError)


def _described(kinds: Iterable[type[BridgeError]]) -> str:
    return "\n".join(f"- `{kind.default_errcode}`: {_reason(kind)}" for kind in kinds)


def _reason(kind: type[BridgeError]) -> str:
    if kind is BridgeError:
        return "Something went wrong inside the bridge; the message has a reference for its log."
    return (inspect.getdoc(kind) or kind.__name__).partition("\n\n")[0]
