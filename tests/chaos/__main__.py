"""``python -m tests.chaos``: a run of any length, with figures, and exit status 1 for any fault."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import shutil
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from ..support.quick_synapse import Nursery
from . import journal as journals
from .plan import Plan
from .report import report
from .run import JOURNAL, run
from .verdict import Verdict, judge


def main() -> int:
    """Run, report, and return the exit status."""
    options = _options()
    if options.judge is not None:
        records = list(journals.read(options.judge))
        return _end(judge(records, records[0]["replay_entries"]))
    plan = Plan(
        seed=secrets.randbelow(10**6) if options.seed is None else options.seed,
        seconds=options.minutes * 60,
        workers=options.workers,
        together=options.together,
        readers=options.readers,
        wanderers=options.wanderers,
        pause=options.pause,
        act_pause=options.act_pause,
    )
    _say(f"seed {plan.seed}, {options.minutes:g} minutes, {plan.workers} workers: {asdict(plan)}")
    # The socket of PostgreSQL is in it, whose path must be short.
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    verdict = asyncio.run(_run(plan, folder))
    shutil.copy(folder / JOURNAL, options.journal)
    status = _end(verdict)
    _say(f"journal        {options.journal}; judge it again with --judge")
    if status == 0:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        _say(f"logs           {folder}")
    return status


async def _run(plan: Plan, folder: Path) -> Verdict:
    task = asyncio.current_task()
    assert task is not None
    # As with Ctrl-C: what was started is ended.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with Nursery() as nursery:
        return await run(plan, folder, nursery, _say)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long there is fire")
    parser.add_argument("--workers", type=int, default=3, help="processes of the bridge")
    parser.add_argument("--together", action="store_true", help="as one `serve --workers`")
    parser.add_argument("--seed", type=int, help="of everything that chance decides")
    parser.add_argument("--readers", type=int, default=9, help="streams of those who stay")
    parser.add_argument("--wanderers", type=int, default=6, help="streams of those who wander")
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between two messages")
    parser.add_argument("--act-pause", type=float, default=4, help="seconds between two acts")
    parser.add_argument(
        "--journal", type=Path, default=Path("chaos.jsonl"), help="where to keep it"
    )
    parser.add_argument("--judge", type=Path, help="judge this journal again, and run nothing")
    return parser.parse_args()


def _end(verdict: Verdict) -> int:
    for line in report(verdict):
        _say(line)
    return 1 if verdict.faults else 0


def _say(text: str) -> None:
    print(text, file=sys.stdout, flush=True)


if __name__ == "__main__":
    sys.exit(main())
