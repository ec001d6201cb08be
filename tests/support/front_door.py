"""What stands before bridge and OpenMeet's backend, so that both have one address: it can fail.

The web app knows one address for everything. Its chat routes and its sockets go to the bridge; what
stays with OpenMeet's own backend is answered here: new tokens for old, and nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import hdrs, web
from jose import jwt
from yarl import URL

from openmeet_bridge.demo.synapse import HOST

from .ports import free_port

TO_BRIDGE = ("/api/chat", "/api/matrix", "/socket.io")
_OF_A_HOP = frozenset(
    name.lower()
    for name in (
        hdrs.HOST,
        hdrs.CONNECTION,
        hdrs.UPGRADE,
        hdrs.TRANSFER_ENCODING,
        hdrs.CONTENT_LENGTH,
        hdrs.CONTENT_ENCODING,
        hdrs.SEC_WEBSOCKET_KEY,
        hdrs.SEC_WEBSOCKET_VERSION,
        hdrs.SEC_WEBSOCKET_EXTENSIONS,
        hdrs.SEC_WEBSOCKET_PROTOCOL,
    )
)


@dataclass(frozen=True)
class Account:
    """Somebody's login with OpenMeet.

    Attributes:
        number: Of their row in ``users``.
        session: Of their row in ``sessions``.
    """

    tenant: str
    number: int
    session: int
    slug: str

    def token(self, secret: str, *, lifetime: float = 900.0, **claims: Any) -> str:
        """Return an access token as OpenMeet signs it: it names no tenant.

        Args:
            secret: OpenMeet's, one for all tenants.
            lifetime: Seconds; negative for one that has expired.
            claims: Others than usual; None leaves one out.
        """
        now = time.time()
        usual = {
            "id": self.number,
            "role": {"id": 1, "name": "user", "permissions": [{"id": 1, "name": "READ"}]},
            "slug": self.slug,
            "sessionId": self.session,
            "iat": int(min(now, now + lifetime - 900)),
            "exp": int(now + lifetime),
        }
        wanted = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        return str(jwt.encode(wanted, secret, algorithm="HS256"))


class FrontDoor:
    """A reverse proxy. Make one with :func:`front_door`.

    Attributes:
        accounts: Who has which refresh token.
        refreshed: The refresh tokens that were used.
        shut: Whether everybody is turned away, without a word.
    """

    def __init__(self, bridge_url: str, secret: str) -> None:
        self.accounts: dict[str, Account] = {}
        self.refreshed: list[str] = []
        self.shut = False
        self.port = free_port()
        self._bridge = bridge_url
        self._secret = secret
        self._open: set[asyncio.Transport] = set()
        self._session: aiohttp.ClientSession

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.port}"

    def drop(self) -> None:
        """Cut every socket of Socket.IO, as a proxy does that is restarted."""
        for transport in self._open:
            transport.abort()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Take a request."""
        transport = request.transport
        assert transport is not None
        if self.shut:
            transport.abort()
            raise web.HTTPServiceUnavailable
        if not request.path.startswith(TO_BRIDGE):
            return self._backend(request)
        is_socket = request.path.startswith("/socket.io")
        if is_socket:
            self._open.add(transport)
        try:
            if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
                return await self._websocket(request)
            return await self._forward(request)
        except aiohttp.WSServerHandshakeError as error:
            return web.Response(status=error.status)
        except aiohttp.ClientError as error:
            raise web.HTTPBadGateway(text=type(error).__name__) from error
        finally:
            self._open.discard(transport)

    def _backend(self, request: web.Request) -> web.Response:
        """OpenMeet's own backend, as far as chat needs it."""
        old = request.headers.get(hdrs.AUTHORIZATION, "").removeprefix("Bearer ")
        account = self.accounts.get(old)
        if request.path == "/api/v1/auth/refresh" and account is not None:
            new = f"{old}+"
            self.accounts[new] = account
            self.refreshed.append(old)
            token = account.token(self._secret)
            expires = round((time.time() + 900) * 1000)
            return web.json_response(
                {"token": token, "refreshToken": new, "tokenExpires": expires}, status=200
            )
        status = 401 if request.path.startswith("/api/v1/auth/") else 404
        return web.json_response({"statusCode": status, "message": "not here"}, status=status)

    def _target(self, request: web.Request) -> URL:
        return URL(self._bridge + request.raw_path, encoded=True)

    async def _forward(self, request: web.Request) -> web.Response:
        async with self._session.request(
            request.method,
            self._target(request),
            data=await request.read(),
            headers=_kept(request.headers),
            allow_redirects=False,
        ) as answer:
            body = await answer.read()
            return web.Response(status=answer.status, body=body, headers=_kept(answer.headers))

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        headers = _kept(request.headers)
        async with self._session.ws_connect(self._target(request), headers=headers) as inner:
            outer = web.WebSocketResponse(compress=False)
            await outer.prepare(request)
            ways = [asyncio.create_task(_pass(*pair)) for pair in ((inner, outer), (outer, inner))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
            # As a proxy does: no farewell when the other side has gone without one.
            if inner.close_code in (None, 1006) and request.transport is not None:
                request.transport.abort()
            return outer


Socket = aiohttp.ClientWebSocketResponse | web.WebSocketResponse


async def _pass(source: Socket, target: Socket) -> None:
    with suppress(ConnectionError):
        async for message in source:
            if message.type is aiohttp.WSMsgType.TEXT:
                await target.send_str(message.data)
            elif message.type is aiohttp.WSMsgType.BINARY:
                await target.send_bytes(message.data)


def _kept(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _OF_A_HOP}


@asynccontextmanager
async def front_door(bridge_url: str, secret: str) -> AsyncIterator[FrontDoor]:
    """Run one for the length of the block.

    Args:
        bridge_url: The bridge's public listener.
        secret: With what OpenMeet signs its tokens.
    """
    door = FrontDoor(bridge_url, secret)
    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{path:.*}", door.handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    async with aiohttp.ClientSession(auto_decompress=True) as session:
        door._session = session
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, door.port, reuse_address=True).start()
            yield door
        finally:
            door.drop()
            await runner.cleanup()
