"""Going on from a cursor: it must arrive, and bring what was missed, once, on every wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from ...core.cursor import Cursor
from ...core.ids import Position
from ..finding import Finding, Report, fail, ok, skip
from .advice import BRIDGE, PASSING, failed
from .client import Client
from .reading import HEARTBEATS, HELLOS, Frame, Reading
from .scene import Scene, made
from .sse_client import SSE, WEB_APP, sse
from .surface import Surface
from .target import WEB_APP_EVENTS
from .ws_client import WS, websocket

CHECKS: Final = ("reset", "resume")

_BACK = 50
_BEYOND = 1 << 40
_NO_EPOCH = "00000000"
_MALFORMED = "no-cursor-of-the-bridge"


Opened = AbstractAsyncContextManager[Reading]


@dataclass(frozen=True)
class Way:
    """A way on which a cursor reaches the bridge.

    Attributes:
        name: For people.
        wire: Of the streams on it.
        begin: Opens a stream without a cursor.
        open: Opens one with a cursor.
    """

    name: str
    wire: str
    begin: Callable[[Client], Opened]
    open: Callable[[Client, str], Opened]


def _by_header(client: Client, cursor: str) -> Opened:
    return sse(client, headers={"Last-Event-ID": cursor})


def _by_query(client: Client, cursor: str) -> Opened:
    return sse(client, params={"cursor": cursor})


def _web_app(client: Client) -> Opened:
    return sse(client, path=WEB_APP_EVENTS)


def _web_app_by_header(client: Client, cursor: str) -> Opened:
    return sse(client, path=WEB_APP_EVENTS, headers={"Last-Event-ID": cursor})


def _web_app_by_query(client: Client, cursor: str) -> Opened:
    return sse(client, path=WEB_APP_EVENTS, params={"cursor": cursor})


def _by_socket(client: Client, cursor: str) -> Opened:
    return websocket(client, params={"cursor": cursor})


_WAYS: Final = (
    Way("the header Last-Event-ID", SSE, sse, _by_header),
    Way("the query of a stream", SSE, sse, _by_query),
    Way("the query of a WebSocket", WS, websocket, _by_socket),
)
_WEB_APP_WAYS: Final = (
    Way("the header Last-Event-ID", WEB_APP, _web_app, _web_app_by_header),
    Way("the query of a stream", WEB_APP, _web_app, _web_app_by_query),
)


def ways_of(surface: Surface) -> Sequence[Way]:
    """Return the ways on which a part of the bridge is given a cursor."""
    return _WAYS if surface.whole else _WEB_APP_WAYS


async def examine(scene: Scene, ways: Sequence[Way], now: str | None, report: Report) -> None:
    """Check what becomes of cursors.

    Args:
        scene: Whose streams.
        ways: On which a cursor can be given.
        now: A cursor of the present.
        report: Takes the findings.
    """
    here = Cursor.parse(now or "")
    if here is None or not ways:
        for check in CHECKS:
            report(skip(check, "needs a cursor, which comes with the first frame"))
        return
    report(await made("reset", _resets(scene, ways, here), PASSING))
    report(await made("resume", _resume(scene, ways, here), PASSING))


# Cursors of no use


async def _resets(scene: Scene, ways: Sequence[Way], here: Cursor) -> Finding:
    foreign = _NO_EPOCH if here.epoch != _NO_EPOCH else "ffffffff"
    beyond = Cursor(here.epoch, Position(here.position + _BEYOND))
    cases = [
        *((way, _MALFORMED, "malformed_cursor") for way in ways),
        *((way, str(Cursor(foreign, here.position)), "unknown_cursor") for way in ways),
        (ways[0], str(beyond), "unknown_cursor"),
    ]
    wrong = [flaw for case in cases if (flaw := await _reset_flaw(scene, *case))]
    if wrong:
        text = "cursors of no use are not answered with `reset`: clients would miss what came"
        return fail("reset", text, PASSING.fix, [*wrong, *PASSING.settings])
    return ok("reset", "cursors of no use are answered with `reset`, on every way")


async def _reset_flaw(scene: Scene, way: Way, cursor: str, reason: str) -> str | None:
    async with way.open(scene.client, cursor) as reading:
        await reading.greeted(scene.patience.first)
        found = await reading.until(
            lambda: next(iter(reading.of("reset")), None), scene.patience.quiet
        )
    if found is None:
        return f"{way.name}: a cursor that is {reason.partition('_')[0]} brings no reset"
    said = found.data.get("reason")
    if said != reason:
        return f"{way.name}: the reset says {said} in place of {reason}"
    if found.cursor is None or found.cursor != _place(found):
        return f"{way.name}: the reset has no cursor to go on from"
    return None


# The past, once more


async def _resume(scene: Scene, ways: Sequence[Way], here: Cursor) -> Finding:
    """Replay a piece of the past on every way: the same frames, in order, each once."""
    finding = await _replay(scene, ways, here)
    # What somebody changes meanwhile looks like a difference, once.
    return await _replay(scene, ways, here) if finding.fix else finding


async def _replay(scene: Scene, ways: Sequence[Way], here: Cursor) -> Finding:
    back = str(Cursor(here.epoch, Position(max(0, here.position - _BACK))))
    async with AsyncExitStack() as stack:
        readings = {}
        for way in ways:
            readings[way.name] = await stack.enter_async_context(way.open(scene.client, back))
        for reading in readings.values():
            await reading.greeted(scene.patience.first)
        for reading in readings.values():
            await reading.quiet(scene.patience.quiet, scene.patience.first)
    flaws = [
        f"{name}: {flaw}" for name, reading in readings.items() for flaw in _flaws(reading, back)
    ]
    if flaws:
        text = "a stream does not go on from the cursor that it was given"
        return fail("resume", text, PASSING.fix, [*flaws, *PASSING.settings])
    return _compared({name: replayed(reading) for name, reading in readings.items()}, here)


def _flaws(reading: Reading, back: str) -> list[str]:
    hello = reading.hello
    if hello is None:
        return ["no first frame"]
    if _place(hello) != back:
        return ["it begins elsewhere: the cursor did not arrive"]
    return repeated(reading)


def _place(frame: Frame) -> object:
    """Return the cursor that a frame names in its data: the web app's under another name."""
    return frame.data.get("cursor", frame.data.get("_cursor"))


