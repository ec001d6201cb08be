"""Cursors: what a client holds to resume a stream or to page through a timeline."""

from __future__ import annotations

import re
from typing import NamedTuple

from .ids import Position

_CURSOR = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{1,15})")
_ORDER = re.compile(r"[0-9a-f]{16}")

SORT_KEY_STEP = 1 << 20
"""Room left between two neighbours of a timeline for entries that are repaired in between."""


BEFORE_ALL = Position(-(1 << 62))
"""Below all positions: those of what is older than the log are below zero."""


class Cursor(NamedTuple):
    """A place in the log: everything up to ``position`` has been seen.

    ``epoch`` names one life of the log. A database that was made anew has another epoch, so that
    a cursor of the old one is told from a cursor of the new one with the same number.
    """

    epoch: str
    position: Position

    def __str__(self) -> str:
        return f"1-{self.epoch}-{self.position:x}"

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        """Return the cursor written by :meth:`__str__`; None where the text is none."""
        match = _CURSOR.fullmatch(text)
        return cls(match[1], Position(int(match[2], 16))) if match else None


_ZERO = 1 << 62
"""Written for the sort key 0, so that keys of either sign are texts in the right order."""


def order_text(sort_key: int) -> str:
    """Write a sort key so that the order of the texts is the order of the timeline."""
    return f"{sort_key + _ZERO:016x}"


def parse_order(text: str) -> int | None:
    """Return the sort key written by :func:`order_text`; None where the text is none."""
    return int(text, 16) - _ZERO if _ORDER.fullmatch(text) and text < "8" else None
