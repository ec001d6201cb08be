"""A small made-up community for the fake server: people, rooms and what was said in them."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from typing import Any

TENANT = "cyclists"
SERVER = "fake.example"
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

PEOPLE = {
    "ann": "Ann Lindqvist",
    "ben": "Ben Okafor",
    "chi": "Chiara Moretti",
    "dev": "Dev Patel",
    "eli": "Eli Brandt",
    "mia": "Mia",
}
"""By slug; Mia came from Matrix and has none."""

SILENT = {"deleted", "member", "room", "unknown"}
"""Kinds of entries that count as nothing said."""

Json = dict[str, Any]


def person(slug: str) -> Json:
    """A Person as the Web API has it."""
    return {
        "mxid": f"@{slug}:{SERVER}",
        "name": PEOPLE[slug],
        "avatar_url": None,
        "slug": None if slug == "mia" else slug,
    }


def slug_of(name: str) -> str:
    """The slug of somebody named by Matrix user id or slug."""
    return name.removeprefix("@").partition(":")[0]


@dataclass
class Line:
    """One entry with all that has happened to it."""

    entry: Json
    edits: list[Json] = field(default_factory=list)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    deletion: Json | None = None

    @property
    def counts(self) -> bool:
        """Whether it is something that was said, and may be unread."""
        return self.deletion is None and self.entry["kind"] not in SILENT

    def form(self) -> Json:
        """The entry as it is to be shown now, but for its quotes."""
        if self.deletion is not None:
            gone = {"html", "media", "place", "poll", "mentions"}
            kept = {name: value for name, value in self.entry.items() if name not in gone}
            return kept | {
                "kind": "deleted",
                "text": "This message was deleted.",
                "deletion": self.deletion,
            }
        entry = dict(self.entry)
        if self.edits:
            edit = self.edits[-1]
            entry.pop("html", None)
            entry |= {name: edit[name] for name in ("text", "html") if name in edit}
            entry["edited"] = {
                "event_id": edit["event_id"],
                "timestamp": edit["timestamp"],
                "count": len(self.edits),
            }
        if shown := self.reacted():
            entry["reactions"] = shown
        return entry

    def reacted(self) -> list[Json]:
        """The reactions, with all the people."""
        return [
            {"key": key, "count": len(slugs), "people": [person(slug) for slug in slugs]}
            for key, slugs in self.reactions.items()
            if slugs
        ]


@dataclass
class FakeRoom:
    """One room with all that was said in it."""

    room_id: str
    kind: str
    slug: str
    name: str
    members: list[str]
    topic: str | None = None
    can_send: bool = True
    moderators: tuple[str, ...] = ("ann",)
    lines: list[Line] = field(default_factory=list)
    read: dict[str, str] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)
    """Private read marks."""
    marked_unread: set[str] = field(default_factory=set)

    def line(self, event_id: str) -> Line | None:
        """The line with this id."""
        return next((one for one in self.lines if one.entry["event_id"] == event_id), None)

    def ordered(self) -> list[Json]:
        """All entries in the order of the timeline, as they are to be shown."""
        forms = [self.show(line) for line in self.lines]
        return sorted(forms, key=lambda entry: str(entry["order"]))

    def show(self, line: Line) -> Json:
        """A line with what it quotes."""
        entry = line.form()
        for name in ("reply_to", "thread"):
            quoted = self.line(entry[name]["event_id"]) if name in entry else None
            if quoted is not None:
                form = quoted.form()
                quote = {key: form[key] for key in ("event_id", "sender", "kind")}
                entry[name] = quote | {"text": " ".join(form["text"].split())[:200]}
        return entry

    def unread(self, slug: str) -> Json:
        """What a member has not read."""
        read = max(self.read.get(slug, ""), self.seen.get(slug, "")) or None
        mxid = person(slug)["mxid"]
        new = [
            line.entry
            for line in self.lines
            if line.counts
            and line.entry["sender"]["mxid"] != mxid
            and (read is None or line.entry["order"] > read)
        ]
        mentions = [one.get("mentions", {}) for one in new]
        named = [
            one
            for one in mentions
            if one.get("room") or mxid in [who["mxid"] for who in one.get("people", [])]
        ]
        return {
            "read_order": read,
            "unread_count": min(100, len(new)),
            "mention_count": len(named),
            "marked_unread": slug in self.marked_unread,
        }

    def view(self, slug: str) -> Json:
        """The Room that a member sees."""
        other = next((one for one in self.members if one != slug), None)
        direct = person(other) if self.kind == "direct" and other else None
        said = [entry for entry in self.ordered() if entry["kind"] not in SILENT]
        moderates = slug in self.moderators
        return {
            "room_id": self.room_id,
            "kind": self.kind,
            "slug": self.slug,
            "name": direct["name"] if direct else self.name,
            "topic": self.topic,
            "avatar_url": None,
            "url": f"https://openmeet.example/{self.kind}s/{self.slug}",
            "member_count": len(self.members),
            "last_message": said[-1] if said else None,
            "permissions": {
                "send": self.can_send,
                "react": self.can_send,
                "delete_others": moderates,
                "mention_room": moderates,
            },
            "direct_with": direct,
            **self.unread(slug),
        }


class Community:
    """Rooms and a clock that gives each entry its order."""

    def __init__(self, now: int) -> None:
        """Builds the history so that it ends at `now` (ms)."""
        self._numbers = itertools.count(1)
        self.now = now
        self.rooms: dict[str, FakeRoom] = {}
        self._build()

    def number(self) -> int:
        """The next place in the log."""
        return next(self._numbers)

    def entry(self, room: FakeRoom, slug: str, *, timestamp: int, **more: Any) -> Line:
        """Puts an entry at the end of a room."""
        number = self.number()
        made = {
            "event_id": f"$e{number}",
            "room_id": room.room_id,
            "order": f"{number:012d}",
            "revision": number,
            "type": "m.room.message",
            "kind": "text",
            "sender": person(slug),
            "timestamp": timestamp,
            **more,
        }
        for name in ("reply_to", "thread"):
            if isinstance(made.get(name), str):
                made[name] = {"event_id": made[name]}
        line = Line(made)
        room.lines.append(line)
        return line

    def say(self, room: FakeRoom, slug: str, text: str, ago: int, **more: Any) -> Line:
        """A message, `ago` ms before now."""
        return self.entry(room, slug, text=text, timestamp=self.now - ago, **more)

    def happen(self, room: FakeRoom, slug: str, text: str, timestamp: int, **more: Any) -> Line:
        """Something that happened to the room."""
        shape = {"type": "m.room.name", "kind": "room", "state_key": ""}
        return self.entry(room, slug, text=text, timestamp=timestamp, **{**shape, **more})

    def edit(self, line: Line, timestamp: int, **words: Any) -> Json:
        """Gives a message other words."""
        edit = {"event_id": f"$e{self.touch(line)}", "timestamp": timestamp, **words}
        line.edits.append(edit)
        return edit

    def touch(self, line: Line) -> int:
        """Marks a line as changed."""
        number = self.number()
        line.entry["revision"] = number
        return number

    def join(self, room: FakeRoom, slug: str, timestamp: int) -> Line:
        """Somebody comes in."""
        return self.happen(
            room,
            slug,
            f"{PEOPLE[slug]} joined",
            timestamp,
            type="m.room.member",
            kind="member",
            membership="join",
            state_key=person(slug)["mxid"],
            subject=person(slug),
        )

    def _room(self, kind: str, slug: str, name: str, members: list[str], **more: Any) -> FakeRoom:
        room = FakeRoom(f"!{slug}", kind, slug, name, members, **more)
        self.rooms[room.room_id] = room
        start = self.now - 3 * DAY
        self.happen(room, "ann", f"{PEOPLE['ann']} created this room", start, type="m.room.create")
        for member in members:
            self.join(room, member, start)
        return room

    def _build(self) -> None:
        self._build_group()
        self._build_long()
        tour = self._room(
            "meetup", "dawn-ride", "Dawn ride to the lighthouse", ["ann", "ben", "chi"]
        )
        self.say(tour, "chi", "I found a bakery that opens at six, on the way back.", 26 * HOUR)
        self.say(tour, "ben", "Then I bring the thermos.", 25 * HOUR)
        direct = self._room("direct", "ann-ben", "Ann and Ben", ["ann", "ben"])
        self.say(direct, "ann", "Do you still have my pump?", 3 * HOUR)
        self.say(direct, "ben", "Yes! I bring it on Saturday.", 2 * HOUR)
        self._read_all(direct, "ann", "ben")
        news = self._room("group", "news", "Announcements", ["ann", "ben", "dev"], can_send=False)
        self.say(news, "dev", "The workshop is closed on Monday.", 30 * HOUR)
        self._read_all(news, "ann")
        self._build_kinds()

    def _read_all(self, room: FakeRoom, *slugs: str) -> None:
        for slug in slugs:
            room.read[slug] = room.lines[-1].entry["order"]

    def _build_group(self) -> None:
        everyone = list(PEOPLE)
        topic = "Slow rides, good coffee"
        room = self._room("group", "sunday", "Sunday Cyclists", everyone, topic=topic)
        self.say(room, "ben", "This week: https://routes.example/r/1042?shared=1.", 27 * HOUR)
        self.say(room, "chi", "Looks flat. I am in!", 26 * HOUR)
        self.say(room, "mia", "Hello all, I write from Element on my phone.", 5 * HOUR)
        self.say(room, "mia", "Is there room for one more on Sunday?", 5 * HOUR - MINUTE)
        self.say(room, "ann", "Of course. We meet at nine at the old mill.", 4 * HOUR)
        self.say(room, "ann", "Bring lights, the tunnel is dark.", 4 * HOUR - MINUTE // 2)
        self._read_all(room, "ann")
        self.say(room, "ben", "I can lend you a set, Mia.", 2 * HOUR)
        self.say(room, "dev", "Weather says sun until noon, then maybe rain.\nPack a jacket.", HOUR)
        self._read_all(room, "ben", "chi", "dev")
        room.read["mia"] = room.lines[-3].entry["order"]

    def _build_long(self) -> None:
        room = self._room("group", "repair", "Repair corner", ["ann", "ben", "eli"])
        for number in range(160):
            slug = ("ben", "eli", "ann")[number // 2 % 3]
            words = f"Message {number}: " + "a word about chains and brakes. " * (number % 4)
            self.say(room, slug, words.strip(), 2 * DAY - number * 10 * MINUTE)
        self._read_all(room, "ann")

    def _build_kinds(self) -> None:
        """One room with everything that a room can hold."""
        room = self._room("group", "show", "Show and tell", ["ann", "ben", "chi", "mia"])
        say, at = self.say, itertools.count(29 * HOUR, -MINUTE)
        html = "Wear <strong>bright</strong> clothes: <ul><li>vest</li><li>lights</li></ul>"
        first = say(room, "ben", "Wear bright clothes: vest, lights", next(at), html=html)
        first.reactions = {"👍": ["ann", "chi"], "🚲": ["mia"]}
        quote = {"event_id": first.entry["event_id"]}
        say(room, "chi", "I have a vest to spare.", next(at), reply_to=quote)
        slip = say(room, "ben", "At nin", next(at))
        self.edit(slip, self.now - 28 * HOUR, text="At nine", html="At <em>nine</em>")
        oops = say(room, "mia", "wrong room", next(at))
        oops.deletion = {"by": person("ann"), "timestamp": self.now, "reason": "asked for"}
        gone = {"event_id": oops.entry["event_id"]}
        say(room, "ben", "What was that?", next(at), reply_to=gone)
        say(room, "mia", "From a thread", next(at), thread=quote)
        named = {"people": [person("ann")]}
        say(room, "chi", "Ann, do you come?", next(at), mentions=named)
        say(room, "chi", "waves", next(at), kind="emote")
        say(room, "ben", "The route was updated.", next(at), kind="notice")
        for kind, text, more in _ATTACHED:
            say(room, "mia", text, next(at), kind=kind, **more)
        when = self.now - 27 * HOUR
        self.happen(room, "ann", "Ann Lindqvist named this room “Show and tell”", when)
        strange = "Mia sent something that cannot be shown here."
        say(room, "mia", strange, 27 * HOUR, type="org.example.thing", kind="unknown")
        say(room, "chi", "That is all.", 26 * HOUR)
        self._read_all(room, "ann", "ben", "chi")


_ATTACHED: list[tuple[str, str, Json]] = [
    (
        "image",
        "Picture: mill.jpg",
        {
            "media": {
                "url": "mxc://fake.example/mill",
                "name": "mill.jpg",
                "type": "image/jpeg",
                "size": 482_113,
                "width": 1600,
                "height": 900,
            }
        },
    ),
    (
        "file",
        "File: route.gpx",
        {"media": {"name": "route.gpx", "size": 20_480, "encrypted": True}},
    ),
    ("audio", "Audio: bell.ogg", {"media": {"name": "bell.ogg", "duration": 4200}}),
    ("video", "Video: ride.mp4", {"media": {"name": "ride.mp4", "duration": 61_000}}),
    ("sticker", "Sticker: bicycle", {"media": {"name": "bicycle"}}),
    (
        "location",
        "Location: the old mill",
        {"place": {"latitude": 52.1, "longitude": 4.3, "description": "the old mill"}},
    ),
    ("poll", "Poll: When?", {"poll": {"question": "When?", "answers": ["Nine", "Ten"]}}),
    ("call", "Mia started a call", {}),
    ("encrypted", "Mia sent an encrypted message.", {}),
]


def formatted(body: str, style: str) -> Json:
    """Text and, where there is a need, HTML of what was written; no more than tests need."""
    if style == "html":
        return {"text": re.sub(r"<[^>]*>", "", body), "html": body}
    if style != "markdown":
        return {"text": body}
    html = body.replace("&", "&amp;").replace("<", "&lt;").replace("\n", "<br>")
    for mark, name in (("**", "strong"), ("*", "em"), ("`", "code")):
        pattern = re.escape(mark) + r"(.+?)" + re.escape(mark)
        html = re.sub(pattern, rf"<{name}>\1</{name}>", html)
    plain = re.sub(r"\*\*|\*|`", "", body)
    return {"text": plain, "html": html} if html != body else {"text": body}
