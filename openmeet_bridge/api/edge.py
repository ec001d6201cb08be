"""What every request leaves in the log and every answer carries, whoever has read the request."""

from __future__ import annotations

import re
import secrets
from collections.abc import MutableMapping
from typing import Final

import structlog

from ..core.errors import BridgeError
from .asking import Asking

REQUEST_ID_FIELD: Final = "X-Request-Id"

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PATH_SHOWN = 256
_SECURITY_FIELDS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_log: structlog.stdlib.BoundLogger = structlog.get_logger("openmeet_bridge.api")


def request_id(asking: Asking) -> str:
    """Return the caller's own id of a request where it is harmless, else a fresh one."""
    given = asking.headers.get(REQUEST_ID_FIELD, "")
    return given if _ID.fullmatch(given) else secrets.token_hex(8)


def add_fields(fields: MutableMapping[str, str], reference: str) -> None:
    """Add to an answer what every answer carries.

    Args:
        fields: The answer's header.
        reference: The request's id.
    """
    for name, value in _SECURITY_FIELDS.items():
        fields.setdefault(name, value)
    fields[REQUEST_ID_FIELD] = reference


def note_request(method: str, path: str, status: int, seconds: float, *, quiet: bool) -> None:
    """Write the line of a request to the log.

    Args:
        method: Its method.
        path: Its path, never with the query: tickets travel there.
        status: Of the answer; 499 where the client has hung up before.
        seconds: For how long it was worked on.
        quiet: Whether it is one of those that machines make all day.
    """
    note = _log.debug if quiet else _log.info
    ms = round(seconds * 1000, 1)
    note("request", method=method, path=path[:_PATH_SHOWN], status=status, ms=ms)


def note_refusal(error: BridgeError) -> None:
    """Let operators know of an error that is no client's mistake."""
    if error.status >= 500:
        _log.warning("request.unavailable", errcode=error.errcode, error=error.message)


def unexpected(reference: str) -> BridgeError:
    """Return what a client is told of an exception that nobody expected, and log it.

    Args:
        reference: The request's id.
    """
    _log.exception("request.failed")
    return BridgeError(f"Something went wrong inside the bridge. Reference: {reference}.")
