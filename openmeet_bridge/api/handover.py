"""The handover of a connection: aiohttp reads the request, and the stream takes it from there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from aiohttp import web

from ..stream.sockets import Socket, Sockets
from ..stream.ws_handshake import accept_key
from .asking import Asking

_WRITTEN_POLL = 0.005
_WRITTEN_SECONDS = 5.0


class HandedOver(web.Response):
    """What a handler gives back whose connection is no longer aiohttp's: it goes to nobody."""

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write nothing: there is no connection."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Write nothing."""


class HandedRequest:
    """A visit whose request aiohttp has read.

    Args:
        request: The request.
        sockets: Take its connection.
    """

    def __init__(self, request: web.Request, sockets: Sockets) -> None:
        self._request = request
        self._sockets = sockets

    @property
    def asking(self) -> Asking:
        """Return the request."""
        return self._request

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> Socket:
        """See :meth:`Visit.answer`."""
        request = self._request
        response = web.StreamResponse(status=status, headers=headers)
        # What every answer carries: the request's id, CORS, security headers.
        await request.app.on_response_prepare.send(request, response)
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone already")
        if transport.get_write_buffer_size():
            await _all_written(transport)
        taken = self._sockets.take(transport)
        taken.write(head(status, response.headers) + body)
        return taken


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """Return the head of a response (RFC 9112, sections 4 and 5), with its date."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Date: {_date(int(time.time()))}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "\r\n"]).encode()


def upgrade_headers(key: str, deflate: str | None = None) -> dict[str, str]:
    """Return the fields of the answer that opens a WebSocket (RFC 6455, section 4.2.2)."""
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": accept_key(key),
    }
    return headers | ({"Sec-WebSocket-Extensions": deflate} if deflate else {})


@lru_cache(1)
def _date(second: int) -> str:
    """Return a time as answers carry it (RFC 9110, section 6.6.1)."""
    return formatdate(second, usegmt=True)


async def _all_written(transport: asyncio.WriteTransport) -> None:
    """Wait until what was answered before on the same connection is on its way."""
    try:
        async with asyncio.timeout(_WRITTEN_SECONDS):
            while transport.get_write_buffer_size():  # noqa: ASYNC110  (it has no event for it)
                await asyncio.sleep(_WRITTEN_POLL)
    except TimeoutError:
        raise ConnectionResetError("the client does not read what it was answered") from None
