"""From the bytes of a request to typed structs, with every complaint naming the field."""

from __future__ import annotations

import functools
import json
import re
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from aiohttp import web

from openmeet_bridge.api.asking import Asking
from openmeet_bridge.core.errors import BadRequest, InvalidParam, NotJson, TooLarge

S = TypeVar("S", bound=msgspec.Struct)

RAW_BODY = web.RequestKey("raw_body", bytes)
"""The body, where an authenticator has read it already to check a signature."""

_PLACE = re.compile(r"(?P<reason>.*?)(?: - at (?:`?key`? in )?`(?P<path>[^`]*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]*)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_NO_ASCII = re.compile("%[89a-fA-F][0-9a-fA-F]")
_UNUSABLE = "contains characters that cannot be used (NUL, or half of a surrogate pair)"


def explain(part: str, complaint: str) -> dict[str, str]:
    """Turns a complaint of msgspec into field details.

    Args:
        part: Where the value came from: ``body``, ``query`` or ``path``.
        complaint: The text of a :class:`msgspec.ValidationError`.

    Returns:
        One entry, ``{"body.inner[0].limit": "Expected `int`, got `str`"}``.
    """
    found = _PLACE.fullmatch(complaint)
    reason, path = (found["reason"], found["path"] or "$") if found else (complaint, "$")
    place = part + path.removeprefix("$")
    if missing := _MISSING.fullmatch(reason):
        return {f"{place}.{missing['name']}": "is required"}
    if unknown := _UNKNOWN.fullmatch(reason):
        return {f"{place}.{unknown['name']}": "is not a known field"}
    return {place: reason}


def decode_path(request: web.Request, into: type[S]) -> S:
    """Returns the path's parameters as a struct, or raises ``InvalidParam``."""
    values = dict(request.match_info)
    if broken := dict(_broken_texts(request.rel_url.raw_path, values)):
        raise _refused("path", broken)
    return _convert("path", values, into)


def decode_query(request: Asking, into: type[S]) -> S:
    """Returns the declared query parameters as a struct, or raises ``InvalidParam``.

    Names that the struct does not have are left to others: ``tenantId`` and ``ticket`` belong to
    the authenticators, and some EventSource polyfills add names of their own.
    """
    values: dict[str, str | list[str]] = {}
    for name, takes_many in _names(into):
        given = request.query.getall(name, [])
        if given and takes_many:
            values[name] = given
        elif len(given) > 1:
            raise _refused("query", {f"query.{name}": "is given more than once"})
        elif given:
            values[name] = given[0]
    return _convert("query", values, into)


async def read_body(request: web.Request, limit: int) -> bytes:
    """Returns the whole body, decompressed, and never holds more than ``limit`` bytes of it.

    Raises:
        TooLarge: The body is, or says it is, longer than ``limit`` bytes.
        NotJson: The body cannot be read, for example because its compression is broken.
    """
    kept: bytes | None = request.get(RAW_BODY)
    if kept is not None:
        return kept
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    body = bytearray()
    try:
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > limit:
                raise _too_large(limit)
    except web.RequestPayloadError as error:
        raise NotJson("The body cannot be read; its encoding is broken.") from error
    return bytes(body)


def decode_body(raw: bytes, content_type: str, into: type[S]) -> S:
    """Returns the JSON body as a struct.

    The media type must say JSON: a page of another origin can send the media types of forms
    without a preflight, together with the reader's cookie.

    Raises:
        NotJson: The media type is another one, or the bytes are not JSON in UTF-8.
        BadRequest: It is JSON, but not of the documented shape; ``fields`` names the place.
    """
    if content_type != "application/json" and not content_type.endswith("+json"):
        raise NotJson("Send the body as JSON, with Content-Type: application/json.")
    try:
        body = msgspec.json.decode(raw, type=into)
    except msgspec.ValidationError as error:
        raise BadRequest(
            "The body does not have the documented shape.", fields=explain("body", str(error))
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        _check_halves(raw)
        raise NotJson(f"The body is not JSON: {error}." if raw else "The body is empty.") from error
    except RecursionError as error:
        raise NotJson("The body is nested too deeply.") from error
    _check_body_text(raw, body)
    return body


def _convert(part: str, values: Mapping[str, object], into: type[S]) -> S:
    if unusable := dict(_unusable_texts(part, values)):
        raise _refused(part, unusable)
    try:
        return msgspec.convert(values, into, strict=False)
    except msgspec.ValidationError as error:
        raise _refused(part, explain(part, str(error))) from error


def _check_body_text(raw: bytes, body: msgspec.Struct) -> None:
    # Only an escape can bring a NUL into a JSON string, so ordinary bodies are not walked.
    if b"\\u0000" in raw and (unusable := dict(_unusable_texts("body", msgspec.to_builtins(body)))):
        raise BadRequest("The body has text that cannot be stored.", fields=unusable)


def _check_halves(raw: bytes) -> None:
    # Our parser takes half of a surrogate pair for broken JSON; others do not, and send it.
    if _HALF.search(raw) is None:
        return
    try:
        unusable = dict(_unusable_texts("body", json.loads(raw)))
    except (ValueError, RecursionError):
        return
    if unusable:
        raise BadRequest("The body has text that cannot be stored.", fields=unusable)


def _broken_texts(raw_path: str, values: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """Finds text of a path that is not UTF-8: aiohttp leaves it as it stands, in percent signs."""
    if "%" not in raw_path:
        return
    try:
        unquote_to_bytes(raw_path).decode()
    except UnicodeDecodeError:
        for name, value in values.items():
            if _NO_ASCII.search(value):
                yield f"path.{name}", "is not in UTF-8"


def _unusable_texts(place: str, value: object) -> Iterable[tuple[str, str]]:
    """Finds text that neither PostgreSQL nor Matrix can take."""
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
            yield place, _UNUSABLE
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            named = f"{place}.{key}".replace("\0", "\ufffd").encode("utf-8", "replace").decode()
            yield from _unusable_texts(named, inner)
            yield from _unusable_texts(place, key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _unusable_texts(f"{place}[{index}]", inner)


@functools.cache
def _names(into: type[msgspec.Struct]) -> tuple[tuple[str, bool], ...]:
    """Return the names of a struct's fields, and whether each takes several values.

    Found out once: it takes as long as everything else that a request needs.
    """
    fields = msgspec.structs.fields(into)
    return tuple((field.encode_name, _takes_many(field.type)) for field in fields)


def _takes_many(annotation: Any) -> bool:
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return list in (annotation, typing.get_origin(annotation))


def _refused(part: str, fields: dict[str, str]) -> InvalidParam:
    return InvalidParam(f"A parameter of the {part} cannot be used.", fields=fields)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} bytes.")
