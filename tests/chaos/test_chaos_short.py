"""A short fire over two workers: each kind of act once, and nothing is lost by any of them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.quick_synapse import Nursery
from .acts import Act
from .plan import Plan
from .report import report
from .run import run
from .wires import WIRES

pytestmark = [pytest.mark.synapse, pytest.mark.timeout(240)]

ACTS = [
    Act(0.5, "kill", "worker1", 0.5),
    Act(2.5, "freeze", "worker2", 2.5),
    Act(3.5, "kill", "valkey", 3.0),
    Act(5.5, "restart", "postgres", 0.5),
    Act(7.5, "kill", "synapse", 0.5),
    Act(9.0, "cut", "push", 1.0),
    Act(9.5, "restart", "worker1", 0.0),
]
PLAN = Plan(
    seed=7, seconds=11, workers=2, readers=3, wanderers=1, pause=0.3, stay=2, replay_entries=1000
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for the socket of PostgreSQL."""
    path = Path(tempfile.mkdtemp(prefix="chaos-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


async def test_nothing_is_lost_whatever_is_killed(folder: Path, nursery: Nursery) -> None:
    said: list[str] = []
    verdict = await run(PLAN, folder, nursery, said.append, ACTS)
    told = "\n".join([*said, *report(verdict)])
    assert verdict.faults == [], told
    figures = verdict.figures
    assert sum(figures.acts.values()) == len(ACTS), told
    assert figures.frames.keys() == set(WIRES), told
    assert figures.said.keys() == {"web", "socketio", "matrix"}, told
    assert figures.moves > 0, told
