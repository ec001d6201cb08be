"""Messages, where a room is given for them: live on every wire, and again from a cursor."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Final

from ..finding import Finding, Outcome, Report, fail, ok, skip, warn
from .advice import BRIDGE, PASSING, failed
from .client import Client
from .reading import Reading
from .resuming import Way, key, lasting
from .scene import Scene, made
from .sse_client import sse
from .trouble import Silent, Trouble
from .watch import Watch

CHECKS: Final = ("room", "delivery", "latency", "resume_messages")

_NAME_ANOTHER = "name a room of theirs, by its id"
_LIVE = 3
_MISSED = 3
_TEXT = "Test of the streams by `openmeet-bridge doctor`, {}. Please do not mind it."


class Sent:
    """What was sent.

    Attributes:
        at: When each message was sent, by its event id, in the order of sending.
    """

    def __init__(self, scene: Scene) -> None:
        self.at: dict[str, float] = {}
        self._scene = scene
        self._room = scene.room or ""
        self._name = secrets.token_hex(4)

    async def one(self) -> str:
        """Send a message; return its event id.

        Raises:
            Trouble: It is not taken, or not sent in time.
        """
        number = len(self.at) + 1
        name = f"doctor-{self._name}-{number}"
        text = _TEXT.format(f"{self._name} {number}")
        began = time.monotonic()
        event_id = await self._scene.surface.send(self._scene.client, self._room, name, text)
        self.at[event_id] = began
        return event_id


async def examine(scene: Scene, watch: Watch, ways: Sequence[Way], report: Report) -> None:
    """Send messages, and look who gets them.

    Args:
        scene: Who sends, and where.
        watch: The streams that are open.
        ways: On which a cursor can be given.
        report: Takes the findings.
    """
    if scene.room is None:
        for check in CHECKS:
            report(skip(check, "sends messages: name a room for them with --room"))
        return
    room = await made("room", _room(scene))
    report(room)
    if room.outcome is Outcome.FAIL:
        for check in CHECKS[1:]:
            report(skip(check, "needs a room of the user's"))
        return
    sent = Sent(scene)
    async with AsyncExitStack() as stack:
        readers = dict(watch.readings)
        if scene.other is not None and room.outcome is Outcome.OK:
            stream = sse(scene.other, path=scene.surface.stream)
            with suppress(Trouble):  # of which enough was said where the first user's was opened
                readers["second user"] = await stack.enter_async_context(stream)
                await readers["second user"].greeted(scene.patience.first)
        live = {name: one for name, one in readers.items() if one.hello and one.ended is None}
        report(await made("delivery", _delivery(scene, live, sent)))
        report(_latency(live, sent))
    if ways:
        report(await made("resume_messages", _resumed(scene, ways), PASSING))
    else:
        report(skip("resume_messages", "needs a first frame"))


async def _room(scene: Scene) -> Finding:
    if not await _is_in(scene, scene.client):
        return fail("room", "the first user is not in it", _NAME_ANOTHER)
    if scene.other is not None and not await _is_in(scene, scene.other):
        return warn("room", "the second user is not in it, and reads nothing", _NAME_ANOTHER)
    return ok("room", "is there; messages are sent to it now")


async def _is_in(scene: Scene, client: Client) -> bool:
    return await scene.surface.is_in(client, scene.room or "")


# Live


async def _delivery(scene: Scene, readers: Mapping[str, Reading], sent: Sent) -> Finding:
    """Every message reaches every open stream, once, in the order of sending."""
    if not readers:
        return skip("delivery", "needs an open stream")
    for _ in range(_LIVE):
        await sent.one()
    await _all_have(readers.values(), sent.at, scene.patience.first)
    wrong = [
        f"{name}: {flaw}"
        for name, reading in readers.items()
        if (flaw := _flaw(reading.messages(sent.at), list(sent.at)))
    ]
    if wrong:
        text = "what was sent did not come once, in order, on every stream"
        return fail("delivery", text, BRIDGE.fix, wrong)
    return ok("delivery", f"{_LIVE} messages came once, in order, on {', '.join(readers)}")


def _latency(readers: Mapping[str, Reading], sent: Sent) -> Finding:
    """How long a message takes, with the homeserver in between. No verdict."""
    spans = {name: sorted(_spans(reading, sent.at)) for name, reading in readers.items()}
    told = [
        f"{name}: {found[len(found) // 2] * 1000:.0f} ms, at most {found[-1] * 1000:.0f} ms"
        for name, found in spans.items()
        if found
    ]
    if not told:
        return skip("latency", "needs a message that comes")
    text = "from the request that sends a message to its frame, homeserver included"
    return Finding("latency", Outcome.OK, text, details=told)


def _spans(reading: Reading, at: Mapping[str, float]) -> list[float]:
    first: dict[str, float] = {}
    for frame in reading.of("timeline", "m.room.message"):
        event_id = str(frame.data.get("event_id"))
        if event_id in at:
            first.setdefault(event_id, frame.at - at[event_id])
    return list(first.values())


# Missed


async def _resumed(scene: Scene, ways: Sequence[Way]) -> Finding:
    """What is sent between two streams comes on the second, once, on every way alike."""
    sent = Sent(scene)
    cursor = await _seen(scene, ways[0], sent)
    before = next(iter(sent.at))
    for _ in range(_MISSED):
        await sent.one()
    async with AsyncExitStack() as stack:
        readings: dict[str, Reading] = {}
        for way in ways:
            readings[way.name] = await stack.enter_async_context(way.open(scene.client, cursor))
        for reading in readings.values():
            await reading.greeted(scene.patience.first)
        await sent.one()
        wanted = [event_id for event_id in sent.at if event_id != before]
        await _all_have(readings.values(), wanted, scene.patience.first)
    wrong = [
        f"{name}: {flaw}"
        for name, reading in readings.items()
        if (flaw := _flaw(reading.messages(sent.at), wanted))
    ]
    if wrong:
        text = "what was missed did not come once, in order, after the cursor"
        return fail("resume_messages", text, PASSING.fix, [*wrong, *PASSING.settings])
    (_, first), *rest = readings.items()
    for name, reading in rest:
        if _shown(reading, wanted) != _shown(first, wanted):
            return failed("resume_messages", f"{name} shows the messages otherwise", BRIDGE)
    text = f"{_MISSED} missed messages and a new one came once, in order, alike on every way"
    return ok("resume_messages", text)


async def _seen(scene: Scene, way: Way, sent: Sent) -> str:
    """Send a message, and see it on a stream that ends then; return the stream's last cursor."""
    async with way.begin(scene.client) as reading:
        await reading.greeted(scene.patience.first)
        await sent.one()
        await _all_have([reading], sent.at, scene.patience.first)
        if reading.cursor is None or not reading.messages(sent.at):
            raise Silent("a message that was sent did not come on an open stream")
        return reading.cursor


def _shown(reading: Reading, wanted: Collection[str]) -> list[object]:
    return [
        (key(frame), lasting(frame))
        for frame in reading.of("timeline", "m.room.message")
        if frame.data.get("event_id") in wanted
    ]


async def _all_have(readings: Iterable[Reading], wanted: Collection[str], seconds: float) -> None:
    """Wait until all streams have all messages, and no longer than some time altogether."""
    deadline = time.monotonic() + seconds
    for reading in readings:
        await reading.until(partial(_has, reading, wanted), max(0.0, deadline - time.monotonic()))


def _has(reading: Reading, wanted: Collection[str]) -> bool | None:
    return set(wanted) <= set(reading.messages(wanted)) or None


def _flaw(came: Sequence[str], wanted: Sequence[str]) -> str:
    """Return what is wrong with the messages that came; empty where nothing is."""
    missing = [one for one in wanted if one not in came]
    if missing:
        return f"{len(missing)} of {len(wanted)} messages did not come"
    if any(came.count(one) > 1 for one in wanted):
        return "a message came twice"
    if list(came) != list(wanted):
        return "messages came in another order, or one that was seen before came again"
    return ""
