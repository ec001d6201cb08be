"""One run, from an empty folder to the verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from ..support.quick_synapse import Nursery
from ..support.waiting import eventually
from . import journal as journals
from .acts import Act, draw
from .crowd import Crowd, begin, crowd
from .fire import Fire
from .journal import Journal
from .plan import Plan
from .stage import stage
from .truth import Truth
from .verdict import Verdict, judge

JOURNAL = "journal.jsonl"
_CALM = 1.0


async def run(
    plan: Plan,
    folder: Path,
    nursery: Nursery,
    say: Callable[[str], None],
    acts: Sequence[Act] | None = None,
) -> Verdict:
    """Set the stage, let it burn, and judge.

    Args:
        plan: How large the run is.
        folder: For all files; the journal stays in it.
        nursery: Of which Synapse is born.
        say: Is told what happens, for people.
        acts: What is done; drawn from the seed when None.
    """
    path = folder / JOURNAL
    with Journal(path) as journal:
        journal.note("run", **asdict(plan))
        say("setting the stage")
        async with stage(plan, folder, nursery) as made, crowd(made, plan, journal) as people:
            if acts is None:
                acts = draw(plan.seed, plan.seconds, list(made.servers), plan.act_pause)
            await begin(made, people, journal)
            fire = Fire(made.servers, journal, lambda text: say(f"{journal.now:7.1f} s  {text}"))
            reading = [asyncio.create_task(reader.run()) for reader in people.readers]
            watching = asyncio.create_task(fire.watch())
            try:
                await _all_live(people)
                await _burn(people, fire, acts, plan, say)
                truth = Truth(made, people, journal)
                say("waiting until all is quiet")
                await truth.settle()
                await truth.write()
            finally:
                for task in (watching, *reading):
                    task.cancel()
                ends = await asyncio.gather(watching, *reading, return_exceptions=True)
            _raise(ends)
    say("judging")
    return judge(journals.read(path), plan.replay_entries)


async def _all_live(people: Crowd) -> None:
    async def look() -> bool:
        return all(reader.live for reader in people.readers)

    await eventually(look, "all streams are open")


async def _burn(
    people: Crowd, fire: Fire, acts: Sequence[Act], plan: Plan, say: Callable[[str], None]
) -> None:
    """Let everybody speak and wander while it burns, and come to an end in order."""
    async with asyncio.TaskGroup() as group:
        for speaker in people.speakers:
            group.create_task(speaker.run())
        burning = group.create_task(fire.burn(acts))
        async with asyncio.TaskGroup() as wandering:
            for wanderer in people.wanderers:
                wandering.create_task(wanderer.run())
            await asyncio.sleep(plan.seconds)
            await burning
            say("the fire is out")
            await asyncio.sleep(_CALM)
            for wanderer in people.wanderers:
                wanderer.rest()
            for reader in people.readers:
                reader.stay_awake()
        for speaker in people.speakers:
            speaker.hush()


def _raise(ends: Sequence[BaseException | None]) -> None:
    for end in ends:
        if isinstance(end, Exception):
            raise end
