"""Socket.IO: polling, the change from it to WebSocket, and the namespace."""

from __future__ import annotations

from typing import Any, Final

from ..finding import Finding, Report, fail, ok, skip
from .advice import ROUTE, STICKY, UPGRADE, failed
from .scene import Scene, made, told
from .socketio_client import FIRST, SOCKETIO, Namespace, Polling, greeted, join, poll, upgraded
from .trouble import Refused, Trouble

CHECKS: Final = ("socketio_polling", "socketio_upgrade")

_ASK = "join-user-rooms"


async def examine(scene: Scene, report: Report) -> None:
    """Check Socket.IO as a client comes that begins to poll."""
    try:
        first = await poll(scene.client, FIRST)
    except Refused as error:
        text = _not_offered(error)
        report(skip(CHECKS[0], text) if text else failed(CHECKS[0], told(error), ROUTE))
        report(skip(CHECKS[1], "needs polling"))
        return
    except Trouble as error:
        report(failed(CHECKS[0], told(error), ROUTE))
        report(skip(CHECKS[1], "needs polling"))
        return
    await _both(scene, first[0], report)


def _not_offered(error: Refused) -> str:
    if error.status == 404:
        return "not at this address: web_app.enabled is off, or the proxy leads elsewhere"
    if error.status == 400 and b"transport" in error.body.lower():
        return "web_app.transports does not offer it"
    return ""


async def _both(scene: Scene, first: str, report: Report) -> None:
    record = Namespace(SOCKETIO)
    polling: Polling | None = None

    async def comes_in() -> Finding:
        nonlocal polling
        polling = Polling(scene.client, greeted(first), record)
        return await _polled(scene, polling)

    finding = await made(CHECKS[0], comes_in(), ROUTE)
    report(finding)
    if polling is None or finding.fix:
        report(skip(CHECKS[1], "needs polling"))
    elif "websocket" not in polling.greeting.upgrades:
        report(skip(CHECKS[1], "web_app.transports does not offer WebSocket"))
    else:
        report(await made(CHECKS[1], _upgraded(scene, polling), UPGRADE))


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
