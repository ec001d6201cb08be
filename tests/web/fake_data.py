"""A small made-up community for the fake server: people, rooms and some history."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

TENANT = "cyclists"
SERVER = "fake.example"
HOUR = 3_600_000
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


def person(slug: str) -> dict[str, Any]:
    """A Person as the Web API has it."""
    return {
        "mxid": f"@{slug}:{SERVER}",
        "name": PEOPLE[slug],
        "avatar_url": None,
        "slug": None if slug == "mia" else slug,
    }


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
    entries: list[dict[str, Any]] = field(default_factory=list)
    read: dict[str, str] = field(default_factory=dict)

    def view(self, slug: str) -> dict[str, Any]:
        """The Room that a member sees."""
        name, read = self.name, self.read.get(slug)
        if self.kind == "direct":
            name = PEOPLE[next(other for other in self.members if other != slug)]
        said = [entry for entry in self.entries if entry["type"] == "m.room.message"]
        unread = [
            entry
            for entry in said
            if entry["sender"]["slug"] != slug and (read is None or entry["order"] > read)
        ]
        return {
            "room_id": self.room_id,
            "kind": self.kind,
            "slug": self.slug,
            "name": name,
            "topic": self.topic,
            "avatar_url": None,
            "url": f"https://openmeet.example/{self.kind}s/{self.slug}",
            "member_count": len(self.members),
            "last_message": said[-1] if said else None,
            "unread_count": min(100, len(unread)),
            "read_order": read,
            "can_send": self.can_send,
        }


class Community:
    """Rooms and a clock that gives each entry its order."""

    def __init__(self, now: int) -> None:
        """Builds the history so that it ends at `now` (ms)."""
        self._numbers = itertools.count(1)
        self.now = now
        self.rooms: dict[str, FakeRoom] = {}
        self._build()

    def entry(
        self,
        room: FakeRoom,
        slug: str,
        content: dict[str, Any],
        *,
        kind: str = "m.room.message",
        timestamp: int,
        **more: Any,
    ) -> dict[str, Any]:
        """Puts an entry at the end of a room."""
        number = next(self._numbers)
        made = {
            "event_id": f"$e{number}",
            "room_id": room.room_id,
            "order": f"{number:012d}",
            "type": kind,
            "sender": person(slug),
            "timestamp": timestamp,
            "content": content,
            "redacted": False,
            **more,
        }
        room.entries.append(made)
        return made

    def say(self, room: FakeRoom, slug: str, body: str, ago: int) -> None:
        """A text message, `ago` ms before now."""
        content = {"msgtype": "m.text", "body": body}
        self.entry(room, slug, content, timestamp=self.now - ago)

    def _room(self, kind: str, slug: str, name: str, members: list[str], **more: Any) -> FakeRoom:
        room = FakeRoom(f"!{slug}", kind, slug, name, members, **more)
        self.rooms[room.room_id] = room
        start = self.now - 3 * DAY
        self.entry(room, "ann", {}, kind="m.room.create", state_key="", timestamp=start)
        name_content = {"name": name}
        self.entry(room, "ann", name_content, kind="m.room.name", state_key="", timestamp=start)
        for member in members:
            self.join(room, member, start)
        return room

    def join(self, room: FakeRoom, slug: str, timestamp: int) -> dict[str, Any]:
        """Somebody comes in."""
        content = {"membership": "join", "displayname": PEOPLE[slug]}
        mxid = person(slug)["mxid"]
        return self.entry(
            room,
            slug,
            content,
            kind="m.room.member",
            state_key=mxid,
            subject=person(slug),
            timestamp=timestamp,
        )

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
        direct.read = {"ann": direct.entries[-1]["order"], "ben": direct.entries[-1]["order"]}
        news = self._room("group", "news", "Announcements", ["ann", "ben", "dev"], can_send=False)
        self.say(news, "dev", "The workshop is closed on Monday.", 30 * HOUR)
        news.read = {"ann": news.entries[-1]["order"]}

    def _build_group(self) -> None:
        everyone = list(PEOPLE)
        topic = "Slow rides, good coffee"
        room = self._room("group", "sunday", "Sunday Cyclists", everyone, topic=topic)
        self.say(room, "ben", "This week: https://routes.example/r/1042?shared=1.", 27 * HOUR)
        self.say(room, "chi", "Looks flat. I am in!", 26 * HOUR)
        self.say(room, "mia", "Hello all, I write from Element on my phone.", 5 * HOUR)
        self.say(room, "mia", "Is there room for one more on Sunday?", 5 * HOUR - 60_000)
        self.say(room, "ann", "Of course. We meet at nine at the old mill.", 4 * HOUR)
        self.say(room, "ann", "Bring lights, the tunnel is dark.", 4 * HOUR - 30_000)
        room.read["ann"] = room.entries[-1]["order"]
        self.say(room, "ben", "I can lend you a set, Mia.", 2 * HOUR)
        self.say(room, "dev", "Weather says sun until noon, then maybe rain.\nPack a jacket.", HOUR)
        for slug in ("ben", "chi", "dev"):
            room.read[slug] = room.entries[-1]["order"]
        room.read["mia"] = room.entries[-3]["order"]

    def _build_long(self) -> None:
        room = self._room("group", "repair", "Repair corner", ["ann", "ben", "eli"])
        for number in range(160):
            slug = ("ben", "eli", "ann")[number // 2 % 3]
            words = f"Message {number}: " + "a word about chains and brakes. " * (number % 4)
            self.say(room, slug, words.strip(), 2 * DAY - number * 10 * 60_000)
        room.read["ann"] = room.entries[-1]["order"]