def repeated(reading: Reading) -> list[str]:
    """Return what has come twice, or before what was earlier."""
    keys = [key(frame) for frame in replayed(reading)]
    flaws = [f"{one[0]} at {one[1]} came twice" for one in sorted(set(keys)) if keys.count(one) > 1]
    places = [found for one in keys if (found := Cursor.parse(one[1])) is not None]
    if any(later.position < earlier.position for earlier, later in pairwise(places)):
        flaws.append("frames came in another order than that of their cursors")
    return flaws


def replayed(reading: Reading) -> list[Frame]:
    """Return the frames that have a place of their own."""
    others = HEARTBEATS | HELLOS | {"reset"}
    return [one for one in reading.frames if one.cursor and one.type not in others]


def key(frame: Frame) -> tuple[str, str, str]:
    """Return what tells a frame from all others."""
    subject = frame.data.get("event_id") or frame.data.get("room_id")
    return frame.type, frame.cursor or "", str(subject)


def _compared(replays: Mapping[str, Sequence[Frame]], here: Cursor) -> Finding:
    """Compare the replays as far as all of them reach: what comes later comes at its own time."""
    told = {
        name: [(key(one), lasting(one)) for one in frames if _is_past(one, here)]
        for name, frames in replays.items()
    }
    (first, wanted), *rest = told.items()
    for name, found in rest:
        if found != wanted:
            text = f"{name} brings other frames than {first}: {len(found)} and {len(wanted)}"
            return failed("resume", text, BRIDGE)
    if not wanted:
        return ok("resume", "streams begin where they are told to; nothing was there to replay")
    return ok("resume", f"{len(wanted)} frames of the past came again, alike and once on every way")


def lasting(frame: Frame) -> dict[str, object]:
    """Return a frame's data without the moment at which it was written."""
    return {name: value for name, value in frame.data.items() if name != "_broadcastTime"}


def _is_past(frame: Frame, here: Cursor) -> bool:
    place = Cursor.parse(frame.cursor or "")
    return place is not None and place.position <= here.position
