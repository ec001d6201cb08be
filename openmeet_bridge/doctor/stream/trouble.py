"""What can go wrong on the way to a stream, in words for a finding."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Final

import aiohttp
import msgspec
from aiohttp import hdrs

_SHOWN = 120
_LATER = frozenset({429, 503})
_LONGEST_WAIT = 20.0


class Trouble(Exception):
    """Something did not work; the text says what was seen."""


class Unreachable(Trouble):
    """Nobody answers."""


class Untrusted(Unreachable):
    """Somebody answers who cannot show that it is they."""


class Silent(Trouble):
    """Somebody answers, and says nothing in time."""


class Broken(Trouble):
    """What came is not what the wire is made of."""


class Refused(Trouble):
    """An answer that is not the one that was wanted.

    Args:
        status: Its HTTP status.
        headers: Its headers.
        body: The beginning of its body.
    """

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"HTTP {status}: {shown(body)}" if body else f"HTTP {status}")
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def wait(self) -> float | None:
        """Seconds after which to come back; None where that would change nothing."""
        return wait_of(self.status, self.headers)

    @property
    def errcode(self) -> str | None:
        """The bridge's own code; None where somebody else has refused."""
        return _said(self.body, "errcode")

    @property
    def error(self) -> str | None:
        """The bridge's own sentence, on either of its surfaces."""
        return _said(self.body, "error") or _said(self.body, "message")


NETWORK: Final = (aiohttp.ClientError, OSError, TimeoutError, EOFError)
"""What the libraries raise when a connection fails."""


def from_network(error: BaseException) -> Trouble:
    """Return an error of a connection, in words. None of them holds a header or a query."""
    if isinstance(error, Trouble):
        return error
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        return Untrusted("its certificate cannot be trusted")
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return Untrusted("it does not speak TLS as it should")
    if isinstance(error, TimeoutError):
        return Silent("nothing came in time")
    if isinstance(error, aiohttp.ClientConnectorError):
        return Unreachable(f"no connection: {error.os_error.strerror or error.os_error}")
    if isinstance(error, aiohttp.ClientPayloadError | ConnectionResetError | EOFError):
        return Broken("the connection was cut")
    if isinstance(error, OSError) and error.strerror:
        return Broken(f"the connection broke: {error.strerror}")
    return Broken("the connection ended before an answer, or what came is not HTTP")


def wait_of(status: int, headers: Mapping[str, str]) -> float | None:
    """Return after how many seconds to come back; None where that would change nothing."""
    said = headers.get(hdrs.RETRY_AFTER, "")
    if status not in _LATER or not (said.isascii() and said.isdigit()):
        return None
    return float(said[:6]) if float(said[:6]) <= _LONGEST_WAIT else None


def shown(body: bytes) -> str:
    """Return the beginning of a body."""
    text = " ".join(body[: 2 * _SHOWN].decode("utf-8", "replace").split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …"


def _said(body: bytes, key: str) -> str | None:
    try:
        document = msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    value = document.get(key)
    return value if isinstance(value, str) else None
