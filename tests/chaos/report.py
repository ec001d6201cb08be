"""The report of a run, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .fault import KINDS, Fault
from .verdict import Verdict

_SHOWN = 12


def report(verdict: Verdict, names: Mapping[str, str] | None = None) -> Iterator[str]:
    """Return the lines of a report."""
    figures = verdict.figures
    yield f"acts           {_listed(figures.acts)}"
    yield f"messages       {sum(figures.said.values())} accepted ({_listed(figures.said)})"
    yield f"changes        {figures.changed} edits, reactions and deletions"
    yield f"moves          {figures.moves} times somebody was taken out and put in again"
    yield f"frames         {sum(figures.frames.values())} received ({_listed(figures.frames)})"
    yield f"streams lost   {sum(figures.lost.values())} ({_listed(figures.lost)})"
    yield f"resets         {figures.resets}, each with a reason"
    yield f"found late     {figures.repaired} lines by repair; {figures.moved} entries were moved"
    yield (
        f"delay          p50 {figures.delay(0.5):.3f} s, p99 {figures.delay(0.99):.2f} s, "
        f"longest {figures.delay(1):.1f} s"
    )
    yield f"silence        {figures.silence:.1f} s at most without a sign from any stream"
    for kind, number in verdict.counts.items():
        yield f"{kind:14} {number}  ({KINDS[kind]})"
    for fault in verdict.faults[:_SHOWN]:
        yield _told(fault)
    if len(verdict.faults) > _SHOWN:
        yield f"  … and {len(verdict.faults) - _SHOWN} more"


def _told(fault: Fault) -> str:
    when = "" if fault.at is None else f" at {fault.at:.1f} s"
    where = "" if fault.room is None else f" in {fault.room}"
    return f"  {fault.kind}: {fault.who}{where}{when}: {fault.text}"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.items()) or "none"
