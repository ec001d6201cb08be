"""What a client says on a WebSocket: pings, a text, the end."""

from __future__ import annotations

import secrets
from typing import Final

from aiohttp import WSCloseCode

from ..finding import Finding, Report, ok, skip
from .advice import FRAMES, failed
from .scene import Scene, made
from .trouble import NETWORK, Broken, Trouble, from_network
from .ws_client import ABNORMAL, Socket, websocket

CHECKS: Final = ("ws_ping", "ws_text", "ws_close")


async def examine(scene: Scene, report: Report) -> None:
    """Check what the other side does with what is said to it."""
    try:
        async with websocket(scene.client) as socket:
            await socket.greeted(scene.patience.first)
            report(await made("ws_ping", _ping(scene, socket), FRAMES))
            report(await made("ws_text", _text(scene, socket), FRAMES))
            report(await made("ws_close", _close(scene, socket), FRAMES))
    except Trouble:
        for check in CHECKS:
            report(skip(check, "needs a WebSocket"))


async def _ping(scene: Scene, socket: Socket) -> Finding:
    payload = secrets.token_bytes(8)
    if await socket.ping(payload, scene.patience.first):
        return ok("ws_ping", "answered by a pong with the same payload")
    others = f", but {len(socket.pongs)} with another payload" if socket.pongs else ""
    text = f"no pong came{others}: clients that ask whether it lives give it up"
    return failed("ws_ping", text, FRAMES)


async def _text(scene: Scene, socket: Socket) -> Finding:
    await socket.say("{}")
    if await socket.ping(secrets.token_bytes(8), scene.patience.first):
        return ok("ws_text", "harms nothing")
    text = f"after a text that means nothing the connection is gone: {socket.ended or 'silent'}"
    return failed("ws_text", text, FRAMES)


async def _close(scene: Scene, socket: Socket) -> Finding:
    if socket.ended is not None:
        raise Broken(f"it was closed by the other side before: {socket.ended}")
    try:
        await socket.connection.close(code=WSCloseCode.OK)
    except NETWORK as error:
        raise from_network(error) from error
    code = socket.connection.close_code
    if code in (None, ABNORMAL):
        text = "a close is not answered (RFC 6455, 5.5.1): browsers wait before they come back"
        return failed("ws_close", text, FRAMES)
    return ok("ws_close", f"answered with code {code}")
