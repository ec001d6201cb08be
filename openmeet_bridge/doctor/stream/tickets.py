"""Tickets: a browser's ``EventSource`` can send no header, so its token must become a query."""

from __future__ import annotations

from typing import Final

from ...api.client import StreamTicket
from ..finding import Finding, Report, fail, ok, skip
from .advice import CACHING, PASSING, failed
from .scene import Scene, made, told
from .sse_client import sse
from .trouble import Refused

CHECKS: Final = ("ticket",)


async def examine(scene: Scene, report: Report) -> None:
    """Check that a stream opens with a ticket, and only once."""
    report(await made("ticket", _ticket(scene), PASSING))


async def _ticket(scene: Scene) -> Finding:
    answer = await scene.client.ask("POST", "/api/v1/stream/tickets")
    if answer.status == 404 and not scene.surface.whole:
        return skip("ticket", "needs the bridge's own API")
    path = scene.surface.stream
    params = {"ticket": answer.decoded(StreamTicket).ticket}
    try:
        async with sse(scene.stranger, path=path, params=params) as reading:
            if await reading.greeted(scene.patience.first) is None:
                return failed("ticket", "no frame came on a stream with a ticket", PASSING)
    except Refused as error:
        return failed("ticket", f"a fresh ticket is not taken: {told(error)}", PASSING)
    try:
        async with sse(scene.stranger, path=path, params=params):
            pass
    except Refused as error:
        if error.status == 401:
            return ok("ticket", "opens a stream without a header, and only once")
        return fail("ticket", f"a spent ticket: {told(error)}", "see the bridge's log")
    return failed("ticket", "the same ticket opens a second stream: an answer was kept", CACHING)
