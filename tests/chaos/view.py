"""What a client has in the end, of all that it was given: followed frame by frame, and judged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from .fault import Fault
from .journal import Record
from .story import Entries, Log, RoomTruth, Story, position_of


class View:
    """One reader's view of all its rooms.

    Args:
        story: What is true.
        who: The reader's name.
        replay_entries: From how many missed entries on a reset is right.

    Attributes:
        rooms: What the client has of each room, by event.
    """

    def __init__(self, story: Story, who: str, replay_entries: int) -> None:
        self.rooms: dict[str, Entries] = defaultdict(dict)
        self._story = story
        self._log: Log = story.log
        self._who = who
        self._user: str = story.readers[who]["mxid"]
        self._replay_entries = replay_entries
        self._last = -1
        self._streamed: dict[str, str] = {}
        self._began = {one["body"]: one["began"] for one in story.said}
        self._absent = [one[1:] for one in story.absences if one[0] == self._user]

    def follow(self) -> Iterator[Fault]:
        """Follow all that the client noted; return what was wrong with it."""
        for record in self._story.ways[self._who]:
            match record["what"]:
                case "loaded":
                    self.rooms.clear()
                    self._streamed = {}
                    self._last = max(self._last, position_of(record["cursor"]) or 0)
                case "fetched":
                    for entry in record["entries"]:
                        self._put(record["room"], entry, entry["revision"])
                case "gone" | "room.removed":
                    yield from self._moved_on(record)
                    self.rooms.pop(record["room"], None)
                case "reset":
                    yield from self._reset(record)
                case "frame":
                    yield from self._frame(record)

    def _reset(self, record: Record) -> Iterator[Fault]:
        position = position_of(record["cursor"]) or 0
        far = position - self._last > self._replay_entries
        if record["why"] != "too_far_behind" or not far:
            text = f"{record['why']} at {self._last}, to {position}"
            yield Fault("reset", self._who, None, record["at"], text)

    def _frame(self, record: Record) -> Iterator[Fault]:
        yield from self._moved_on(record)
        position = position_of(record["cursor"])
        assert position is not None
        yield from self._doubled(record, position)
        yield from self._leaked(record, position)
        revision = record["revision"] or position
        self._put(record["room"], record, revision)

    def _moved_on(self, record: Record) -> Iterator[Fault]:
        position = position_of(record.get("cursor"))
        if position is None:
            return
        if position <= self._last:
            text = f"{record.get('event')} at {position} after {self._last}"
            yield self._fault("doubled", record, text)
        self._last = max(self._last, position)

    def _doubled(self, record: Record, position: int) -> Iterator[Fault]:
        event_id, order = record["event"], record["order"]
        if event_id not in self._log.shown_at(position):
            yield self._fault("strange", record, f"{event_id} is not what stands at {position}")
        if record["type"] != "timeline":
            return
        # The web app is told no order: there, that the log has it at this place must do.
        same = order is not None and self._streamed.get(event_id) == order
        if same and not self._log.effect(position):
            yield self._fault("doubled", record, f"{event_id} again, in the same place")
        self._streamed[event_id] = order

    def _leaked(self, record: Record, position: int) -> Iterator[Fault]:
        room = self._story.rooms[record["room"]]
        event_id = record["event"]
        if not self._log.inside(room.room_id, self._user, position):
            yield self._fault("leaked", record, f"{event_id} at {position}: not in the room")
        place = room.place.get(event_id)
        if place is None:
            yield self._fault("strange", record, f"{event_id} is not in the room")
        elif not room.readable(self._user, place):
            yield self._fault("leaked", record, f"{event_id}: said while they were out")
        began = self._began.get(record["text"], -1.0)
        for where, since, until in self._absent:
            if where == room.room_id and since <= began and record["at"] < until:
                text = f"{event_id}: said and shown while they were surely out"
                yield self._fault("leaked", record, text)

    def _put(self, room_id: str, entry: Record, revision: int) -> None:
        known = self.rooms[room_id].get(entry["event"])
        if known is None or known["revision"] <= revision:
            order = entry["order"] or (known or {}).get("order")
            self.rooms[room_id][entry["event"]] = {**entry, "revision": revision, "order": order}

    def _fault(self, kind: str, record: Record, text: str) -> Fault:
        return Fault(kind, self._who, record.get("room"), record["at"], text)


def compared(
    who: str, room: RoomTruth, wanted: list[str], had: Entries, *, only_messages: bool
) -> Iterator[Fault]:
    """Compare what somebody has of a room with what is true.

    Args:
        who: Who has it.
        room: The room.
        wanted: The events they should have, in true order.
        had: What they have.
        only_messages: Whether they are shown neither an order nor what only happens.
    """
    if only_messages:
        wanted = [event_id for event_id in wanted if event_id in room.texts]
    compare = room.place
    have = [one for one in had if compare.get(one, -1) >= room.first]
    for event_id in wanted:
        if event_id not in had:
            # A client of the web app never hears of what was deleted before it could be shown.
            if not (only_messages and event_id in room.deleted):
                yield Fault(
                    "lost", who, room.room_id, None, f"{event_id} {room.texts.get(event_id)}"
                )
        elif event_id in room.texts:
            yield from _differs(who, room, event_id, had[event_id], only_messages=only_messages)
    for event_id in set(have) - set(wanted):
        if not only_messages:
            yield Fault("leaked", who, room.room_id, None, f"{event_id} is not theirs to have")
    if not only_messages:
        shown = sorted(set(have) & set(wanted), key=lambda one: str(had[one]["order"]))
        right = [one for one in wanted if one in had]
        if shown != right:
            first = next(one for one, other in zip(shown, right, strict=True) if one != other)
            yield Fault("disordered", who, room.room_id, None, f"from {first} on")


def _differs(
    who: str, room: RoomTruth, event_id: str, entry: Record, *, only_messages: bool
) -> Iterator[Fault]:
    deleted = event_id in room.deleted
    if bool(entry.get("deleted")) != deleted:
        yield Fault("stale", who, room.room_id, None, f"{event_id} deleted: {deleted}")
    elif not deleted and entry["text"] != room.texts[event_id]:
        text = f"{event_id}: {entry['text']!r}, and not {room.texts[event_id]!r}"
        yield Fault("stale", who, room.room_id, None, text)
    elif not deleted and not only_messages:
        count = entry.get("reactions", 0)
        if count != room.reactions.get(event_id, 0):
            yield Fault("stale", who, room.room_id, None, f"{event_id}: {count} reactions")
