"""Socket.IO: polling, the change from it to WebSocket, and the namespace."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from ..finding import Finding, Report, fail, ok, skip
from .advice import ROUTE, STICKY, UPGRADE, failed
from .scene import Scene, made
from .socketio_client import FIRST, SOCKETIO, Namespace, Polling, greeted, join, poll, upgraded
from .sse_client import sse
from .trouble import Refused, Trouble

CHECKS: Final = ("socketio_polling", "socketio_upgrade")

_NOT_HERE = (
    "not at this address: web_app.enabled is off, or web_app.transports does not offer it, or the "
    "proxy leads elsewhere"
)
_ASK = "join-user-rooms"


async def examine(scene: Scene, report: Report) -> None:
    """Check Socket.IO as a client comes that begins to poll."""
    polling: Polling | None = None

    async def comes_in() -> Finding:
        nonlocal polling
        polling = await _begun(scene)
        return await _polled(scene, polling) if polling else skip(CHECKS[0], _NOT_HERE)

    finding = await made(CHECKS[0], comes_in(), ROUTE)
    if finding.fix and await _has_to_wait(scene):
        await asyncio.sleep(scene.patience.dropped)
        finding = await made(CHECKS[0], comes_in(), ROUTE)
    report(finding)
    if polling is None or finding.fix:
        report(skip(CHECKS[1], "needs polling"))
    elif "websocket" not in polling.greeting.upgrades:
        report(skip(CHECKS[1], "web_app.transports does not offer WebSocket"))
    else:
        report(await made(CHECKS[1], _upgraded(scene, polling), UPGRADE))


async def _begun(scene: Scene) -> Polling | None:
    """Begin to poll; return None where nobody may."""
    try:
        first = await poll(scene.client, FIRST)
    except Refused as error:
        no_polling = error.status == 400 and b"transport" in error.body.lower()
        if error.status == 404 or no_polling:
            return None
        raise
    return Polling(scene.client, greeted(first[0]), Namespace(SOCKETIO))


async def _has_to_wait(scene: Scene) -> bool:
    """Whether the user has opened too many streams lately: Socket.IO drops clients then, wordless.

    A stream tells: who opens one too many is told to come back later.
    """
    before = scene.client.waits
    try:
        async with sse(scene.client, path=scene.surface.stream):
            return scene.client.waits > before
    except Trouble:
        return False


async def _polled(scene: Scene, polling: Polling) -> Finding:
    record = polling.record
    try:
        await polling.send(join(scene.client))
        await polling.until(lambda: record.hello or record.refusal)
    except Refused as error:
        if error.status != 400:
            raise
        text = "the client is not known any more at its next request: it reached another process"
        return failed(CHECKS[0], text, STICKY)
    if record.refusal is not None:
        text = f"the namespace does not let us in: {record.refusal}"
        return fail(CHECKS[0], text, "see `Socket.IO` in the reference of OpenMeet's web app")
    if record.hello is None:
        return failed(CHECKS[0], "no first event came", ROUTE)
    interval = polling.greeting.ping_interval / 1000
    return ok(CHECKS[0], f"comes in by polling, a ping every {interval:g} s")


async def _upgraded(scene: Scene, polling: Polling) -> Finding:
    async with upgraded(scene.client, polling) as live:
        answer: Any = await live.ask(7, _ASK, {"userId": scene.mxid}, scene.patience.first)
        if isinstance(answer, dict) and answer.get("success") is True:
            return ok(CHECKS[1], "goes on over WebSocket, and is answered there")
        text = f"after the change to WebSocket no event is answered: {live.ended or answer}"
        return failed(CHECKS[1], text, UPGRADE)
