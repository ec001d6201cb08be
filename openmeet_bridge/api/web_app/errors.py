"""Errors in the shape that OpenMeet's web app knows: that of its backend's exception filter."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

import msgspec
from aiohttp import web

from ...core.errors import (
    BadRequest,
    BridgeError,
    InvalidParam,
    MissingToken,
    UnknownToken,
    Unrecognized,
)
from ..asking import Asking
from ..errors import error_response

_SOCKETIO: Final = "/socket.io"
PREFIXES: Final = ("/api/chat", "/api/matrix", _SOCKETIO)
"""What begins so is the web app's."""

_INVALID = "Unprocessable Entity Exception"
_ENCODER = msgspec.json.Encoder()
_LENGTH = re.compile(r"Expected `str` of length (?P<bound>[<>]=) (?P<length>\d+)")
_BOUNDS = {">=": "at least", "<=": "at most"}


class WebAppError(msgspec.Struct, omit_defaults=True):
    """What a refused request is answered with.

    ``path`` is without the query. ``errors`` is there with status 422: what is wrong with which
    field; the app shows its values.
    """

    statusCode: int
    message: str
    path: str
    timestamp: str
    errors: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


class TenantRequired(UnknownToken):
    """Neither the request nor its token names a tenant."""

    def __init__(self) -> None:
        super().__init__("Tenant ID is required")


def is_web_app(request: Asking) -> bool:
    """Whether a request is for the web app's routes."""
    return any(_is_below(request, one) for one in PREFIXES)


def is_socketio(request: web.Request) -> bool:
    """Whether a request is one of Socket.IO's: a client that polls makes them all day."""
    return _is_below(request, _SOCKETIO)


def _is_below(request: Asking, prefix: str) -> bool:
    return request.path == prefix or request.path.startswith(f"{prefix}/")


def render(request: web.Request, error: BridgeError) -> web.Response:
    """Return the response of an error, in the shape that the callers of its path know."""
    response = error_response(error)
    if not is_web_app(request):
        return response
    invalid = isinstance(error, BadRequest | InvalidParam)
    body = WebAppError(
        statusCode=422 if invalid else 404 if isinstance(error, Unrecognized) else error.status,
        message=_INVALID if invalid else _message(request, error),
        path=request.path,
        timestamp=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        errors=_errors(error) if invalid else msgspec.UNSET,
    )
    response.set_status(body.statusCode)
    response.body = _ENCODER.encode(body)
    return response


def _message(request: web.Request, error: BridgeError) -> str:
    if isinstance(error, Unrecognized):
        return f"Cannot {request.method} {request.path}"
    if isinstance(error, TenantRequired):
        return error.message
    if isinstance(error, MissingToken):
        return "Authentication required"
    if isinstance(error, UnknownToken):
        return "Invalid token"
    return error.message if error.status != 500 else "Internal server error"


def _errors(error: BridgeError) -> dict[str, str]:
    # The app names fields without the part of the request that they are in. It fails on an answer
    # without `errors`, so there always is one.
    found = {place.partition(".")[2] or place: _plain(text) for place, text in error.fields.items()}
    return found or {"body": error.message}


def _plain(text: str) -> str:
    """Return a complaint for the people to whom the app shows it."""
    found = _LENGTH.fullmatch(text)
    if found is None:
        return text
    return f"must have {_BOUNDS[found['bound']]} {found['length']} characters"
