"""Lanes: the fixed number of channels over which the bus speaks of any number of topics.

A server of pub/sub keeps a list for every channel that somebody listens to. With a channel for
every room, each reader who opens a page would make one and drop it again; so topics share lanes,
and who hears of a topic that is not its own lets it pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Final
from zlib import crc32

from .bus import EVERYBODY, WHOLE_LOG

LANES: Final = 4096
EVERYBODYS_LANE: Final = LANES
WHOLE_LOGS_LANE: Final = LANES + 1
_APART: Final = {EVERYBODY: EVERYBODYS_LANE, WHOLE_LOG: WHOLE_LOGS_LANE}


def lane_of(topic: str) -> int:
    """Return the lane of a topic: the same in every process."""
    apart = _APART.get(topic)
    return crc32(topic.encode()) % LANES if apart is None else apart


def by_lane(topics: Iterable[str]) -> dict[int, list[str]]:
    """Return topics by their lanes."""
    found: dict[int, list[str]] = {}
    for topic in topics:
        found.setdefault(lane_of(topic), []).append(topic)
    return found


class Topics:
    """The topics that a process has begun, each counted, and the lanes that they need.

    Everybody's topic is always among them.
    """

    def __init__(self) -> None:
        self._begun: Counter[str] = Counter()
        self._lanes: Counter[int] = Counter()
        self.begin(EVERYBODY)

    @property
    def lanes(self) -> Collection[int]:
        """The lanes that are needed now."""
        return self._lanes.keys()

    def __contains__(self, topic: str) -> bool:
        return topic in self._begun

    def begin(self, topic: str) -> bool:
        """Count a beginning; return whether the topic is new."""
        self._begun[topic] += 1
        if self._begun[topic] > 1:
            return False
        self._lanes[lane_of(topic)] += 1
        return True

    def end(self, topic: str) -> bool:
        """Count an end; return whether it was the last. One too many does no harm."""
        if topic not in self._begun:
            return False
        self._begun[topic] -= 1
        if self._begun[topic]:
            return False
        del self._begun[topic]
        lane = lane_of(topic)
        self._lanes[lane] -= 1
        if not self._lanes[lane]:
            del self._lanes[lane]
        return True
