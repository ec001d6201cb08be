"""What the measurements find: figures against what is asked of them, tables, and lines to draw."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..report import Report
from .spread import Spread, shown


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure, and what is asked of it.

    Attributes:
        row: What was measured.
        form: Of which form of the bridge.
        found: The figure; None where it could not be taken.
        asked: The bound.
        least: Whether the figure must not be below the bound; else it must not be above it.
        unit: Of both.
    """

    row: str
    form: str
    found: Spread | None
    asked: float
    least: bool
    unit: str = ""

    @property
    def verdict(self) -> str:
        """``ok``, ``short``, or ``not measured``."""
        if self.found is None:
            return "not measured"
        middle = self.found.median
        return "ok" if (middle >= self.asked if self.least else middle <= self.asked) else "short"

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """The row of a table."""
        figure = "-" if self.found is None else self.found.text(self.unit)
        sign = "≥" if self.least else "≤"
        return self.row, self.form, figure, f"{sign} {shown(self.asked)}{self.unit}", self.verdict


@dataclass(slots=True)
class Found:
    """What one measurement has found.

    Attributes:
        goals: Figures against their bounds.
        reports: Tables.
        lines: For the plots: points by what is drawn and whose they are.
        visits: Every phase, as the client told it.
    """

    goals: list[Goal] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    lines: dict[str, dict[str, list[tuple[float, float]]]] = field(default_factory=dict)
    visits: list[dict[str, Any]] = field(default_factory=list)

    def add(self, other: Found) -> None:
        """Take in what another has found."""
        self.goals += other.goals
        self.reports += other.reports
        self.visits += other.visits
        for plot, lines in other.lines.items():
            self.lines.setdefault(plot, {}).update(lines)

    def point(self, plot: str, name: str, x: float, y: float) -> None:
        """Add a point to a line of a plot."""
        self.lines.setdefault(plot, {}).setdefault(name, []).append((x, y))


def goals_report(goals: list[Goal]) -> Report:
    """Return all goals as a table."""
    report = Report("What is asked", ("measured", "bridge", "figure", "asked", "verdict"))
    report.rows = [goal.cells for goal in goals]
    report.notes = [
        "The median over the rounds, and between what the middle half of them was. Ratios are of",
        "deliveries in a second of the server's processor time, in the same round, unless said",
        "otherwise. `bridge`: with its log in memory. `whole`: on PostgreSQL, events come in",
        "transactions; without presence.",
    ]
    return report
