"""From an exception to a response: one body shape on every surface.

The shape is Matrix' standard error response (client-server API, "Standard error response") with
two optional additions, ``fields`` and ``retry_after_ms``.
"""

from __future__ import annotations

import math

import msgspec
from aiohttp import web

from openmeet_bridge.core.errors import BridgeError, TooLarge, Unrecognized

_ENCODER = msgspec.json.Encoder()


class ErrorBody(msgspec.Struct, omit_defaults=True, frozen=True):
    """What every refused request is answered with."""

    errcode: str
    """Machine-readable code, for example `M_FORBIDDEN`."""
    error: str
    """A sentence for people: what was wrong and what to do."""
    fields: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    """What is wrong with which field, by its path: `body.text`, `query.limit`, `path.room_id`."""
    retry_after_ms: int | msgspec.UnsetType = msgspec.UNSET
    """When trying again makes sense, in how many milliseconds."""


def error_body(error: BridgeError) -> ErrorBody:
    """Returns the documented body of an error."""
    return ErrorBody(
        errcode=error.errcode,
        error=error.message,
        fields=error.fields or msgspec.UNSET,
        retry_after_ms=msgspec.UNSET if error.retry_after_ms is None else error.retry_after_ms,
    )


def error_response(error: BridgeError) -> web.Response:
    """Returns the HTTP response of an error: its status, its body, and the headers it implies."""
    response = web.Response(
        status=error.status,
        body=_ENCODER.encode(error_body(error)),
        content_type="application/json",
        headers={"Cache-Control": "no-store", **error.headers},
    )
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"  # RFC 9110, 11.6.1: a 401 must name one
    if error.retry_after_ms is not None:
        response.headers["Retry-After"] = str(math.ceil(error.retry_after_ms / 1000))
    return response


def from_http(refusal: web.HTTPException) -> BridgeError:
    """Translates aiohttp's own refusals, so that they read like ours.

    Args:
        refusal: An exception with a status of 400 or more.
    """
    if isinstance(refusal, web.HTTPRequestEntityTooLarge):
        return TooLarge("The body is larger than this server accepts.")
    if refusal.status == 404:
        return Unrecognized("There is nothing at this path.")
    if isinstance(refusal, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(refusal.allowed_methods))
        return Unrecognized(f"This path does not know the method; it knows {allowed}.", status=405)
    return BridgeError(refusal.reason, status=refusal.status)
