"""Fetching pictures from OpenMeet's file storage, within limits.

Their addresses are in profiles that people fill in: what is behind one may be of any size, kind
and speed, or a machine that only the bridge can reach.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from .public_addresses import NotPublic, PublicResolver, is_public

_REDIRECTS = 3
_CHUNK = 64 * 1024
_CONNECT = 5.0
_MOVED = frozenset({301, 302, 303, 307, 308})


class PictureProblem(Exception):
    """No picture could be had.

    Args:
        reason: Why, for an operator.
        passing: It may be otherwise soon: nothing was said about the picture itself.
    """

    def __init__(self, reason: str, *, passing: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.passing = passing


@dataclass(frozen=True, slots=True)
class Fetched:
    """What is at an address: its bytes, or None where they are as they were."""

    data: bytes | None
    etag: str | None


class PictureStore:
    """OpenMeet's file storage, as whoever may read it. An asynchronous context manager.

    Args:
        max_bytes: Largest file.
        timeout: Longest time for one, redirects included, in seconds.
        allow_private_addresses: Connect also to machines that are not on the public internet.
    """

    def __init__(
        self, *, max_bytes: int, timeout: float, allow_private_addresses: bool = False
    ) -> None:
        self._max_bytes = max_bytes
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=_CONNECT)
        self._anywhere = allow_private_addresses
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all connections."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def fetch(self, url: str, etag: str | None = None) -> Fetched:
        """Fetch a file.

        Args:
            url: Where it is.
            etag: Of the version that is known already; then no bytes come if it is still there.

        Raises:
            PictureProblem: It could not be had.
        """
        place = _parsed(url)
        for _ in range(_REDIRECTS + 1):
            self._check(place)
            answer = await self._ask(place, etag)
            if isinstance(answer, Fetched):
                return answer
            place = answer
        raise PictureProblem(f"more than {_REDIRECTS} redirects")

    def _check(self, place: URL) -> None:
        if place.scheme not in ("http", "https") or not place.host:
            raise PictureProblem("neither an http:// nor an https:// address")
        if not self._anywhere and _is_address(place.host) and not is_public(place.host):
            # The resolver is not asked about numbers.
            raise PictureProblem(f"{place.host} is not on the public internet")

    async def _ask(self, place: URL, etag: str | None) -> Fetched | URL:
        # Compressed answers are not asked for and not unpacked: small on the way could be huge.
        headers = {"Accept": "image/*", "Accept-Encoding": "identity"}
        if etag is not None:
            headers["If-None-Match"] = etag
        try:
            async with self._http().get(
                place, headers=headers, timeout=self._timeout, allow_redirects=False
            ) as answer:
                return await self._read(answer, place)
        except NotPublic as error:
            raise PictureProblem(str(error)) from None
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, NotPublic):
                raise PictureProblem(str(error.os_error)) from None
            raise PictureProblem(_said(error), passing=True) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise PictureProblem(_said(error), passing=True) from None

    async def _read(self, answer: aiohttp.ClientResponse, place: URL) -> Fetched | URL:
        status = answer.status
        if status in _MOVED:
            return place.join(_parsed(answer.headers.get("Location", "")))
        if status == 304:
            return Fetched(None, None)
        if status != 200:
            passing = status >= 500 or status in (408, 425, 429)
            raise PictureProblem(f"status {status}", passing=passing)
        data = await self._body(answer)
        return Fetched(data, answer.headers.get("ETag"))

    async def _body(self, answer: aiohttp.ClientResponse) -> bytes:
        data = bytearray()
        async for chunk in answer.content.iter_chunked(_CHUNK):
            data += chunk
            if len(data) > self._max_bytes:
                raise PictureProblem(f"larger than {self._max_bytes} bytes")
        return bytes(data)

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            resolver = None if self._anywhere else PublicResolver()
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=resolver, limit=8, use_dns_cache=False),
                auto_decompress=False,
                # What one server sets must not be sent along to another.
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def _parsed(url: str) -> URL:
    try:
        return URL(url)
    except ValueError:
        raise PictureProblem("not an address") from None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _said(error: Exception) -> str:
    return f"no answer ({type(error).__name__})"
