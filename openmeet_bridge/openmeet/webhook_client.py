"""One attempt at posting a webhook."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp

from ..core.webhooks import Endpoint
from .webhook_signature import signed_headers

SECONDS: Final = 15.0
"""Longest time of one attempt, from the look-up of the name to the end of the answer."""

_LONGEST_REST: Final = 86_400.0
_ANSWER_BYTES: Final = 16 * 1024
_GONE: Final = 410


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an attempt.

    Attributes:
        problem: Why it failed, without anything private; None: the endpoint has taken it.
        gone: The endpoint wants nothing any more.
        retry_after: Seconds for which the endpoint asks to be left in peace.
    """

    problem: str | None = None
    gone: bool = False
    retry_after: float | None = None


def session() -> aiohttp.ClientSession:
    """Return a client for webhooks: it keeps no cookies, and never waits for another endpoint."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
    )


async def post(
    client: aiohttp.ClientSession,
    endpoint: Endpoint,
    message_id: str,
    body: bytes,
    seconds: float = SECONDS,
) -> Answer:
    """Post a webhook once. Redirects are not followed, and the answer's body is not looked at.

    Args:
        client: From :func:`session`.
        endpoint: Where to.
        message_id: The same in every attempt.
        body: JSON.
        seconds: How long the attempt may take.
    """
    headers = signed_headers(endpoint.secret, message_id, int(time.time()), body)
    headers |= {"Content-Type": "application/json", "User-Agent": "openmeet-bridge"}
    try:
        async with (
            asyncio.timeout(seconds),
            client.post(
                endpoint.url, data=body, headers=headers, allow_redirects=False
            ) as response,
        ):
            # Read a little, so that the connection can serve again; a long answer costs it that.
            await response.content.read(_ANSWER_BYTES)
            return _answer(response.status, response.headers.get("Retry-After"))
    except TimeoutError:
        return Answer(f"no answer within {seconds:g} s")
    except aiohttp.ClientError as error:
        # Not the text of the error: it may hold the address, and with it a token.
        return Answer(type(error).__name__)


def _answer(status: int, retry_after: str | None) -> Answer:
    if 200 <= status < 300:
        return Answer()
    if status == _GONE:
        return Answer("HTTP 410: the endpoint is gone", gone=True)
    problem = f"HTTP {status}"
    if 300 <= status < 400:
        problem += ": redirects are not followed"
    return Answer(problem, retry_after=_seconds(retry_after))


def _seconds(retry_after: str | None) -> float | None:
    """Read ``Retry-After``: seconds, or a date (RFC 9110, section 10.2.3)."""
    if retry_after is None:
        return None
    try:
        if retry_after.isascii() and retry_after.isdigit():
            seconds = float(retry_after[:9])
        else:
            moment = parsedate_to_datetime(retry_after)
            aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            seconds = aware.timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), _LONGEST_REST)
