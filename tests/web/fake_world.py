"""What happens in the community of the fake server, and who is told of it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tests.web.fake_data import Community, FakeRoom, Json, Line, person

Frame = dict[str, Any]


def now_ms() -> int:
    """The time as the API has it."""
    return int(time.time() * 1000)


class Fault(Exception):
    """An error answer."""

    def __init__(
        self, status: int, errcode: str, message: str, fields: dict[str, str] | None = None
    ) -> None:
        """`status`, `errcode`, text, and what is wrong with which field."""
        super().__init__(message)
        self.status, self.errcode, self.fields = status, errcode, fields


class FakeWorld:
    """The community, what it does, and the streams of those who are here."""

    def __init__(self) -> None:
        """A community with some history, and nobody connected."""
        self.community = Community(now_ms())
        self.log: list[tuple[set[str], Frame]] = []
        self.queues: dict[asyncio.Queue[Frame | None], str] = {}
        self.sent: dict[tuple[str, str], Json] = {}
        self.held: list[tuple[FakeRoom, str, Json]] = []
        self.hold_sends = False
        self.send_faults: list[Fault] = []
        self.send_delay = 0.0
        self.preferences: dict[str, Json] = {}
        self.presence: dict[str, Json] = {}

    def receipt(self, room: FakeRoom, slug: str, order: str) -> Json:
        """A read mark."""
        entries = [line.entry for line in room.lines]
        return {
            "room_id": room.room_id,
            "user": person(slug),
            "event_id": next(one["event_id"] for one in entries if one["order"] == order),
            "order": order,
            "timestamp": now_ms(),
        }

    def say(self, room: FakeRoom, slug: str, **more: Any) -> Line:
        """A message that everybody in the room gets."""
        line = self.community.entry(room, slug, timestamp=now_ms(), **more)
        self.publish(room, {"type": "timeline", "data": room.show(line)})
        return line

    def edit(self, room: FakeRoom, line: Line, text: str, html: str | None = None) -> Json:
        """A message gets other words."""
        words = {"text": text} if html is None else {"text": text, "html": html}
        edit = self.community.edit(line, now_ms(), **words)
        self._changed(room, line)
        return edit

    def react(self, room: FakeRoom, line: Line, slug: str, key: str, *, on: bool) -> None:
        """Somebody reacts, or takes it back."""
        slugs = line.reactions.setdefault(key, [])
        if on == (slug in slugs):
            return
        (slugs.append if on else slugs.remove)(slug)
        self.community.touch(line)
        self._changed(room, line)

    def delete(self, room: FakeRoom, line: Line, slug: str, reason: str | None = None) -> None:
        """A message goes blank."""
        if line.deletion is not None:
            return
        line.deletion = {"by": person(slug), "timestamp": now_ms()}
        if reason:
            line.deletion["reason"] = reason
        self.community.touch(line)
        self._changed(room, line)

    def _changed(self, room: FakeRoom, line: Line) -> None:
        self.publish(room, {"type": "timeline.changed", "data": room.show(line)})

    def read(self, room: FakeRoom, slug: str, order: str, *, private: bool = False) -> None:
        """Somebody has read a room up to there."""
        marks = room.seen if private else room.read
        marks[slug] = max(order, marks.get(slug, ""))
        room.marked_unread.discard(slug)
        if not private:
            self.publish(room, {"type": "receipt", "data": self.receipt(room, slug, order)})
        self.tell_unread(room, slug)

    def tell_unread(self, room: FakeRoom, slug: str) -> None:
        """Tells all windows of somebody what they have not read."""
        frame = {"type": "unread", "data": {"room_id": room.room_id, **room.unread(slug)}}
        self.to_user(slug, frame)

    def be(self, slug: str, state: str) -> None:
        """Somebody comes or goes."""
        seen = None if state == "online" else now_ms()
        found = self.presence[slug] = {"user": person(slug), "state": state, "last_seen": seen}
        rooms = self.community.rooms.values()
        others = {one for room in rooms if slug in room.members for one in room.members}
        for other in others - {slug}:
            self.to_user(other, {"type": "presence", "data": found})

    def publish(self, room: FakeRoom, frame: Frame) -> None:
        """Logs a frame and gives it to the members."""
        self.log.append((set(room.members), frame))
        self.ephemeral(room, {**frame, "cursor": str(len(self.log))})

    def ephemeral(self, room: FakeRoom, frame: Frame) -> None:
        """Gives a frame to those members who are here."""
        for slug in set(room.members):
            self.to_user(slug, frame)

    def to_user(self, slug: str, frame: Frame) -> None:
        """Gives a frame to all windows of somebody."""
        for queue, owner in self.queues.items():
            if owner == slug:
                queue.put_nowait(frame)
