"""Public keys fetched from a JWKS URL (RFC 7517), kept fresh, and kept through outages."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import structlog
from jose.backends.base import Key
from yarl import URL

from openmeet_bridge.core.errors import Unavailable
from openmeet_bridge.openmeet.keys import ASYMMETRIC, KeyProblem, jwk_key

FETCH_SECONDS = 5.0
MAX_BYTES = 256 * 1024
MAX_REDIRECTS = 3
MIN_FRESH_SECONDS = 5 * 60.0
MAX_FRESH_SECONDS = 24 * 3600.0
MAX_STALE_SECONDS = 24 * 3600.0
"""How long the last good keys are used after they should have been fetched again."""
REFETCH_SECONDS = 60.0
"""Least time between two fetches while there are keys, whatever ``kid`` a token names."""
RETRY_SECONDS = 10.0
"""Least time between two fetches as long as there are no keys at all."""

_MAX_AGE = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?(\d{1,9})")
_log: structlog.stdlib.BoundLogger = structlog.get_logger("openmeet_bridge.openmeet.jwks")


class JwksProblem(Exception):
    """A key set that cannot be had or must not be used."""


class _Jwks(msgspec.Struct):
    keys: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _KeySet:
    by_kid: dict[str | None, Key]
    fresh_until: float


class JwksKeys:
    """The public keys behind a URL.

    Args:
        url: ``https``, or ``http`` on a loopback address.
        algorithm: The tenant's algorithm; keys for others are passed over.
        session: Shared by the program; its owner closes it.
        clock: Seconds, monotonic.

    Raises:
        KeyProblem: The URL or the algorithm cannot be used.
    """

    def __init__(
        self,
        url: str,
        algorithm: str,
        session: aiohttp.ClientSession,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if algorithm not in ASYMMETRIC:
            raise KeyProblem(f"{algorithm} needs a secret, not a JWKS URL")
        self._url = _safe_url(url)
        self._algorithm = algorithm
        self._session = session
        self._clock = clock
        self._known: _KeySet | None = None
        self._not_before = float("-inf")
        self._lock = asyncio.Lock()

    async def key(self, kid: str | None) -> Key | None:
        """Returns the key for a token's ``kid``, fetching the set when that can help."""
        known = await self._current()
        found = _choose(known, kid)
        if found is None and kid is not None:
            found = _choose(await self._refetched(known), kid)
        return found

    async def _current(self) -> _KeySet:
        known = self._known
        if known and self._clock() < known.fresh_until:
            return known
        if known and self._clock() > known.fresh_until + MAX_STALE_SECONDS:
            known = self._known = None
        # While one request fetches, the others go on with the last good set, if there is one.
        if known is None or not self._lock.locked():
            await self._fetch_once()
        if self._known is None:
            raise Unavailable(
                "The keys that sign this tenant's tokens cannot be fetched now.",
                retry_after_ms=int(RETRY_SECONDS * 1000),
            )
        return self._known

    async def _refetched(self, known: _KeySet) -> _KeySet:
        await self._fetch_once()
        return self._known or known

    async def _fetch_once(self) -> None:
        async with self._lock:
            # Also true when another request has fetched while this one waited for the lock.
            if self._clock() < self._not_before:
                return
            try:
                self._known = await self._fetch()
            except (JwksProblem, aiohttp.ClientError, TimeoutError) as error:
                reason = str(error) or type(error).__name__
                _log.warning("jwks.fetch_failed", url=str(self._url), reason=reason)
            finally:
                pause = REFETCH_SECONDS if self._known else RETRY_SECONDS
                self._not_before = self._clock() + pause

    async def _fetch(self) -> _KeySet:
        async with asyncio.timeout(FETCH_SECONDS):
            raw, cache_control = await self._download()
        by_kid = _parse(raw, self._algorithm)
        return _KeySet(by_kid, self._clock() + _lifetime(cache_control))

    async def _download(self) -> tuple[bytes, str]:
        url = self._url
        for _ in range(MAX_REDIRECTS + 1):
            async with self._session.get(url, allow_redirects=False) as answer:
                if answer.status in (301, 302, 303, 307, 308):
                    url = self._redirected(url, answer.headers.get("Location", ""))
                    continue
                if answer.status != 200:
                    raise JwksProblem(f"the answer has status {answer.status}")
                return await _read(answer.content), answer.headers.get("Cache-Control", "")
        raise JwksProblem("too many redirects")

    def _redirected(self, url: URL, location: str) -> URL:
        try:
            target = url.join(URL(location))
        except ValueError as error:
            raise JwksProblem("the redirect leads nowhere") from error
        if target.origin() != self._url.origin():
            raise JwksProblem("the redirect leads to another host")
        return target


def _choose(known: _KeySet, kid: str | None) -> Key | None:
    if kid is not None:
        return known.by_kid.get(kid)
    return next(iter(known.by_kid.values())) if len(known.by_kid) == 1 else None


async def _read(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > MAX_BYTES:
            raise JwksProblem(f"the key set is larger than {MAX_BYTES} bytes")
    return bytes(body)


def _parse(raw: bytes, algorithm: str) -> dict[str | None, Key]:
    try:
        entries = msgspec.json.decode(raw, type=_Jwks).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise JwksProblem("the answer is not a key set") from error
    by_kid: dict[str | None, Key] = {}
    for entry in filter(_signs, entries):
        kid = entry.get("kid")
        if entry.get("alg", algorithm) != algorithm or not isinstance(kid, str | None):
            continue
        try:
            key = jwk_key(entry, algorithm)
        except KeyProblem:
            continue  # sets carry keys for other purposes too
        if kid in by_kid:
            raise JwksProblem("two keys of the set have the same kid")
        by_kid[kid] = key
    if not by_kid:
        raise JwksProblem(f"the key set has no key for {algorithm}")
    return by_kid


def _signs(entry: dict[str, Any]) -> bool:
    operations = entry.get("key_ops", ["verify"])
    return (
        entry.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and ("verify" in operations)
    )


def _lifetime(cache_control: str) -> float:
    found = _MAX_AGE.search(cache_control.lower())
    asked = float(found[1]) if found else 0.0
    return min(max(asked, MIN_FRESH_SECONDS), MAX_FRESH_SECONDS)


def _safe_url(text: str) -> URL:
    try:
        url = URL(text)
    except ValueError as error:
        raise KeyProblem("the JWKS URL is not a URL") from error
    if url.scheme == "https" and url.host:
        return url
    if url.scheme == "http" and url.host and _is_loopback(url.host):
        return url
    raise KeyProblem("the JWKS URL must be https (http is for loopback addresses only)")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
