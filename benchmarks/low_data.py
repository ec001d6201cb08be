"""What a phone saves: the bytes of a busy room's hour, in full, with less, and compressed.

The hour is invented, and the same every time: ids, names and frames are as long as those that a
homeserver's events become, and how often things happen is written below. Counted is what the
bridge writes for one reader; on top come the network's own 40 to 70 bytes for each packet, which
frames that go together share. Run as a program: ``python -m benchmarks.low_data``.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from msgspec.structs import replace

from openmeet_bridge.core.cursor import SORT_KEY_STEP, order_text
from openmeet_bridge.core.entry import (
    Deletion,
    Edited,
    Entry,
    LogEntry,
    Media,
    MembershipEffect,
    Mentions,
    Person,
    Quote,
    Reaction,
    Receipt,
)
from openmeet_bridge.core.ids import EventId, Mxid, Position, RoomId, TenantId, UserSlug
from openmeet_bridge.core.presence import IDLE, ONLINE, State
from openmeet_bridge.stream import frames
from openmeet_bridge.stream.deflate import sse_deflated, sse_gzip_header, ws_deflated
from openmeet_bridge.stream.frames import SSE, WS, Frame
from openmeet_bridge.stream.wires import LOW, SSE_GZIP, WS_DEFLATED, by_reference

from . import by_reference as referring
from .report import Report, Value

MESSAGES = 240
PEOPLE = 30
READING = 10
"""How many of the people have the room open: each of them has read each message."""
CHANGES_OF_PRESENCE = 6
"""Of each of the people, in the hour."""
COMINGS = 4

LEFT_OUT = frames.CHOICE - LOW
"""What a stream with low data does without."""

_BEGINNING = 1_795_288_384_661
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_NAMES = (
    "Alice Bob Chidi Dora Emre Fatima Goran Hana Igor Jun Kofi Lena Mateo Nadia Oskar Priya Quinn "
    "Rosa Sven Tara Umar Vera Wanda Xenia Yusuf Zoe Ada Bela Carmen Dev"
)
_WORDS = (
    "the a to and of in is it that for on you we at with this be have are not or will can I my "
    "your there here what when who where how just so if then but from by up out about all one "
    "some more time today tomorrow morning evening train station map boots water lunch bring "
    "meet ride car seat hill lake path rain weather weekend Saturday walk slow fast early late "
    "nine ten half past thanks yes no maybe sure great sorry see know think like want need take "
    "leave start finish people group photo ticket price bus stop way back home food coffee "
    "table place name list"
)
_STATES: tuple[State, ...] = (ONLINE, IDLE)
_KEYS = ("👍", "❤️", "😂", "🎉")


class Hour:
    """An hour of one room, as the frames that somebody in it is sent.

    Args:
        messages: How many are written.
    """

    def __init__(self, messages: int = MESSAGES) -> None:
        self._random = random.Random(7)
        self._messages = messages
        self._room = RoomId("!" + self._id())
        self._people = [self._person(name) for name in _NAMES.split()[:PEOPLE]]
        self._vocabulary = _WORDS.split()
        self._entries: list[Entry] = []
        self._position = 81_000
        self._clock = _BEGINNING

    def frames(self) -> Iterator[Frame]:
        """Return everything that happens, in its order."""
        moves = PEOPLE * CHANGES_OF_PRESENCE
        for number in range(self._messages):
            self._clock += 3_600_000 // self._messages
            yield from self._message()
            for _ in range(_share(number, moves, self._messages)):
                yield frames.presence(self._anybody(), self._random.choice(_STATES), self._clock)
            if _share(number, COMINGS, self._messages):
                yield from self._coming()

    def _message(self) -> Iterator[Frame]:
        """Somebody types, and says something; others read it, and may react."""
        author = self._anybody()
        yield frames.typing(self._room, [author])
        yield frames.typing(self._room, [])
        entry = self._said(author)
        yield from self._logged(entry)
        for reader in self._random.sample(self._people, READING):
            read = Receipt(self._room, reader, entry.event_id, entry.order, self._clock)
            yield frames.receipt(read)
        self._entries.append(entry)
        yield from self._changes()

    def _said(self, author: Person) -> Entry:
        text = self._words(self._random.choice((3, 6, 9, 14, 25)))
        entry = self._entry(author, "m.room.message", "text", text)
        chance = self._random.random()
        if chance < 0.2 and self._entries:
            other = self._random.choice(self._entries[-10:])
            quote = Quote(other.event_id, other.sender, other.kind, other.text[:100])
            entry = replace(entry, reply_to=quote)
        elif chance < 0.3:
            entry = replace(entry, html=f"<p>{text} <strong>{self._words(2)}</strong></p>")
        elif chance < 0.35:
            entry = replace(entry, mentions=Mentions([self._anybody()]))
        elif chance < 0.38:
            picture = Media(self._mxc(), "IMG_2041.jpg", None, "image/jpeg", 2_348_112, 4032, 3024)
            entry = replace(entry, type="m.room.message", kind="image", media=picture)
        return entry

    def _changes(self) -> Iterator[Frame]:
        """Reactions, edits and deletions of one of the last messages."""
        place = self._random.randrange(max(0, len(self._entries) - 10), len(self._entries))
        entry, chance = self._entries[place], self._random.random()
        if chance < 0.3:
            people = self._random.sample(self._people, self._random.randint(1, 3))
            key = self._random.choice(_KEYS)
            entry = replace(entry, reactions=[Reaction(key, len(people), people)])
        elif chance < 0.4:
            edit = Edited(EventId("$" + self._id()), self._clock, 1)
            entry = replace(entry, text=self._words(12), edited=edit)
        elif chance < 0.42:
            by = Deletion(entry.sender, self._clock)
            entry = replace(entry, kind="deleted", text="Deleted message", deletion=by)
        else:
            return
        self._entries[place] = entry = replace(entry, revision=self._position)
        yield from self._logged(entry, changed=True)

    def _coming(self) -> Iterator[Frame]:
        who = self._anybody()
        entry = self._entry(who, "m.room.member", "member", f"{who.name} joined the room")
        entry = replace(entry, state_key=who.mxid, subject=who, membership="join")
        effect = MembershipEffect(who, True, "join", True, None, "group", "Hikers")
        yield from self._logged(entry, effect=effect)

    def _entry(self, author: Person, event_type: str, kind: str, text: str) -> Entry:
        order = order_text(self._position * SORT_KEY_STEP)
        return Entry(
            EventId("$" + self._id()),
            self._room,
            order,
            self._position,
            event_type,
            kind,
            author,
            self._clock,
            text,
        )

    def _logged(
        self, entry: Entry, *, changed: bool = False, effect: MembershipEffect | None = None
    ) -> Iterator[Frame]:
        self._position += self._random.randint(1, 20)  # other rooms' entries lie between
        position = Position(self._position)
        logged = LogEntry(position, TenantId("lake"), entry, effect, changed)
        yield from frames.room_frames(logged, frames.cursor_at("0badcafe", position))

    def _person(self, name: str) -> Person:
        slug = f"{name.lower()}-{self._id()[:6].lower()}"
        mxid = Mxid(f"@_openmeet_{slug}:matrix.openmeet.example")
        return Person(mxid, name, self._mxc(), UserSlug(slug))

    def _anybody(self) -> Person:
        return self._random.choice(self._people)

    def _words(self, number: int) -> str:
        return " ".join(self._random.choices(self._vocabulary, k=number))

    def _id(self) -> str:
        return "".join(self._random.choices(_LETTERS, k=43))

    def _mxc(self) -> str:
        return f"mxc://matrix.openmeet.example/{self._id()[:24]}"


def _share(number: int, total: int, parts: int) -> int:
    """Return how many of a total fall into one of the parts, spread evenly."""
    return (number + 1) * total // parts - number * total // parts


def sizes(written: Sequence[Frame]) -> tuple[int, int, int, int]:
    """Return the bytes on WebSocket, plain and compressed, and as server-sent events likewise."""
    return (
        sum(len(frame.ws) for frame in written),
        sum(len(ws_deflated(frame.text)) for frame in written),
        sum(len(frame.sse) for frame in written),
        len(sse_gzip_header()) + sum(len(sse_deflated(frame.sse)) for frame in written),
    )


def savings(hour: Sequence[Frame]) -> Report:
    """Return what the hour costs a reader who gets everything, and one with low data."""
    columns = ("stream", "frames", "WebSocket KB", "of all %", "SSE KB", "of all %")
    report = Report("An hour of a busy room, for one reader", columns)
    less = [frame for frame in hour if frame.type not in LEFT_OUT]
    all_ws, all_sse = sizes(hour)[::2]

    def row(name: str, number: int, on_ws: int, on_sse: int) -> tuple[Value, ...]:
        of_ws, of_sse = 100 * on_ws / all_ws, 100 * on_sse / all_sse
        return name, number, on_ws / 1000, of_ws, on_sse / 1000, of_sse

    for name, chosen, types in (("everything", hour, None), ("low data", less, LOW)):
        ws, small_ws, sse, small_sse = sizes(chosen)
        for kind, on_ws, on_sse, wires in (
            (name, ws, sse, (WS, SSE)),
            (f"{name}, deflated", small_ws, small_sse, (WS_DEFLATED, SSE_GZIP)),
        ):
            report.rows.append(row(kind, len(chosen), on_ws, on_sse))
            (ws_stayed, ws_came), (sse_stayed, sse_came) = (
                referring.sizes(hour, by_reference(wire, types)) for wire in wires
            )
            report.rows += [
                row(f"{kind}, people by reference", len(chosen), ws_stayed, sse_stayed),
                row(f"{kind}, the same for who passes by", len(chosen), ws_came, sse_came),
            ]
    left = ", ".join(sorted(LEFT_OUT))
    report.notes.append(f"Low data: without {left}. No frame holds a preview of a link.")
    report.notes.append(f"{PEOPLE} people, {READING} of them reading; nothing of packets' heads.")
    report.notes.append(
        "By reference: of the frames, those that introduce are not counted. Somebody opens the "
        f"room each minute; who passes by stays {referring.STAYING} minutes, and others follow."
    )
    return report


def kinds(hour: Sequence[Frame]) -> Report:
    """Return what each type of frame has in it."""
    columns = ("type", "frames", "bytes", "deflated", "of it %")
    report = Report("The frames of that hour on WebSocket, bytes of one", columns)
    for name, number in Counter(frame.type for frame in hour).most_common():
        plain, small, _, _ = sizes([frame for frame in hour if frame.type == name])
        row = (name, number, round(plain / number), round(small / number), 100 * small / plain)
        report.rows.append(row)
    return report


def cost(hour: Sequence[Frame]) -> str:
    """Return how long the processor compresses, once for all readers (this alone varies)."""
    texts = [frame.text for frame in hour if frame.type not in LEFT_OUT]
    return f"Compressing a frame: {_microseconds(ws_deflated, texts):.0f} µs, for all its readers."


def _microseconds(work: Callable[[bytes], bytes], texts: Sequence[bytes]) -> float:
    rounds = []
    for _ in range(5):
        begun = time.process_time()
        for text in texts:
            work(text)
        rounds.append((time.process_time() - begun) / len(texts) * 1e6)
    return min(rounds)


def main() -> None:
    """Print the figures."""
    hour = list(Hour().frames())
    sys.stdout.write(f"{savings(hour).text()}\n\n{kinds(hour).text()}\n{cost(hour)}\n")


if __name__ == "__main__":
    main()
