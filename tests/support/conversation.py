"""A conversation that has happened, whatever of it has come yet, and what it amounts to.

The same is said here twice over: once as events, and once, by :func:`shown`, as what everybody
must see in the end, worked out from the whole at once and without any order of arrival.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from openmeet_bridge.core.entry import Entry, Quote
from openmeet_bridge.core.events import Event
from openmeet_bridge.core.ids import EventId, Mxid, RoomId

PEOPLE = [Mxid(f"@om_lake_{name}:test") for name in ("ann", "ben", "cleo")]
KEYS = ["👍", "❤️"]
LONG = 200


@dataclass(frozen=True)
class Act:
    """Something that somebody does.

    Attributes:
        kind: ``say``, ``topic``, ``reply``, ``thread``, ``edit``, ``wrong edit`` (of another
            type), ``no edit`` (without new content), ``react`` or ``delete``.
        target: Number of the earlier act that it is about; 99: of nothing known.
        room: In which of two rooms.
        moment: What the sender's server claims.
    """

    kind: str
    who: int
    target: int
    room: int
    moment: int
    key: int = 0


def event_of(act: Act, number: int, rooms: Sequence[RoomId]) -> Event:
    """Return an act as an event."""
    target = f"$e{act.target}"
    kind, content = "m.room.message", _content(act, number, target)
    if act.kind == "topic":
        kind = "m.room.topic"
    elif act.kind == "wrong edit":
        kind = "m.sticker"
    elif act.kind == "react":
        kind = "m.reaction"
    elif act.kind == "delete":
        kind = "m.room.redaction"
    return Event(
        event_id=EventId(f"$e{number}"),
        room_id=rooms[act.room],
        type=kind,
        sender=PEOPLE[act.who],
        origin_server_ts=act.moment,
        content=msgspec.Raw(msgspec.json.encode(content)),
        state_key="" if act.kind == "topic" else None,
    )


def _content(act: Act, number: int, target: str) -> dict[str, Any]:
    said: dict[str, Any] = {"msgtype": "m.text", "body": f"said {number}"}
    replacing = {"rel_type": "m.replace", "event_id": target}
    match act.kind:
        case "say":
            return said
        case "topic":
            return {"topic": f"topic {number}"}
        case "reply":
            return {**said, "m.relates_to": {"m.in_reply_to": {"event_id": target}}}
        case "thread":
            return {**said, "m.relates_to": {"rel_type": "m.thread", "event_id": target}}
        case "no edit":
            return {**said, "m.relates_to": replacing}
        case "edit" | "wrong edit":
            return {
                "msgtype": "m.text",
                "body": f"* edit {number}",
                "m.new_content": {"msgtype": "m.text", "body": f"edit {number}"},
                "m.relates_to": replacing,
            }
        case "react":
            annotation = {"rel_type": "m.annotation", "event_id": target, "key": KEYS[act.key]}
            return {"m.relates_to": annotation}
        case "delete":
            return {"redacts": target, "reason": f"reason {number}"}
    raise AssertionError(act.kind)


class Quoted(NamedTuple):
    """A quote; only the event where there is nothing to quote."""

    event_id: str
    sender: str | None = None
    text: str | None = None


class Seen(NamedTuple):
    """What is to be seen of a line. ``text`` of state is what somebody else decides."""

    event_id: str
    text: str | None
    edited: tuple[str, int, int] | None
    reactions: list[tuple[str, int, list[str]]]
    deletion: tuple[str, int, str | None] | None
    reply_to: Quoted | None
    thread: Quoted | None


DELETED = "This message was deleted."
LINES = frozenset({"say", "topic", "reply", "thread", "no edit"})


class Whole:
    """All acts of a conversation."""

    def __init__(self, acts: Sequence[Act]) -> None:
        self._acts = acts

    def lines(self, room: int) -> dict[str, Seen]:
        """Return what a room's lines are, in the end."""
        numbers = [n for n, act in enumerate(self._acts) if self._is_line(n) and act.room == room]
        return {f"$e{number}": self._seen(number) for number in numbers}

    def blank(self) -> set[str]:
        """Return of which events nothing may be kept."""
        deleted = {n for n in range(len(self._acts)) if self._deletions(n)}
        edits = {n for n in range(len(self._acts)) if self._changes(n, "edit", "wrong edit")}
        late = {n for n in edits if self._acts[n].target in deleted}
        return {f"$e{number}" for number in deleted | late}

    def _is_line(self, number: int) -> bool:
        return self._acts[number].kind in LINES

    def _changes(self, number: int, *kinds: str) -> bool:
        """Whether an act is one of these kinds, about something of its own room."""
        act = self._acts[number]
        known = act.target < len(self._acts)
        return act.kind in kinds and known and self._acts[act.target].room == act.room

    def _about(self, target: int, *kinds: str) -> list[int]:
        found = [
            number
            for number, act in enumerate(self._acts)
            if act.target == target and self._changes(number, *kinds)
        ]
        return sorted(found, key=lambda number: (self._acts[number].moment, f"$e{number}"))

    def _deletions(self, target: int) -> list[int]:
        return self._about(target, "delete")

    def _standing(self, target: int, *kinds: str) -> list[int]:
        return [one for one in self._about(target, *kinds) if not self._deletions(one)]

    def _edits(self, number: int) -> list[int]:
        act = self._acts[number]
        if act.kind == "topic" or self._deletions(number):
            return []
        return [one for one in self._standing(number, "edit") if self._acts[one].who == act.who]

    def _text(self, number: int) -> str | None:
        if self._acts[number].kind == "topic":
            return None
        if self._deletions(number):
            return DELETED
        edits = self._edits(number)
        return f"edit {edits[-1]}" if edits else f"said {number}"

    def _seen(self, number: int) -> Seen:
        edits, act = self._edits(number), self._acts[number]
        gone = bool(self._deletions(number))
        newest = (f"$e{edits[-1]}", self._acts[edits[-1]].moment, len(edits)) if edits else None
        return Seen(
            f"$e{number}",
            self._text(number),
            newest,
            [] if gone else self._reactions(number),
            self._deletion(number),
            self._quote(number) if act.kind == "reply" and not gone else None,
            self._quote(number) if act.kind == "thread" and not gone else None,
        )

    def _reactions(self, number: int) -> list[tuple[str, int, list[str]]]:
        firsts: dict[str, dict[str, int]] = {}
        for one in self._standing(number, "react"):
            act = self._acts[one]
            firsts.setdefault(KEYS[act.key], {}).setdefault(PEOPLE[act.who], act.moment)
        found = [
            (min(people.values()), key, len(people), sorted(people, key=lambda p: (people[p], p)))
            for key, people in firsts.items()
        ]
        return [(key, count, people) for _, key, count, people in sorted(found)]

    def _deletion(self, number: int) -> tuple[str, int, str | None] | None:
        found = self._deletions(number)
        if not found:
            return None
        act = self._acts[found[0]]
        reason = None if self._deletions(found[0]) else f"reason {found[0]}"
        return PEOPLE[act.who], act.moment, reason

    def _quote(self, number: int) -> Quoted:
        target = self._acts[number].target
        name = f"$e{target}"
        if not self._changes(number, "reply", "thread") or not self._is_line(target):
            return Quoted(name)
        return Quoted(name, PEOPLE[self._acts[target].who], self._text(target))


