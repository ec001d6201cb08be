"""What is said of a figure that was taken several times, and in which order to take it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some values, and between what the middle half of them is.

    Attributes:
        median: Half of the values are above it.
        low: A quarter is below it.
        high: A quarter is above it.
        count: How many values there are.
    """

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread | None:
        """Return the spread of values; None where there are none."""
        ordered = sorted(values)
        if not ordered:
            return None
        return cls(
            median(ordered), _quantile(ordered, 0.25), _quantile(ordered, 0.75), len(ordered)
        )

    def text(self, unit: str = "", digits: int | None = None) -> str:
        """Return it for people: ``0.84 (0.73 to 0.96)``."""
        middle, low, high = (shown(one, digits) for one in (self.median, self.low, self.high))
        spread = f" ({low} to {high})" if self.count > 1 else ""
        return f"{middle}{unit}{spread}"


def shown(value: float, digits: int | None = None) -> str:
    """Return a number as short as it says enough."""
    if digits is None:
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def ratios(
    rounds: Iterable[Mapping[str, Sequence[float]]], name: str, reference: str
) -> list[float]:
    """Return in each round the values of one by those of another, medians of each.

    Only what was taken in the same round is compared: a machine that is shared is faster in one
    minute than in the next.

    Args:
        rounds: The values of each server, by its name, in each round.
        name: Whose values are divided.
        reference: By whose.
    """
    found = []
    for values in rounds:
        mine, others = values.get(name), values.get(reference)
        if mine and others and median(others):
            found.append(median(mine) / median(others))
    return found


def visits(
    names: Sequence[str], references: Sequence[str], chance: random.Random, *, apart: int = 4
) -> list[str]:
    """Return in which order servers are visited in one round.

    The references come first, last, and after every few of the others, so that no measurement is
    far from one of theirs.

    Args:
        names: Which servers there are.
        references: Those that others are compared with.
        chance: The order of the others.
        apart: How many others are visited between two visits of the references.
    """
    known = [one for one in references if one in names]
    others = [one for one in names if one not in known]
    chance.shuffle(others)
    order = list(known)
    for start in range(0, len(others), apart):
        order += others[start : start + apart]
        order += known
    return order


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
