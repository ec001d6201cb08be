"""The verdict on a run: a pure function of its journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .fault import KINDS, Fault
from .figures import Figures, count
from .journal import Record
from .story import RoomTruth, Story, in_order, tell
from .view import View, compared


@dataclass(frozen=True)
class Verdict:
    """What became of a run.

    Attributes:
        faults: Everything that is wrong.
        figures: What was measured.
    """

    faults: list[Fault]
    figures: Figures

    @property
    def counts(self) -> dict[str, int]:
        """How many faults there are of each kind."""
        counts = Counter(fault.kind for fault in self.faults)
        return {kind: counts[kind] for kind in KINDS}


def judge(records: Iterable[Record], replay_entries: int) -> Verdict:
    """Judge a run.

    Args:
        records: Its journal.
        replay_entries: As the bridge was told.
    """
    story = tell(records)
    faults = [*_sent(story), *_logged(story), *_others(story)]
    for who in story.readers:
        faults += _read(story, who, replay_entries)
    return Verdict(faults, count(story))


def _sent(story: Story) -> Iterator[Fault]:
    """Each message that was accepted is in its room once, in the order of its speaker."""
    for room in story.rooms.values():
        bodies = Counter(event["body"] for event in room.events if "body" in event)
        known: set[str] = set()
        for one in (said for said in story.said if said["room"] == room.room_id):
            wanted = 0 if one["event"] in room.deleted else 1
            known.add(one["event"] or one["body"])
            if one["event"] is not None and one["event"] not in room.place:
                yield Fault(
                    "lost", one["who"], room.room_id, one["at"], f"{one['body']} was never sent"
                )
            elif bodies[one["body"]] != wanted:
                kind = "lost" if bodies[one["body"]] < wanted else "doubled"
                yield Fault(
                    kind,
                    one["who"],
                    room.room_id,
                    one["at"],
                    f"{one['body']}: sent {bodies[one['body']]} times",
                )
        yield from _in_turn(story, room)


def _in_turn(story: Story, room: RoomTruth) -> Iterator[Fault]:
    by_body = {event["body"]: event["event"] for event in room.events if "body" in event}
    speakers: dict[str, list[str]] = {}
    for one in story.said:
        event_id = one["event"] or by_body.get(one["body"])
        if one["room"] == room.room_id and event_id in room.place:
            speakers.setdefault(one["who"], []).append(event_id)
    for who, events in speakers.items():
        if not in_order(events, room.place):
            yield Fault("disordered", who, room.room_id, None, "not sent in the order of saying")


def _logged(story: Story) -> Iterator[Fault]:
    """The log has each room as the homeserver has it."""
    for room in story.rooms.values():
        order = story.log.order(room.room_id)
        for event in room.events:
            if event["event"] not in order and ("body" in event or "user" in event):
                yield Fault("lost", "the log", room.room_id, None, f"{event['event']}")
        strange = [one for one in order if one not in room.place]
        for one in strange:
            yield Fault("strange", "the log", room.room_id, None, one)
        if not strange and not in_order(order, room.place):
            yield Fault("disordered", "the log", room.room_id, None, "not the homeserver's order")


def _read(story: Story, who: str, replay_entries: int) -> Iterator[Fault]:
    """A reader has what it may read of the rooms it is in: all, once, in order, and no more."""
    reader = story.readers[who]
    user: str = reader["mxid"]
    view = View(story, who, replay_entries)
    yield from view.follow()
    for room in story.rooms.values():
        page = story.pages.get((who, room.room_id), [])
        if not room.joined(user):
            if view.rooms.get(room.room_id) or page:
                yield Fault("leaked", who, room.room_id, None, "still has a room that it is not in")
            continue
        wanted = [
            event_id
            for event_id in sorted(
                story.log.lines[room.room_id], key=lambda one: room.place.get(one, -1)
            )
            if room.place.get(event_id, -1) >= room.first
            and room.readable(user, room.place[event_id])
        ]
        had = view.rooms.get(room.room_id, {})
        app = reader["wire"] == "socketio"
        yield from compared(who, room, wanted, had, only_messages=app)
        shown = {entry["event"]: entry for entry in page}
        yield from compared(f"the page of {who}", room, wanted, shown, only_messages=False)


def _others(story: Story) -> Iterator[Fault]:
    for record in story.of("refused"):
        yield Fault(
            "refused", record["who"], None, record["at"], f"{record['to']}: {record['answer']}"
        )
    for record in story.of("crashed"):
        yield Fault("crashed", record["victim"], None, record["at"], "ended by itself")
    for record in story.of("quiet"):
        if record["why"]:
            yield Fault("restless", "the bridge", None, record["at"], record["why"])
    for record in story.of("undone"):
        for what in ("outbox", "quarantine"):
            if record[what]:
                yield Fault("restless", what, None, record["at"], f"{record[what]} left")
