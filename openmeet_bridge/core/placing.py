"""Where entries that come late belong in a timeline.

The homeserver's true order of a span of a room is known; some of its events stand in the log
already, some are missing, and some may stand in the wrong place (a transaction that was overtaken
by a later one). As few entries as possible are moved: the longest run that is in order stays, all
others get sort keys in the gaps between.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from .ids import EventId

AT_END: None = None
"""The place after everything that the room has: the new position decides the sort key."""


def place(
    span: Sequence[EventId],
    known: Mapping[EventId, int],
    lower: int,
    ceiling: int | None,
) -> dict[EventId, int | None]:
    """Return new sort keys for the events of a span that are missing or misplaced.

    Args:
        span: The events in true order, each once.
        known: Sort keys of those that are in the log.
        lower: Every key must be above this one: the last entry before the span.
        ceiling: Every key must be below this one: the first entry after it; None for no such.

    Returns:
        The events that need a place, in true order, with their keys; :data:`AT_END` for those
        that come after everything else.
    """
    kept = _longest_ordered(span, known, lower, ceiling)
    placed: dict[EventId, int | None] = {}
    waiting: list[EventId] = []
    left = lower
    for event_id in span:
        if event_id in kept:
            right = known[event_id]
            if _fill(placed, waiting, left, right):
                left, waiting = right, []
                continue
        # Missing, misplaced, or the right edge of a gap that is too narrow: it moves as well.
        waiting.append(event_id)
    if ceiling is None or not _fill(placed, waiting, left, ceiling):
        placed.update(dict.fromkeys(waiting, AT_END))
    return placed


def _fill(
    placed: dict[EventId, int | None], waiting: Sequence[EventId], left: int, right: int
) -> bool:
    """Spread events evenly between two keys; False where there is no room for them."""
    step = (right - left) // (len(waiting) + 1)
    if step == 0:
        return False
    placed.update((event_id, left + step * n) for n, event_id in enumerate(waiting, start=1))
    return True


def _longest_ordered(
    span: Sequence[EventId], known: Mapping[EventId, int], lower: int, ceiling: int | None
) -> set[EventId]:
    """Return the longest subsequence of known events whose keys rise (patience sorting)."""
    tails: list[int] = []
    tail_events: list[EventId] = []
    before: dict[EventId, EventId | None] = {}
    for event_id in span:
        key = known.get(event_id)
        if key is None or key <= lower or (ceiling is not None and key >= ceiling):
            continue
        at = bisect_left(tails, key)
        before[event_id] = tail_events[at - 1] if at else None
        tails[at : at + 1] = [key]
        tail_events[at : at + 1] = [event_id]
    kept: set[EventId] = set()
    last = tail_events[-1] if tail_events else None
    while last is not None:
        kept.add(last)
        last = before[last]
    return kept
