"""What is left of a run: a page, the figures for programs, and the plots."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..report import Report, shown
from . import programs
from .bench import Bench
from .found import Found, goals_report
from .plots import Axis, Plot

_DELIVERIES = "deliveries a second of a core"
PLOTS: Mapping[str, Plot] = {
    "deliveries-1": Plot(
        "Deliveries against readers, one event at a time",
        Axis("readers in one room", logarithmic=True),
        Axis(_DELIVERIES),
    ),
    "deliveries-16": Plot(
        "Deliveries against readers, 16 events in flight",
        Axis("readers in one room", logarithmic=True),
        Axis(_DELIVERIES, logarithmic=True),
    ),
    "delay-p50": Plot(
        "Half of the deliveries are as fast as this",
        Axis("deliveries a second", logarithmic=True),
        Axis("delay, ms", logarithmic=True),
    ),
    "delay-p99": Plot(
        "99 of 100 deliveries are as fast as this",
        Axis("deliveries a second", logarithmic=True),
        Axis("delay, ms", logarithmic=True),
    ),
    "memory": Plot(
        "Memory against idle readers",
        Axis("readers", logarithmic=True),
        Axis("growth of the process, MiB", logarithmic=True),
    ),
}
_COMMANDS = 'make bench-peers\nmake bench-fanout FANOUT_ARGS="--report docs/benchmarks"\n'


def versions(bench: Bench) -> dict[str, str]:
    """Return which programs are measured, and which are left out."""
    found = {
        "cores": "one for the server, one for the client and PostgreSQL"
        if bench.cores.apart
        else "one for all: compare nothing",
        "files": f"{bench.most_files:,} for each program",
    }
    compiler = programs.version(["cc", "--version"])
    found["compiler"] = compiler or "-"
    if "nchan-sse" in bench.peers:
        found["nginx"] = programs.version([programs.nchan().nginx, "-v"]).partition(": ")[2]
        found["nchan"] = "Debian's libnginx-mod-nchan"
    if "node-socketio" in bench.peers:
        found["node"] = programs.version([programs.node(), "--version"])
        package = programs.BUILD / "node_modules" / "socket.io" / "package.json"
        found["socket.io"] = json.loads(package.read_text())["version"]
    return found | {f"without {name}": why for name, why in bench.left_out.items()}


def write(folder: Path, described: Mapping[str, str], found: Found, *, quick: bool) -> None:
    """Write ``fanout.md``, ``fanout.json`` and the plots.

    Args:
        folder: Where to; it is made where there is none.
        described: The machine and the programs.
        found: What was found.
        quick: Whether the run was a short one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [name for name in PLOTS if found.lines.get(name)]
    for name in drawn:
        (folder / f"fanout-{name}.svg").write_text(PLOTS[name].svg(found.lines[name]))
    document = {
        "machine": dict(described),
        "quick": quick,
        "goals": [_goal(goal) for goal in found.goals],
        "tables": [report.values() for report in found.reports],
        "lines": found.lines,
        "visits": found.visits,
    }
    (folder / "fanout.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    (folder / "fanout.md").write_text(page(described, found, drawn, quick=quick))


def _goal(goal: Any) -> dict[str, Any]:
    spread = goal.found
    return {
        "row": goal.row,
        "form": goal.form,
        "median": spread and spread.median,
        "low": spread and spread.low,
        "high": spread and spread.high,
        "values": spread and spread.count,
        "unit": goal.unit.strip(),
        "asked": goal.asked,
        "at least": goal.least,
        "verdict": goal.verdict,
    }


def page(described: Mapping[str, str], found: Found, drawn: list[str], *, quick: bool) -> str:
    """Return the report as Markdown."""
    warning = "\n**A short run: it shows that all works, not how fast it is.**\n" if quick else ""
    parts = [
        "# Fan-out, measured side by side\n\n"
        "Written by `benchmarks/fanout`; how it is done is in [benchmarks/README.md]"
        f"(../../benchmarks/README.md).\n{warning}",
        "## Where, and what\n\n"
        + "".join(f"* {name}: {value}\n" for name, value in described.items()),
        f"## How\n\n```bash\n{_COMMANDS}```\n",
        _table(goals_report(found.goals), "## "),
        *(f"![{PLOTS[name].title}](fanout-{name}.svg)\n" for name in drawn),
        "## In full\n",
        *(_table(report, "### ") for report in found.reports),
    ]
    return "\n".join(parts)


def _table(report: Report, head: str) -> str:
    lines = [
        f"{head}{report.title}\n",
        "| " + " | ".join(name.strip() for name in report.columns) + " |",
        "|" + "|".join([" --- ", *([" ---: "] * (len(report.columns) - 1))]) + "|",
        *("| " + " | ".join(map(shown, row)) + " |" for row in report.rows),
        "",
        *report.notes,
        "",
    ]
    return "\n".join(lines)
