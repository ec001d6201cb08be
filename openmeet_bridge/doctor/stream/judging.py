"""What is to be said of a stream that was watched for a while. No clock and no network in here."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ...stream.reasons import CloseReason
from ..finding import Finding, fail, ok, skip, warn
from .advice import BUFFERING, HEARTBEATS, IDLE, failed, warned
from .reading import HEARTBEATS as BEATS
from .reading import Reading

_DEAD = 2.5
"""After as many heartbeats without a byte clients take a connection for dead."""

_LATE = 1.5
_USUAL = 20.0
_SLACK = 1.0
_TOGETHER = 0.25
_RESTARTED = {CloseReason.SHUTDOWN.value}
_AS_MEANT = {CloseReason.LIFETIME.value, CloseReason.IDLE.value}
_CROWDED = {CloseReason.TOO_MANY_STREAMS.value}


def stays_open(reading: Reading, until: float) -> Finding:
    """Judge whether a stream has lived as long as it was watched.

    Args:
        reading: What has come.
        until: When the watch ended.
    """
    check = f"{reading.wire}_stays_open"
    if reading.ended is None:
        return ok(check, f"open for {_seconds(until - reading.began)}, to the end of the watch")
    lived = reading.ended_at - reading.began
    bye = next(iter(reading.of("bye")), None)
    if bye is not None:
        return _said_bye(check, str(bye.data.get("reason")), lived)
    last = reading.frames[-1].at if reading.frames else reading.began
    text = (
        f"cut after {_seconds(lived)}, {_seconds(reading.ended_at - last)} after the last byte, "
        f"without a last frame ({reading.ended}): something on the way has a limit"
    )
    return failed(check, text, IDLE)


def _said_bye(check: str, reason: str, lived: float) -> Finding:
    text = f"the bridge ended it after {_seconds(lived)}: {reason}"
    if reason in _AS_MEANT:
        return ok(check, text)
    if reason in _RESTARTED:
        return warn(check, text, "run it again when the bridge is not being restarted")
    if reason in _CROWDED:
        fix = "use an account that nobody else uses, or raise limits.streams_per_user"
        return warn(check, text, fix)
    return fail(check, text, "see `Reasons of an end` in the reference of streams")


def heartbeats(reading: Reading, promised: float | None, until: float) -> Finding:
    """Judge whether signs of life came as promised, one by one.

    Args:
        reading: What has come.
        promised: Seconds between two of them; None where nothing is promised: as usual then.
        until: When the watch ended.
    """
    check = f"{reading.wire}_heartbeats"
    end = until if reading.ended is None else min(until, reading.ended_at)
    hello = reading.hello
    if hello is None:
        return skip(check, "needs a first frame")
    beats = [(frame.at, frame.piece) for frame in reading.of(*BEATS)]
    times = [hello.at, *(frame.at for frame in reading.frames if frame.at > hello.at), end]
    silence = max(later - earlier for earlier, later in pairwise(times))
    every = f"one every {promised or _USUAL:g} s is {'promised' if promised else 'usual'}"
    bunches = _in_bunches(beats, promised or 0.0)
    promised = promised or _USUAL
    if silence > _DEAD * promised:
        text = f"nothing came for {_seconds(silence)}, though {every}: clients give it up then"
        return failed(check, text, HEARTBEATS)
    if bunches:
        text = f"{len(beats)} heartbeats came in bunches, though {every}: something collects them"
        return failed(check, text, BUFFERING)
    if silence > _LATE * promised + _SLACK:
        text = f"nothing came for {_seconds(silence)}, though {every}"
        return warned(check, text, BUFFERING)
    if not beats:
        more = "" if end - hello.at < promised else "; other frames came in their place"
        return skip(check, f"none came in {_seconds(end - hello.at)}, {every}{more}")
    return ok(check, f"{len(beats)} in {_seconds(end - hello.at)}, {every}")


def _in_bunches(beats: Sequence[tuple[float, int]], promised: float) -> bool:
    """Whether more heartbeats came together with the one before than by themselves."""
    close = [
        first[1] == second[1] or second[0] - first[0] < _TOGETHER * promised
        for first, second in pairwise(beats)
    ]
    return sum(close) * 2 > len(close)


def _seconds(span: float) -> str:
    return f"{span:.1f} s" if span < 10 else f"{span:.0f} s"
