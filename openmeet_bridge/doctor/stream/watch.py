"""The watch: one stream of each kind, opened at the beginning and looked at until the end."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Final

from aiohttp import hdrs

from ..finding import Finding, Report, fail, ok, skip
from .advice import BUFFERING, CACHING, COMPRESSION, PASSING, UPGRADE, failed, warned
from .judging import heartbeats, stays_open
from .reading import Frame, Reading
from .scene import Scene, told
from .socketio_client import SOCKETIO, Namespace, socketio
from .sse_client import KIND, SSE, WEB_APP, sse
from .target import WEB_APP_EVENTS
from .trouble import Refused, Silent, Trouble
from .ws_client import WS, websocket

WIRES: Final = (SSE, WS, SOCKETIO, WEB_APP)

OPENING: Final = (
    "sse_first_frame",
    "sse_headers",
    "sse_compression",
    "ws_first_frame",
    "socketio_first_frame",
    "web_app_events_first_frame",
)
ENDING: Final = tuple(f"{wire}_{what}" for wire in WIRES for what in ("heartbeats", "stays_open"))

_NAMES = {
    SSE: "server-sent events",
    WS: "WebSocket",
    SOCKETIO: "Socket.IO",
    WEB_APP: "the web app's events",
}
_ADVICE = {SSE: BUFFERING, WS: UPGRADE, SOCKETIO: UPGRADE, WEB_APP: BUFFERING}
_ASKED = "gzip, deflate, br, zstd"


class Watch:
    """Streams that stay open for the length of the block.

    Args:
        scene: Whose streams.

    Attributes:
        readings: Those that are open, by their wires.
        troubles: Why the others are not.
        sound: The wires whose first frame has come at once.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._stack = AsyncExitStack()
        self.readings: dict[str, Reading] = {}
        self.troubles: dict[str, Trouble] = {}
        self.sound: set[str] = set()
        self.began = 0.0

    async def __aenter__(self) -> Watch:
        client = self._scene.client
        self.began = time.monotonic()
        streams: dict[str, AbstractAsyncContextManager[Reading]] = {}
        if self._scene.surface.whole:
            streams |= {SSE: sse(client), WS: websocket(client)}
        streams |= {SOCKETIO: socketio(client), WEB_APP: sse(client, path=WEB_APP_EVENTS)}
        for wire, stream in streams.items():
            try:
                self.readings[wire] = await self._stack.enter_async_context(stream)
            except Trouble as error:
                self.troubles[wire] = error
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @property
    def heartbeat(self) -> float | None:
        """Seconds between two heartbeats, as the streams promise them; None where none does."""
        for wire in (SSE, WS):
            reading = self.readings.get(wire)
            if reading is not None and reading.heartbeat is not None:
                return reading.heartbeat
        return None

    # The beginning

    async def opened(self, report: Report) -> None:
        """Report how the streams began."""
        report(await self._first(SSE))
        report(self._headers())
        report(await _compression(self._scene))
        for wire in (WS, SOCKETIO, WEB_APP):
            report(await self._first(wire))

    async def _first(self, wire: str) -> Finding:
        check = f"{wire}_first_frame"
        reading = self.readings.get(wire)
        if reading is None and wire not in self.troubles:
            return skip(check, "needs the bridge's own API")
        if reading is None:
            return self._unopened(check, wire, self.troubles[wire])
        patience = self._scene.patience
        # All streams were opened together: what the first ones are given is taken from the others.
        rest = self.began + patience.first - time.monotonic()
        hello = await reading.greeted(max(rest, patience.first / 10))
        if hello is not None:
            finding = _came(check, wire, reading, hello, patience.at_once)
            if not finding.fix:
                self.sound.add(wire)
            return finding
        if isinstance(reading, Namespace) and reading.refusal is not None:
            text = f"the namespace does not let us in: {reading.refusal}"
            return fail(check, text, "see `Socket.IO` in the reference of OpenMeet's web app")
        if reading.ended is not None:
            text = f"ended before its first frame: {reading.ended}"
            return failed(check, text, _ADVICE[wire])
        text = (
            f"{_NAMES[wire]}: the answer began, and no frame came in {patience.first:g} s: "
            "something holds back what the bridge says at once"
        )
        return failed(check, text, BUFFERING)

    def _unopened(self, check: str, wire: str, error: Trouble) -> Finding:
        if isinstance(error, Refused) and wire in (SOCKETIO, WEB_APP) and error.status == 404:
            text = "not at this address: web_app.enabled is off, or the proxy leads elsewhere"
            return skip(check, text)
        if isinstance(error, Refused) and error.errcode == "M_LIMIT_EXCEEDED":
            return fail(check, told(error), "raise limits.streams, or come back later")
        if isinstance(error, Silent):
            return failed(check, "not even the head of an answer came in time", BUFFERING)
        text = f"{_NAMES[wire]} cannot be opened: {told(error)}"
        if wire == SOCKETIO and isinstance(error, Refused) and b"upgrade" not in error.body:
            return failed(check, text, PASSING)  # what is wanted stands in the query
        return failed(check, text, _ADVICE[wire])

    def _headers(self) -> Finding:
        reading = self.readings.get(self._scene.surface.wire)
        if reading is None:
            return skip("sse_headers", "needs a stream")
        headers = reading.headers
        if hdrs.CONTENT_ENCODING in headers:
            text = f"compressed ({headers[hdrs.CONTENT_ENCODING]}), which nobody has asked for"
            return failed("sse_headers", text, COMPRESSION)
        if "no-store" not in headers.get(hdrs.CACHE_CONTROL, "").lower():
            kept = headers.get(hdrs.CACHE_CONTROL, "nothing")
            text = f"Cache-Control says {kept} in place of no-store: caches may keep a stream"
            return failed("sse_headers", text, CACHING)
        if hdrs.CONTENT_LENGTH in headers:
            text = "a stream has a Content-Length: something collects it before it goes on"
            return failed("sse_headers", text, BUFFERING)
        hint = headers.get("X-Accel-Buffering")
        more = "X-Accel-Buffering: no" if hint == "no" else "X-Accel-Buffering was used on the way"
        return ok("sse_headers", f"{KIND}, no-store, not compressed; {more}")

    # The end

    async def ended(self, seconds: float, report: Report) -> None:
        """Wait for the end of the watch, and report what became of the streams.

        Args:
            seconds: How long each is watched.
            report: Takes the findings.
        """
        # From the last of their beginnings on, so that each is watched for as long.
        hellos = [one.hello.at for one in self.readings.values() if one.hello is not None]
        await asyncio.sleep(max([self.began, *hellos]) + seconds - time.monotonic())
        until = time.monotonic()
        for wire in WIRES:
            reading = self.readings.get(wire)
            if reading is None or (reading.hello is None and reading.ended is None):
                for what in ("heartbeats", "stays_open"):
                    report(skip(f"{wire}_{what}", "needs a first frame"))
                continue
            report(heartbeats(reading, reading.heartbeat or self.heartbeat, until))
            report(self._stays(reading, until))

    def _stays(self, reading: Reading, until: float) -> Finding:
        if reading.flaws:
            text = f"not as documented: {reading.flaws[0]}"
            fix = "see the reference of streams; does something on the way rewrite it?"
            return fail(f"{reading.wire}_stays_open", text, fix, reading.flaws[1:10])
        return stays_open(reading, until)


def _came(check: str, wire: str, reading: Reading, hello: Frame, at_once: float) -> Finding:
    took = hello.at - reading.began
    name = _NAMES[wire]
    if took <= at_once:
        return ok(check, f"{name}: {took * 1000:.0f} ms after the request")
    text = f"{name}: only {took:.1f} s after the request: something holds it back"
    return failed(check, text, BUFFERING)


async def _compression(scene: Scene) -> Finding:
    """A browser asks for compression, whatever it opens."""
    check = "sse_compression"
    headers: dict[str, str] = {hdrs.ACCEPT_ENCODING: _ASKED, hdrs.ACCEPT: KIND}
    try:
        async with scene.client.opened("GET", scene.surface.stream, headers=headers) as answer:
            coding = answer.headers.get(hdrs.CONTENT_ENCODING)
    except Trouble as error:
        return skip(check, f"no stream: {told(error)}")
    if coding is not None:
        text = f"a browser gets it compressed ({coding}), and what is compressed waits for more"
        return warned(check, text, COMPRESSION)
    return ok(check, "not compressed, also where a browser asks for it")
