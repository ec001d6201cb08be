"""What a run was: figures for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from .story import Story


@dataclass(frozen=True)
class Figures:
    """What happened in a run.

    Attributes:
        acts: How often what was done to what kind of server.
        said: Accepted messages, by way.
        changed: Accepted edits, reactions and deletions.
        moves: How often somebody was taken out and put in again.
        frames: Frames of timelines that readers got, by wire.
        lost: How often a reader lost its stream, by reason.
        resets: How often a reader had to start anew.
        repaired: How many lines the push has lost, and repair has found.
        moved: How many entries got another place in the log after their first.
        delays: Seconds from the acceptance of a message until it had come over a stream that was
            open by then, sorted.
        silence: The longest time without a sign from any stream, in seconds.
    """

    acts: dict[str, int]
    said: dict[str, int]
    changed: int
    moves: int
    frames: dict[str, int]
    lost: dict[str, int]
    resets: int
    repaired: int
    moved: int
    delays: list[float]
    silence: float

    def delay(self, part: float) -> float:
        """Return the delay under which a part of all deliveries stayed, in seconds."""
        if not self.delays:
            return 0.0
        return self.delays[min(len(self.delays) - 1, int(part * len(self.delays)))]


def count(story: Story) -> Figures:
    """Return the figures of a run."""
    acts = Counter(f"{act['kind']} {act['victim'].rstrip('0123456789')}" for act in story.of("act"))
    frames: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    resets = 0
    for who, way in story.ways.items():
        wire = story.readers[who]["wire"]
        for record in way:
            frames[wire] += record["what"] == "frame"
            resets += record["what"] == "reset"
            if record["what"] == "lost":
                lost[record["why"].partition(":")[0]] += 1
    places = Counter(
        version["event_id"] for versions in story.log.at.values() for version in versions
    )
    lines = [line for room in story.log.lines.values() for line in room.values()]
    return Figures(
        acts=dict(sorted(acts.items())),
        said=dict(Counter(one["way"] for one in story.said)),
        changed=sum(one["done"] for one in story.of("changed")),
        moves=len(story.absences),
        frames=dict(frames),
        lost=dict(lost.most_common()),
        resets=resets,
        repaired=sum(one["repaired"] for one in lines),
        moved=sum(number > 1 for number in places.values()),
        delays=sorted(_delays(story)),
        silence=max((one["seconds"] for one in story.of("silence")), default=0.0),
    )


def _delays(story: Story) -> Iterator[float]:
    """Return what those waited for a message who had their stream when it was accepted."""
    accepted = {one["body"]: one["at"] for one in story.said}
    for way in story.ways.values():
        opened = 0.0
        for record in way:
            if record["what"] == "opened":
                opened = record["at"]
            elif record.get("type") == "timeline" and opened < accepted.get(record["text"], -1.0):
                yield max(0.0, record["at"] - accepted[record["text"]])
