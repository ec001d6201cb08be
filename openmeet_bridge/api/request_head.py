"""The head of a request, read from its bytes: the plain GET that a client of a stream sends.

Only what is beyond doubt is read here. Whatever is unusual, however legal, is left to the HTTP
server: a body, an older version, characters outside ASCII, a field twice that may be there once.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import hdrs
from multidict import CIMultiDict, MultiDict

LONGEST: Final = 8190
"""Bytes; the HTTP server takes longer ones for a mistake."""

_HEAD = re.compile(
    rb"GET (?P<path>/[\w./~-]*)(?:\?(?P<query>[!\"$-~]*))? HTTP/1\.1\r\n"
    rb"(?P<fields>(?:[\w!#$%&'*+.^`|~-]+:[\t -~]*\r\n)+)\r\n",
    re.ASCII,
)
_UNUSUAL = frozenset({"content-length", "content-type", "expect", "transfer-encoding"})
_SEVERAL = frozenset({"accept", "accept-encoding", "accept-language", "via", "x-forwarded-for"})
"""Fields that proxies and browsers do repeat, and that mean the same as one with commas."""


class RequestHead:
    """A request that is nothing but its head.

    Attributes:
        method: Its method.
        path: Its path.
        host: The host that it names.
        remote: The address from which it comes.
        headers: Its fields.
        query: The parameters of its address.
        cookies: Its cookies.
    """

    __slots__ = ("cookies", "headers", "host", "method", "path", "query", "remote")

    def __init__(
        self,
        path: str,
        headers: CIMultiDict[str],
        query: MultiDict[str],
        cookies: Mapping[str, str],
        remote: str,
    ) -> None:
        self.method = hdrs.METH_GET
        self.path = path
        self.host = headers[hdrs.HOST]
        self.remote: str | None = remote
        self.headers = headers
        self.query = query
        self.cookies = cookies


def read_head(data: bytes, remote: str) -> RequestHead | None:
    """Return the request that some bytes are, all of them; None: read by the HTTP server.

    Args:
        data: What a client has said first.
        remote: The address from which it comes.
    """
    found = _HEAD.fullmatch(data) if len(data) < LONGEST else None
    if found is None:
        return None
    headers = _fields(found["fields"].decode("ascii"))
    if headers is None:
        return None
    try:
        query = MultiDict(
            parse_qsl(
                (found["query"] or b"").decode("ascii"), keep_blank_values=True, errors="strict"
            )
        )
    except UnicodeDecodeError:
        return None
    cookies = _cookies(headers.get(hdrs.COOKIE))
    if cookies is None:
        return None
    return RequestHead(found["path"].decode("ascii"), headers, query, cookies, remote)


def _fields(text: str) -> CIMultiDict[str] | None:
    """Return the fields; None where one of them makes the request unusual."""
    pairs = [line.partition(":") for line in text[:-2].split("\r\n")]
    names = {name.lower() for name, _, _ in pairs}
    if "host" not in names or not names.isdisjoint(_UNUSUAL):
        return None
    if len(names) < len(pairs):
        counts = Counter(name.lower() for name, _, _ in pairs)
        if any(count > 1 and name not in _SEVERAL for name, count in counts.items()):
            return None
    return CIMultiDict([(name, value.strip(" \t")) for name, _, value in pairs])


def _cookies(text: str | None) -> dict[str, str] | None:
    """Return cookies (RFC 6265, section 4.2.1); None where two have one name, or one is quoted."""
    if text is None:
        return {}
    if '"' in text:
        return None
    pairs = [part.partition("=") for part in text.split(";")]
    found = {name.strip(): value.strip() for name, _, value in pairs}
    return found if len(found) == len(pairs) else None
