"""What is done to whom and when: all of it drawn from a seed before anything begins."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Literal, NamedTuple

Kind = Literal["kill", "freeze", "restart", "cut"]


class Act(NamedTuple):
    """Something that is done to a server.

    Attributes:
        at: Seconds after the beginning.
        kind: ``kill`` (SIGKILL, and started again after a while), ``freeze`` (SIGSTOP, and
            SIGCONT after a while), ``restart`` (ended as an operator would, and started) or
            ``cut`` (all connections through a balancer are cut, and none taken for a while).
        victim: The server's name.
        seconds: How long it is away.
    """

    at: float
    kind: Kind
    victim: str
    seconds: float


_LONGEST: dict[str, dict[Kind, float]] = {
    "worker": {"kill": 4, "freeze": 8, "restart": 0},
    "bridge": {"kill": 1, "restart": 0},
    "valkey": {"kill": 8, "freeze": 6, "restart": 0},
    "postgres": {"kill": 3, "freeze": 5, "restart": 1},
    "synapse": {"kill": 4, "freeze": 8, "restart": 0},
    "public": {"cut": 1},
    "push": {"cut": 5},
}
_WEIGHTS = {
    "worker": 5,
    "bridge": 1,
    "valkey": 3,
    "postgres": 2,
    "synapse": 2,
    "public": 1,
    "push": 1,
}


def draw(seed: int, seconds: float, victims: Sequence[str], pause: float) -> list[Act]:
    """Return the acts of a run, in order.

    Args:
        seed: The same seed gives the same acts.
        seconds: How long acts may begin.
        victims: Names of the servers: a kind, and for workers a number behind it.
        pause: Seconds between the beginnings of two acts, on average.
    """
    chance = Random(seed)
    weights = [_WEIGHTS[kind_of(one)] / _twins(one, victims) for one in victims]
    acts: list[Act] = []
    at = 0.0
    while (at := at + chance.uniform(0.4, 1.6) * pause) < seconds:
        victim = chance.choices(victims, weights)[0]
        longest = _LONGEST[kind_of(victim)]
        kind = chance.choice(sorted(longest))
        away = round(chance.uniform(0.2, 1) * longest[kind], 2)
        acts.append(Act(round(at, 2), kind, victim, away))
    return acts


def kind_of(victim: str) -> str:
    """Return what kind of server it is: ``worker2`` is a worker."""
    return victim.rstrip("0123456789")


def _twins(victim: str, victims: Sequence[str]) -> int:
    return sum(kind_of(one) == kind_of(victim) for one in victims)