def seen(entry: Entry) -> Seen:
    """Return what is to be seen of an entry."""
    state, deletion = entry.state_key is not None, entry.deletion
    by = deletion.by.mxid if deletion and deletion.by else ""
    return Seen(
        entry.event_id,
        None if state else entry.text,
        (entry.edited.event_id, entry.edited.timestamp, entry.edited.count)
        if entry.edited
        else None,
        [(one.key, one.count, [who.mxid for who in one.people]) for one in entry.reactions],
        (by, deletion.timestamp or 0, deletion.reason) if deletion else None,
        _quoted(entry.reply_to),
        _quoted(entry.thread),
    )


def _quoted(quote: Quote | None) -> Quoted | None:
    if quote is None:
        return None
    text = quote.text if quote.kind in ("text", "deleted") else None
    return Quoted(quote.event_id, quote.sender.mxid if quote.sender else None, text)


class Client:
    """What a client knows that keeps to the rules: pages, and all that comes over a stream.

    Attributes:
        entries: What it shows.
    """

    def __init__(self, page: Iterable[Entry] = ()) -> None:
        self.entries: dict[EventId, Entry] = {}
        self._newest: dict[EventId, Entry] = {}
        self.merge(page)

    def merge(self, page: Iterable[Entry]) -> None:
        """Take in a page. What came while it was on its way may be newer."""
        for entry in page:
            newest = self._newest.get(entry.event_id, entry)
            self._put(newest if newest.revision > entry.revision else entry)
        for entry in list(self._newest.values()):
            self._requote(entry)

    def apply(self, entry: Entry, *, changed: bool) -> None:
        """Take in a frame: an entry that is new, or one as it is now."""
        newest = self._newest.get(entry.event_id)
        if newest is not None and newest.revision > entry.revision:
            return
        if entry.event_id in self.entries or not changed:
            self._put(entry)
        # Else it is outside of what was loaded; a page that is on its way may hold it.
        self._newest[entry.event_id] = entry
        self._requote(entry)

    def _put(self, entry: Entry) -> None:
        self.entries[entry.event_id] = self._newest[entry.event_id] = entry

    def _requote(self, newest: Entry) -> None:
        for other in list(self.entries.values()):
            self.entries[other.event_id] = _quoting(other, newest)


def _quoting(entry: Entry, newest: Entry) -> Entry:
    text = " ".join(newest.text[: 2 * LONG].split())[:LONG]
    quote = Quote(newest.event_id, newest.sender, newest.kind, text)
    if entry.reply_to is not None and entry.reply_to.event_id == newest.event_id:
        entry = msgspec.structs.replace(entry, reply_to=quote)
    if entry.thread is not None and entry.thread.event_id == newest.event_id:
        entry = msgspec.structs.replace(entry, thread=quote)
    return entry
