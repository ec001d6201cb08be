"""A journal, read: what is true, what each reader went through, what each speaker said."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .journal import Record


@dataclass
class RoomTruth:
    """A room as the homeserver has it.

    Attributes:
        history: ``shared`` or ``joined``.
        begins: The event from which on everything is compared.
        events: All events, in true order.
    """

    room_id: str
    name: str = ""
    history: str = "shared"
    begins: str = ""
    events: list[Record] = field(default_factory=list)

    @cached_property
    def place(self) -> dict[str, int]:
        """Where each event stands."""
        return {event["event"]: number for number, event in enumerate(self.events)}

    @cached_property
    def first(self) -> int:
        """From where on everything is compared."""
        return self.place[self.begins]

    @cached_property
    def texts(self) -> dict[str, str]:
        """What each message says in the end; what was deleted says nothing."""
        said = {event["event"]: event["body"] for event in self.events if "body" in event}
        said |= {event["edits"]: event["text"] for event in self.events if "edits" in event}
        return {**said, **dict.fromkeys(self.deleted, "")}

    @cached_property
    def deleted(self) -> set[str]:
        """What was deleted."""
        return {event["event"] for event in self.events if event.get("redacted")}

    @cached_property
    def reactions(self) -> dict[str, int]:
        """How many reactions each message has."""
        counts: dict[str, int] = defaultdict(int)
        for event in self.events:
            if "reacts" in event and event["reacts"] not in self.deleted:
                counts[event["reacts"]] += 1
        return counts

    def joined(self, user: str) -> bool:
        """Whether somebody is in, in the end."""
        return self._stays(user)[-1]

    def readable(self, user: str, place: int) -> bool:
        """Whether somebody who is in now may read what stands at a place."""
        stays = self._stays(user)
        # What somebody came or went by stands on both sides.
        return self.history == "shared" or stays[place] or stays[place + 1]

    def _stays(self, user: str) -> list[bool]:
        """Whether somebody was in before each event, and after the last."""
        found = self._known.get(user)
        if found is None:
            found, inside = [False], False
            for event in self.events:
                if event.get("user") == user:
                    inside = event["membership"] == "join"
                found.append(inside)
            self._known[user] = found
        return found

    @cached_property
    def _known(self) -> dict[str, list[bool]]:
        return {}


class Log:
    """The log: what it has in the end, and every place that an entry ever had in it."""

    def __init__(self) -> None:
        self.lines: dict[str, dict[str, Record]] = defaultdict(dict)
        self.at: dict[int, list[Record]] = defaultdict(list)
        self._moves: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)

    def add_line(self, record: Record) -> None:
        """Add a line as it is in the end."""
        self.lines[record["room"]][record["event"]] = record

    def add_version(self, record: Record) -> None:
        """Add a place of an entry; they come in order."""
        self.at[record["position"]].append(record)
        if record["effect"]:
            who = (record["room_id"], record["state_key"])
            self._moves[who].append((record["position"], record["effect"]))

    def order(self, room_id: str) -> list[str]:
        """Return the lines of a room in the order of its timeline."""
        lines = self.lines[room_id]
        return sorted(lines, key=lambda event_id: str(lines[event_id]["order"]))

    def inside(self, room_id: str, user: str, position: int) -> bool:
        """Whether somebody was in a room when the log had come to a position."""
        moves = self._moves.get((room_id, user), [])
        number = bisect_right(moves, (position, 2))
        return number > 0 and moves[number - 1][1] > 0

    def shown_at(self, position: int) -> set[str]:
        """Return which lines are shown at a position: what came there, or what changed there."""
        return {version["about"] or version["event_id"] for version in self.at.get(position, ())}

    def effect(self, position: int) -> bool:
        """Whether somebody came or went by what stands at a position."""
        return any(version["effect"] for version in self.at.get(position, ()))


@dataclass
class Story:
    """Everything that a journal tells.

    Attributes:
        readers: Who each reader is, by name.
        ways: What each reader noted, in order, by name.
        said: What was accepted.
        absences: When somebody was surely out: user, room, since, until.
        pages: What the web API shows in the end, by reader and room.
        others: All other records.
    """

    rooms: dict[str, RoomTruth] = field(default_factory=dict)
    log: Log = field(default_factory=Log)
    readers: dict[str, Record] = field(default_factory=dict)
    ways: dict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))
    said: list[Record] = field(default_factory=list)
    absences: list[tuple[str, str, float, float]] = field(default_factory=list)
    pages: dict[tuple[str, str], list[Record]] = field(default_factory=dict)
    others: list[Record] = field(default_factory=list)

    def of(self, what: str) -> list[Record]:
        """Return the other records of a kind."""
        return [record for record in self.others if record["what"] == what]


_WAY = frozenset(
    ("loaded", "fetched", "gone", "reset", "frame", "room.removed", "opened", "lost", "bye")
)


def tell(records: Iterable[Record]) -> Story:
    """Return what a journal tells."""
    story = Story()
    out: dict[tuple[str, str], float] = {}
    for record in records:
        what = record["what"]
        if what in _WAY:
            story.ways[record["who"]].append(record)
        elif what in ("room", "begins", "truth"):
            _tell_room(story, record)
        elif what == "reader":
            story.readers[record["who"]] = record
        elif what == "said":
            story.said.append(record)
        elif what == "line":
            story.log.add_line(record)
        elif what == "version":
            story.log.add_version(record)
        elif what == "page":
            story.pages[record["who"], record["room"]] = record["entries"]
        elif what == "moved":
            who = (record["who"], record["room"])
            if record["where"] == "out":
                out[who] = record["at"]
            elif record["where"] == "returns":
                story.absences.append((*who, out.pop(who), record["at"]))
        else:
            story.others.append(record)
    return story


def _tell_room(story: Story, record: Record) -> None:
    room = story.rooms.setdefault(record["room"], RoomTruth(record["room"]))
    if record["what"] == "room":
        room.name, room.history = record["name"], record["history"]
    elif record["what"] == "begins":
        room.begins = record["event"]
    else:
        room.events = record["events"]


def position_of(cursor: str | None) -> int | None:
    """Return the place that a cursor names."""
    return None if cursor is None else int(cursor.rpartition("-")[2], 16)


def in_order(events: Sequence[str], place: dict[str, int]) -> bool:
    """Whether events stand in the true order."""
    places = [place[event_id] for event_id in events]
    return places == sorted(places)


Entries = dict[str, dict[str, Any]]
