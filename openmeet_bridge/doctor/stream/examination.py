"""The examination of streams: every check, in an order in which each helps to read the next."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from ..finding import Finding, Report, fail, skip
from ..sheet import Sheet
from . import connections, crowd, demo_people, messages, reach, resuming, talking, tickets, watch
from . import socketio_checks as socketio
from .client import Client
from .scene import UNKNOWN_HEARTBEAT, Scene
from .target import NOBODY, Caller, Target
from .trouble import Trouble
from .watch import Watch

_LATER = (
    *watch.OPENING,
    *talking.CHECKS,
    *socketio.CHECKS,
    *connections.CHECKS,
    *tickets.CHECKS,
    *resuming.CHECKS,
    *messages.CHECKS,
    *watch.ENDING,
    *crowd.CHECKS,
)
_MORE_SECONDS = 30.0


@dataclass(frozen=True)
class Order:
    """What is to be examined, and how.

    Attributes:
        target: The deployment.
        callers: One user or two; none: the people of a demonstration.
        room: Where messages may be sent; None: nothing is sent.
        crowd: Whether the user's streams may be pushed out.
        least_watch: Streams are watched for so many seconds at least.
    """

    target: Target
    callers: Sequence[Caller] = field(default=(), repr=False)
    room: str | None = None
    crowd: bool = False
    least_watch: float = 0.0


def run(order: Order, as_json: bool) -> int:
    """Examine, and print what is found.

    Args:
        order: What, and how.
        as_json: Print one JSON document at the end instead of lines.

    Returns:
        0 when nothing failed, else 1; also when it was stopped.
    """
    sheet = Sheet(as_json)
    try:
        asyncio.run(examine(order, sheet, _say))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sheet.conclude()
        return 1
    return sheet.conclude()


async def examine(
    order: Order, report: Report, say: Callable[[str], None] = lambda _: None
) -> None:
    """Make every check; what cannot be made is skipped, and says why.

    Args:
        order: What is examined, and how.
        report: Takes the findings.
        say: Told what takes long.
    """
    done: set[str] = set()

    def note(finding: Finding) -> None:
        done.add(finding.check)
        report(_without(finding, [caller.token for caller in callers if caller.token]))

    callers: Sequence[Caller] = order.callers
    async with Client(order.target, NOBODY) as stranger:
        if not callers:
            callers = await _demo(stranger, order.room)
        try:
            await _examine(order, callers, stranger, note, say)
        except Exception as error:  # whatever a deployment says: a finding, and no traceback
            text = f"the examination itself failed: {type(error).__name__}"
            note(fail("examination", text, "report this, with what answers at the address"))
        for check in (*reach.CHECKS, *_LATER):
            if check not in done:
                note(skip(check, "not made"))


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)


async def _demo(stranger: Client, room: str | None) -> Sequence[Caller]:
    try:
        return await demo_people.callers(stranger, room)
    except Trouble:
        return ()  # what is wrong with the address is found out in a moment


async def _examine(
    order: Order,
    callers: Sequence[Caller],
    stranger: Client,
    report: Report,
    say: Callable[[str], None],
) -> None:
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(Client(order.target, one))
            for one in callers or (NOBODY,)
        ]
        other = clients[1] if len(clients) > 1 else None
        scene = Scene(clients[0], stranger, other, order.room, order.crowd)
        least = max(order.least_watch, order.target.patience.watched(UNKNOWN_HEARTBEAT))
        if not await reach.examine(scene, least + _MORE_SECONDS, report):
            for check in _LATER:
                report(skip(check, "needs a token that the bridge takes"))
            return
        async with Watch(scene) as streams:
            await _beside(scene, streams, report)
            seconds = max(
                order.least_watch, scene.patience.watched(streams.heartbeat or UNKNOWN_HEARTBEAT)
            )
            say(f"watching the streams for {seconds:.0f} s in all …")
            await streams.ended(seconds, report)
        await crowd.examine(scene, report)


async def _beside(scene: Scene, streams: Watch, report: Report) -> None:
    """Make the checks that need no long watch, while that goes on."""
    await streams.opened(report)
    await talking.examine(scene, report)
    await socketio.examine(scene, report)
    # What is held back is found out once. Everything else would only be late as well.
    if scene.surface.wire in streams.sound:
        await connections.examine(scene, report)
        await tickets.examine(scene, report)
    else:
        for check in (*connections.CHECKS, *tickets.CHECKS):
            report(skip(check, "needs server-sent events that come at once"))
    ways = [way for way in resuming.ways_of(scene.surface) if way.wire in streams.sound]
    now = next((streams.readings[way.wire].cursor for way in ways), None)
    await resuming.examine(scene, ways, now, report)
    await messages.examine(scene, streams, ways, report)


def _without(finding: Finding, secrets: Sequence[str]) -> Finding:
    """Return a finding in which no token stands, whatever a deployment has sent back."""

    def clean(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, "…")
        return text

    details = [clean(detail) for detail in finding.details]
    return Finding(finding.check, finding.outcome, clean(finding.text), clean(finding.fix), details)
