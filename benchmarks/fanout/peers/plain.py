"""Server-sent events as aiohttp's examples have them: ``python -m benchmarks.fanout.peers.plain``.

Readers ask for ``/sub?room=R``; a message that is posted to ``/pub?room=R`` is encoded once and
written to each of them in turn. No tokens, no log, no limits.
"""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict

from aiohttp import web

from openmeet_bridge.app import run_loop


class Rooms:
    """Who reads what."""

    def __init__(self) -> None:
        self._readers: defaultdict[str, set[web.StreamResponse]] = defaultdict(set)

    async def read(self, request: web.Request) -> web.StreamResponse:
        """Answer with a stream, until its reader goes."""
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        )
        await response.prepare(request)
        readers = self._readers[request.query["room"]]
        readers.add(response)
        try:
            await asyncio.Event().wait()
        finally:
            readers.discard(response)
        return response

    async def publish(self, request: web.Request) -> web.Response:
        """Write a message to everybody in a room."""
        data = b"data: %b\n\n" % await request.read()
        for response in list(self._readers[request.query["room"]]):
            await response.write(data)
        return web.Response(text="ok")


async def _serve(port: int) -> int:
    rooms = Rooms()
    app = web.Application()
    app.add_routes([web.get("/sub", rooms.read), web.post("/pub", rooms.publish)])
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    await asyncio.Event().wait()
    return 0


if __name__ == "__main__":
    run_loop(_serve(int(sys.argv[1])))
