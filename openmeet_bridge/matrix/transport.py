"""One HTTP request to the homeserver: bytes out, bytes in, every failure a HomeserverError.

mautrix' ``HTTPAPI.request`` is not used: it parses every answer, writes request bodies into the
debug log, and drops ``retry_after_ms``. Its path builder and its errors are.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import aiohttp
import msgspec
from mautrix.api import Method, PathBuilder
from mautrix.errors import make_request_error
from prometheus_client import Counter, Histogram
from yarl import URL

from .errors import (
    HomeserverError,
    HomeserverUnavailable,
    PingFailed,
    RateLimited,
    Refused,
    TokenRefused,
)

DEFAULT_RETRY_AFTER_MS = 1_000
MAX_RETRY_AFTER_MS = 3_600_000
PING_ERRCODES = frozenset({"M_CONNECTION_FAILED", "M_CONNECTION_TIMEOUT", "M_BAD_STATUS"})
TOKEN_ERRCODES = frozenset({"M_UNKNOWN_TOKEN", "M_MISSING_TOKEN"})

CALLS = Counter(
    "openmeet_bridge_homeserver_calls",
    "Calls to the homeserver by verb and outcome (ok, refused, rate_limited, unavailable).",
    ("verb", "outcome"),
)
SECONDS = Histogram(
    "openmeet_bridge_homeserver_call_seconds",
    "How long calls to the homeserver take, answered or not.",
    ("verb",),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)


class Timeouts(NamedTuple):
    """Bounds of one call, in seconds."""

    connect: float = 5.0
    total: float = 30.0


class Call(NamedTuple):
    """One request: what it is called in metrics, and what goes on the wire."""

    verb: str
    method: Method
    path: PathBuilder
    query: Mapping[str, str] = {}
    body: bytes | None = None
    extra_seconds: float = 0.0
    authorized: bool = True
    content_type: str = "application/json"


class _ErrorBody(msgspec.Struct):
    errcode: str
    error: str = ""
    retry_after_ms: float | None = None


class Transport:
    """Sends calls on a session that somebody else opens and closes.

    Args:
        session: The HTTP session; its connector bounds the concurrency.
        base_url: The homeserver's client-server address; may have a path of its own.
        as_token: Goes into the Authorization header and nowhere else.
        timeouts: Bounds of each call.
    """

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, as_token: str, timeouts: Timeouts
    ) -> None:
        self._session = session
        self._base = URL(base_url)
        self._authorization = {"Authorization": f"Bearer {as_token}"}
        self._timeouts = timeouts

    async def send(self, call: Call) -> bytes:
        """Sends once, never repeats.

        Args:
            call: The request.

        Returns:
            The body of a 2xx answer.

        Raises:
            HomeserverError: Everything that can go wrong on the way or at the other end.
        """
        began = time.perf_counter()
        outcome = "cancelled"
        try:
            body = await self._exchange(call)
            outcome = "ok"
        except HomeserverError as error:
            outcome = _outcome(error)
            raise
        finally:
            CALLS.labels(call.verb, outcome).inc()
            SECONDS.labels(call.verb).observe(time.perf_counter() - began)
        return body

    async def _exchange(self, call: Call) -> bytes:
        try:
            async with self._session.request(
                call.method.value,
                self._url(call),
                data=call.body,
                headers=self._headers(call),
                timeout=self._timeout(call),
                # A redirect would carry the as_token to wherever a proxy points.
                allow_redirects=False,
            ) as response:
                body = await response.read()
                status, retry_after = response.status, response.headers.get("Retry-After")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise HomeserverUnavailable(f"{call.verb}: no answer ({_reason(error)})") from error
        if 200 <= status < 300:
            return body
        raise _failure(call.verb, status, body, retry_after)

    def _url(self, call: Call) -> URL:
        path = f"{self._base.raw_path.rstrip('/')}/{call.path}"
        if {".", ".."} & set(path.split("/")):
            # Legal in no Matrix identifier, and proxies resolve them to another endpoint.
            raise Refused(400, "M_INVALID_PARAM", "an identifier is a dot segment")
        return self._base.with_path(path, encoded=True).with_query(dict(call.query))

    def _headers(self, call: Call) -> dict[str, str]:
        headers = dict(self._authorization) if call.authorized else {}
        if call.body is not None:
            headers["Content-Type"] = call.content_type
        return headers

    def _timeout(self, call: Call) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(
            total=self._timeouts.total + call.extra_seconds, sock_connect=self._timeouts.connect
        )


def _reason(error: Exception) -> str:
    # aiohttp's texts name host and port at most; a timeout has no text.
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _outcome(error: HomeserverError) -> str:
    if isinstance(error, Refused):
        return "refused"
    return "rate_limited" if isinstance(error, RateLimited) else "unavailable"


def _failure(verb: str, status: int, body: bytes, retry_after: str | None) -> HomeserverError:
    answer = _error_body(body)
    if status == 429:
        return _rate_limited(answer, retry_after)
    if answer is None:
        return _not_matrix(verb, status)
    if status >= 500 or status == 408:
        return _server_failure(verb, status, answer)
    return _refused(status, answer)


def _error_body(body: bytes) -> _ErrorBody | None:
    try:
        return msgspec.json.decode(body, type=_ErrorBody)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _rate_limited(answer: _ErrorBody | None, retry_after: str | None) -> RateLimited:
    # The specification prefers the header since v1.10, but the body has the finer unit: the
    # longer of the two satisfies both.
    waits = [_header_ms(retry_after), (answer and answer.retry_after_ms) or 0]
    wait = int(min(max(waits), MAX_RETRY_AFTER_MS)) or DEFAULT_RETRY_AFTER_MS
    return RateLimited(
        (answer and answer.error) or "too many requests",
        retry_after_ms=max(wait, 0),
        errcode=answer.errcode if answer else None,
    )


def _header_ms(value: str | None) -> float:
    """Milliseconds of a Retry-After header: seconds, or an HTTP date (RFC 9110, 10.2.3)."""
    if value is None:
        return 0
    if value.strip().isdecimal():
        return int(value) * 1000
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return 0
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds() * 1000


def _not_matrix(verb: str, status: int) -> HomeserverError:
    """An error without an errcode comes from a proxy in between, which is no verdict.

    Only "too large" is one whoever says it: the same bytes will not pass later either.
    """
    if status == 413:
        return Refused(413, "M_TOO_LARGE", "the request is too large for a proxy on the way")
    return HomeserverUnavailable(f"{verb}: status {status} and no Matrix error", status=status)


def _server_failure(verb: str, status: int, answer: _ErrorBody) -> HomeserverUnavailable:
    ping = verb == "ping" and answer.errcode in PING_ERRCODES
    kind = PingFailed if ping else HomeserverUnavailable
    text = f"{verb}: status {status} {answer.errcode}: {answer.error}"
    return kind(text, status=status, errcode=answer.errcode)


def _refused(status: int, answer: _ErrorBody) -> Refused:
    kind = TokenRefused if answer.errcode in TOKEN_ERRCODES else Refused
    error = kind(status, answer.errcode, answer.error)
    # The text stays empty: it would put the whole body into every traceback.
    error.__cause__ = make_request_error(status, "", answer.errcode, answer.error)
    return error
