"""How large a run is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run.

    Attributes:
        seed: Of everything that chance decides.
        seconds: How long there is fire.
        workers: Processes of the bridge; more than one have a Valkey between them.
        together: Whether one program looks after all workers, which share its ports; else each is
            a program of its own.
        readers: Streams of people who are in all rooms, over the three wires in turn.
        wanderers: Streams of people who come and go.
        pause: Seconds between two messages of one speaker, on average.
        act_pause: Seconds between two acts, on average.
        naps: Seconds between two naps of a reader, on average.
        stay: Seconds in a room and out of it, of those who come and go, on average.
        replay_entries: Of the bridge: who has missed more is told to start anew.
    """

    seed: int
    seconds: float
    workers: int
    together: bool = False
    readers: int = 6
    wanderers: int = 3
    pause: float = 0.5
    act_pause: float = 4.0
    naps: float = 40.0
    stay: float = 8.0
    replay_entries: int = 100
