"""The beginning and the end of a WebSocket: the upgrade (RFC 6455, section 4), pong and close."""

from __future__ import annotations

import binascii
import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Protocol

from ..core.errors import BridgeError
from .deflate import WINDOW

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VERSION = "13"
_REQUIRED = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": _VERSION,
}
_DEFLATE = "permessage-deflate"
_ALONE = "server_no_context_takeover; client_no_context_takeover"
"""Each message is compressed by itself, in both directions."""

_BITS = "[89]|1[0-5]"
_PARAMETERS = {
    "server_no_context_takeover": re.compile(""),
    "client_no_context_takeover": re.compile(""),
    "server_max_window_bits": re.compile(_BITS),
    # How large the client's window is is of no matter: any is read.
    "client_max_window_bits": re.compile(f"|{_BITS}"),
}
_MOST_REASON = 123  # bytes; with the code a control frame's 125


class Headers(Protocol):
    """A request's header fields: names in any case, each perhaps there several times."""

    def getall(self, key: str, default: Sequence[str], /) -> Sequence[str]:
        """Return all values of a field, or else the default."""


class UpgradeRefused(BridgeError):
    """The request opens a WebSocket, but wrongly."""

    default_errcode = "M_INVALID_PARAM"
    default_status = 400


class UpgradeRequired(UpgradeRefused):
    """The request opens no WebSocket, or not the version that is spoken here."""

    default_status = 426

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.headers = _REQUIRED


def check_upgrade(headers: Headers) -> str:
    """Return the key of a request that opens a WebSocket (RFC 6455, section 4.2.1).

    Raises:
        UpgradeRequired: It asks for no WebSocket, or for another version of it.
        UpgradeRefused: It asks for one wrongly.
    """
    asked = "websocket" in _tokens(headers, "Upgrade")
    if not asked or "upgrade" not in _tokens(headers, "Connection"):
        raise UpgradeRequired(
            "This address speaks WebSocket: send 'Connection: Upgrade' and 'Upgrade: websocket'."
        )
    if _only(headers, "Sec-WebSocket-Version") != _VERSION:
        raise UpgradeRequired(f"Only version {_VERSION} of WebSocket is spoken here.")
    key = _only(headers, "Sec-WebSocket-Key")
    if key is None or not _is_key(key):
        raise UpgradeRefused("Sec-WebSocket-Key must be 16 bytes in base64.")
    return key


def agreed_deflate(headers: Headers) -> str | None:
    """Return how messages may be compressed for a client that offers it; None: not at all.

    The first of its offers is taken that frames fit which all readers share: each compressed by
    itself, with the window of `deflate` (RFC 7692, sections 5.1 and 7.1).
    """
    for offer in ",".join(headers.getall("Sec-WebSocket-Extensions", ())).split(","):
        name, *parameters = (part.strip() for part in offer.split(";"))
        if name == _DEFLATE and (agreed := _agreed(parameters)) is not None:
            return agreed
    return None


def _agreed(parameters: Sequence[str]) -> str | None:
    """Return the answer to one offer; None: it is wrong, or asks for what cannot be done."""
    given = dict(_parameter(one) for one in parameters)
    if len(given) < len(parameters) or not all(
        name in _PARAMETERS and _PARAMETERS[name].fullmatch(value) for name, value in given.items()
    ):
        return None
    window = given.get("server_max_window_bits")
    if window is None:
        return f"{_DEFLATE}; {_ALONE}"
    if int(window) < WINDOW:
        return None
    return f"{_DEFLATE}; {_ALONE}; server_max_window_bits={window}"


def _parameter(written: str) -> tuple[str, str]:
    name, _, value = written.partition("=")
    return name.strip(), value.strip().removeprefix('"').removesuffix('"') if value else ""


def accept_key(key: str) -> str:
    """Return what proves that the key was read (RFC 6455, section 4.2.2)."""
    # The protocol's own choice; it protects nothing.
    digest = hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()
    return b64encode(digest).decode()


def pong(payload: bytes) -> bytes:
    """Return the answer to a ping: a frame with the ping's payload, of at most 125 bytes."""
    return bytes((0x8A, len(payload))) + payload


def close(code: int | None, reason: str = "") -> bytes:
    """Return the frame that closes, or that answers the client's.

    Args:
        code: Why (RFC 6455, section 7.4); None says nothing.
        reason: The same in words, cut where it is too long.
    """
    if code is None:
        return b"\x88\x00"
    words = reason.encode()[:_MOST_REASON].decode(errors="ignore").encode()
    return bytes((0x88, 2 + len(words))) + code.to_bytes(2, "big") + words


def _tokens(headers: Headers, name: str) -> list[str]:
    values = ",".join(headers.getall(name, ()))
    return [token.strip().lower() for token in values.split(",")]


def _only(headers: Headers, name: str) -> str | None:
    values = headers.getall(name, ())
    return values[0].strip() if len(values) == 1 else None


def _is_key(key: str) -> bool:
    try:
        return len(b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False
