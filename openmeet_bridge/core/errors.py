"""Errors with one shape: a machine-readable code, a sentence for people, an HTTP status.

Every surface of the bridge answers errors in Matrix' form (client-server API, "Standard error
response"), so a browser, OpenMeet's backend and Synapse read the same body.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class BridgeError(Exception):
    """Root of every error that a caller of the bridge may see.

    Args:
        message: A sentence for people: what was wrong and what to do.
        errcode: Machine-readable code; the class has a default.
        status: HTTP status; the class has a default.
        retry_after_ms: When trying again makes sense, in how many milliseconds.
        fields: What is wrong with which field of the request, by its path.

    Attributes:
        position: Which of several things that were asked for together is refused.
        headers: What an answer over HTTP must carry besides its body.
    """

    default_errcode: ClassVar[str] = "M_UNKNOWN"
    default_status: ClassVar[int] = 500

    def __init__(
        self,
        message: str,
        *,
        errcode: str | None = None,
        status: int | None = None,
        retry_after_ms: int | None = None,
        fields: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.errcode = errcode or self.default_errcode
        self.status = status or self.default_status
        self.retry_after_ms = retry_after_ms
        self.fields = fields or {}
        self.position: int | None = None
        self.headers: Mapping[str, str] = {}


class BadRequest(BridgeError):
    """The body is JSON, but not of the documented shape."""

    default_errcode = "M_BAD_JSON"
    default_status = 400


class NotJson(BridgeError):
    """The body is not JSON at all."""

    default_errcode = "M_NOT_JSON"
    default_status = 400


class InvalidParam(BridgeError):
    """A path or query parameter has a value that cannot be used."""

    default_errcode = "M_INVALID_PARAM"
    default_status = 400


class MissingToken(BridgeError):
    """The request carries no credentials."""

    default_errcode = "M_MISSING_TOKEN"
    default_status = 401


class UnknownToken(BridgeError):
    """The credentials are forged, expired, spent, or of another tenant."""

    default_errcode = "M_UNKNOWN_TOKEN"
    default_status = 401


class Forbidden(BridgeError):
    """The caller is known, but may not do this."""

    default_errcode = "M_FORBIDDEN"
    default_status = 403


class NotFound(BridgeError):
    """The thing does not exist, or the caller may not know that it does."""

    default_errcode = "M_NOT_FOUND"
    default_status = 404


class Unrecognized(BridgeError):
    """Unknown path (404) or wrong method (405)."""

    default_errcode = "M_UNRECOGNIZED"
    default_status = 404


class Conflict(BridgeError):
    """The request contradicts what is there already."""

    default_errcode = "ORG_OPENMEET_CONFLICT"
    default_status = 409


class TooLarge(BridgeError):
    """The body is larger than the documented limit."""

    default_errcode = "M_TOO_LARGE"
    default_status = 413


class LimitExceeded(BridgeError):
    """A limit of the bridge is reached; ``retry_after_ms`` says when to come back."""

    default_errcode = "M_LIMIT_EXCEEDED"
    default_status = 429


class Unavailable(BridgeError):
    """Something the bridge depends on is away; nothing was changed, try again."""

    default_errcode = "ORG_OPENMEET_UNAVAILABLE"
    default_status = 503


class ConfigError(Exception):
    """A configuration or registration file that cannot be used.

    Args:
        file: The file's path as the user gave it.
        line: 1-based line, or None where a key is missing altogether.
        key: Dotted path of the key, for example ``tenants[0].jwt.secret``.
        reason: What is wrong and what to do.
    """

    def __init__(self, file: str, line: int | None, key: str, reason: str) -> None:
        self.file = file
        self.line = line
        self.key = key
        self.reason = reason
        place = f"{file}:{line}" if line is not None else file
        super().__init__(f"{place}: {key}: {reason}" if key else f"{place}: {reason}")
