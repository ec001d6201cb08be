"""Proxies before a bridge that are set up wrong, in the ways that are found out there."""

from __future__ import annotations

import asyncio
import re
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import WSMsgType, hdrs, web
from yarl import URL

from openmeet_bridge.demo.synapse import HOST

from .ports import free_port

_STREAM = "text/event-stream"
_HEARTBEAT = re.compile(
    rb"event: heartbeat\n(?:id: [^\n]*\n)?data: [^\n]*\n\n|^:[^\n]*\n(?:id: [^\n]*\n)?\n",
    re.MULTILINE,
)
_OF_A_HOP = frozenset(
    name.lower()
    for name in (
        hdrs.HOST,
        hdrs.CONNECTION,
        hdrs.UPGRADE,
        hdrs.TRANSFER_ENCODING,
        hdrs.CONTENT_LENGTH,
        hdrs.SEC_WEBSOCKET_KEY,
        hdrs.SEC_WEBSOCKET_VERSION,
        hdrs.SEC_WEBSOCKET_EXTENSIONS,
        hdrs.SEC_WEBSOCKET_PROTOCOL,
    )
)


@dataclass(frozen=True)
class Fault:
    """What a proxy does wrong.

    Attributes:
        holds: It keeps what comes on a stream until that ends.
        collects: It passes on what comes on a stream every so many seconds.
        idle: It cuts connections that were silent for so many seconds.
        upgrades: Whether it lets an upgrade through.
        beats: Whether it lets heartbeats through.
        without: Headers of requests that it takes away, in small letters.
        query: Whether it passes on queries.
        compresses: It compresses streams for those who take that.
        pages: It has pages of its own for errors.
        texts: Whether it lets through what clients say on a WebSocket.
        away: It does not reach the bridge at all.
    """

    holds: bool = False
    collects: float = 0.0
    idle: float | None = None
    upgrades: bool = True
    beats: bool = True
    without: frozenset[str] = frozenset()
    query: bool = True
    compresses: bool = False
    pages: bool = False
    texts: bool = True
    away: bool = False


class StreamFaultProxy:
    """A proxy with a fault. Make one with :func:`stream_fault_proxy`."""

    def __init__(self, target: str, fault: Fault, session: aiohttp.ClientSession) -> None:
        self._target = target
        self._fault = fault
        self._session = session

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Take a request."""
        if self._fault.away:
            raise web.HTTPBadGateway
        wants = request.headers.get(hdrs.UPGRADE, "").lower() == "websocket"
        try:
            if wants and self._fault.upgrades:
                return await self._websocket(request)
            return await self._forward(request)
        except aiohttp.WSServerHandshakeError as error:
            return web.Response(status=error.status)
        except aiohttp.ClientError as error:
            raise web.HTTPBadGateway(text=type(error).__name__) from error

    def _address(self, request: web.Request) -> URL:
        path = request.raw_path if self._fault.query else request.raw_path.partition("?")[0]
        return URL(self._target + path, encoded=True)

    def _kept(self, headers: Any) -> dict[str, str]:
        dropped = _OF_A_HOP | self._fault.without
        return {name: value for name, value in headers.items() if name.lower() not in dropped}

    # Answers

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        async with self._session.request(
            request.method,
            self._address(request),
            data=await request.read(),
            headers=self._kept(request.headers),
            allow_redirects=False,
        ) as answer:
            if answer.content_type == _STREAM and answer.status == 200:
                return await self._stream(request, answer)
            if self._fault.pages and answer.status >= 400:
                page = f"<h1>{answer.status}</h1>"
                return web.Response(status=answer.status, text=page, content_type="text/html")
            headers = self._kept(answer.headers)
            return web.Response(status=answer.status, body=await answer.read(), headers=headers)

    async def _stream(
        self, request: web.Request, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers=self._kept(answer.headers))
        zipped = self._fault.compresses and "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, "")
        if zipped:
            response.headers[hdrs.CONTENT_ENCODING] = "gzip"
        response.force_close()
        await response.prepare(request)
        packer = zlib.compressobj(wbits=31)
        with suppress(ConnectionError, aiohttp.ClientError):
            async for piece in self._pieces(answer):
                await response.write(packer.compress(piece) if zipped else piece)
        if request.transport is not None:
            request.transport.abort()
        return response

    async def _pieces(self, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        kept, since = b"", time.monotonic()
        while True:
            try:
                async with asyncio.timeout(self._fault.idle):
                    piece = await answer.content.readany()
            except TimeoutError:
                return
            if not piece:
                yield kept
                return
            kept += piece if self._fault.beats else _HEARTBEAT.sub(b"", piece)
            if self._fault.holds or time.monotonic() - since < self._fault.collects:
                continue
            yield kept
            kept, since = b"", time.monotonic()

    # WebSockets

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        headers = self._kept(request.headers)
        async with self._session.ws_connect(
            self._address(request), headers=headers, autoping=False
        ) as inner:
            outer = web.WebSocketResponse(autoping=False)
            await outer.prepare(request)
            ways = [
                asyncio.create_task(self._down(inner, outer)),
                asyncio.create_task(self._up(outer, inner)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
            if inner.close_code in (None, 1006) and not outer.closed and request.transport:
                request.transport.abort()
            return outer

    async def _down(
        self, inner: aiohttp.ClientWebSocketResponse, outer: web.WebSocketResponse
    ) -> None:
        with suppress(TimeoutError, ConnectionError):
            while True:
                message = await inner.receive(timeout=self._fault.idle)
                if message.type is WSMsgType.TEXT:
                    if self._fault.beats or '"type":"heartbeat"' not in message.data:
                        await outer.send_str(message.data)
                elif message.type is WSMsgType.PONG:
                    await outer.pong(message.data)
                elif message.type is WSMsgType.PING:
                    await inner.pong(message.data)
                else:
                    return

    async def _up(
        self, outer: web.WebSocketResponse, inner: aiohttp.ClientWebSocketResponse
    ) -> None:
        with suppress(ConnectionError):
            while True:
                message = await outer.receive()
                if message.type is WSMsgType.TEXT:
                    if not self._fault.texts:
                        return
                    await inner.send_str(message.data)
                elif message.type is WSMsgType.PING:
                    await inner.ping(message.data)
                elif message.type is WSMsgType.PONG:
                    continue
                else:
                    return


@asynccontextmanager
async def stream_fault_proxy(target: str, fault: Fault) -> AsyncIterator[str]:
    """Runs a proxy for the length of the block; yields its address.

    Args:
        target: The bridge's address.
        fault: What it does wrong.
    """
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
        proxy = StreamFaultProxy(target, fault, session)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", proxy.handle)
        # Who hangs up ends what waits for them.
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2
        )
        port = free_port()
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, port, reuse_address=True).start()
            yield f"http://{HOST}:{port}"
        finally:
            await runner.cleanup()
