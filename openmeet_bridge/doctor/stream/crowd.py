"""Many streams of one user: the oldest is ended, and is told why."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Final

from ...stream.reasons import CloseReason
from ..finding import Finding, Report, fail, ok, skip
from .advice import BRIDGE
from .reading import Reading
from .scene import Scene, made
from .sse_client import sse
from .ws_client import Socket, websocket

CHECKS: Final = ("many_streams",)

_MOST = 64
_REASON = CloseReason.TOO_MANY_STREAMS


async def examine(scene: Scene, report: Report) -> None:
    """Check the limit of one user's streams, where that was asked for."""
    if scene.crowd and not scene.surface.whole:
        report(skip("many_streams", "needs the bridge's own API"))
        return
    if scene.crowd:
        report(await made("many_streams", _crowd(scene)))
        return
    text = "it ends other streams of the user's: ask for it with --many-streams"
    report(skip("many_streams", text))


async def _crowd(scene: Scene) -> Finding:
    async with AsyncExitStack() as stack:
        socket = await stack.enter_async_context(websocket(scene.client))
        await socket.greeted(scene.patience.first)
        stream = await stack.enter_async_context(sse(scene.client))
        await stream.greeted(scene.patience.first)
        for _ in range(_MOST):
            if stream.ended is not None:
                break
            newer = await stack.enter_async_context(sse(scene.client))
            await newer.greeted(scene.patience.first)
        else:
            text = f"no stream was ended by {_MOST} newer ones: limits.streams_per_user is higher"
            return skip("many_streams", text)
        await socket.until(lambda: socket.ended, scene.patience.first)
        return _judged(socket, stream)


def _judged(socket: Socket, stream: Reading) -> Finding:
    flaws = [flaw for reading in (socket, stream) for flaw in _flaws(reading)]
    if socket.close_code != _REASON.ws_code:
        flaws.append(f"ws: close code {socket.close_code} in place of {_REASON.ws_code}")
    if flaws:
        text = "the oldest stream is ended, and not told why as documented"
        return fail("many_streams", text, BRIDGE.fix, flaws)
    text = f"the oldest stream is ended with {_REASON.value}, and not asked to come back"
    return ok("many_streams", text)


def _flaws(reading: Reading) -> list[str]:
    if reading.ended is None:
        return [f"{reading.wire}: it stays open"]
    bye = next(iter(reading.of("bye")), None)
    if bye is None:
        return [f"{reading.wire}: no bye came ({reading.ended})"]
    if bye.data != {"reason": _REASON.value, "reconnect": False}:
        return [f"{reading.wire}: its bye says {dict(bye.data)}"]
    return []
