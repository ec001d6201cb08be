"""A finding: what one check came to."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct, field


class Outcome(StrEnum):
    """How a check ended. Only ``FAIL`` makes the doctor's exit status 1."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


class Finding(Struct, frozen=True, omit_defaults=True):
    """What one check came to.

    Attributes:
        check: The check's name; stable, for programs.
        outcome: How it ended.
        text: What was seen, for people.
        fix: What to do; empty where nothing is to be done.
        details: One line each.
    """

    check: str
    outcome: Outcome
    text: str
    fix: str = ""
    details: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Return the finding for a terminal: one line, and the details below it."""
        fix = f". Fix: {self.fix}" if self.fix else ""
        head = f"{self.outcome.upper():<4}  {self.check}: {_one_line(self.text)}{_one_line(fix)}"
        return "\n".join([head, *(f"      - {_one_line(detail)}" for detail in self.details)])


Report = Callable[[Finding], None]
"""Takes each finding as it is made."""


def ok(check: str, text: str) -> Finding:
    """Return that a check found what it wanted."""
    return Finding(check, Outcome.OK, text)


def warn(check: str, text: str, fix: str = "", details: list[str] | None = None) -> Finding:
    """Return something that works, and that an operator should look at."""
    return Finding(check, Outcome.WARN, text, fix, details or [])


def fail(check: str, text: str, fix: str, details: list[str] | None = None) -> Finding:
    """Return what does not work, with what to do."""
    return Finding(check, Outcome.FAIL, text, fix, details or [])


def skip(check: str, text: str, fix: str = "") -> Finding:
    """Return that a check could not be made, with the reason."""
    return Finding(check, Outcome.SKIP, text, fix)


def _one_line(text: str) -> str:
    # What a homeserver or a database says goes to a terminal here: no line of its own, no escapes.
    return "".join(mark if mark.isprintable() else " " for mark in text)
