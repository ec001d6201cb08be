"""Frames: what goes over a stream, encoded once for all its readers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, Protocol

import msgspec

from ..core.actions import Action
from ..core.cursor import Cursor
from ..core.entry import Entry, LogEntry, Person, Receipt
from ..core.ids import EventId, Mxid, Position, RoomId
from ..core.presence import State
from .reasons import CloseReason

_encoder = msgspec.json.Encoder()


class Frame:
    """One unit on a stream. Each wire's bytes are made when first needed, and then shared.

    Attributes:
        source: What ``data`` is the JSON of, for wires that say it in other words.
        other: The bytes of such a wire, by the wire, once they are made.
        reader: Whose alone the frame is, where it says of its reader what happened to them.
        brief: The same without the profiles of people, and these people, once that is made.
    """

    __slots__ = ("_sse", "_ws", "brief", "cursor", "data", "other", "reader", "source", "type")

    def __init__(
        self,
        frame_type: str,
        data: bytes,
        cursor: Cursor | None = None,
        source: msgspec.Struct | None = None,
        reader: Mxid | None = None,
    ) -> None:
        self.type = frame_type
        self.data = data
        self.cursor = cursor
        self.source = source
        self.reader = reader
        self.other: dict[object, bytes] = {}
        self.brief: tuple[Frame, Sequence[Person]] | None = None
        self._sse: bytes | None = None
        self._ws: bytes | None = None

    @property
    def sse(self) -> bytes:
        """The frame as a block of ``text/event-stream`` (HTML, "Server-sent events")."""
        if self._sse is None:
            place = b"id: %b\n" % str(self.cursor).encode() if self.cursor else b""
            data = self.data
            if b"\n" in data or b"\r" in data:
                # Only between the tokens of a content that came so: it is another's JSON.
                data = b"\ndata: ".join(data.splitlines())
            self._sse = b"event: %b\n%bdata: %b\n\n" % (self.type.encode(), place, data)
        return self._sse

    @property
    def text(self) -> bytes:
        """The text of a WebSocket message: one JSON object."""
        place = b',"cursor":"%b"' % str(self.cursor).encode() if self.cursor else b""
        return b'{"type":"%b"%b,"data":%b}' % (self.type.encode(), place, self.data)

    @property
    def ws(self) -> bytes:
        """The frame as one unmasked WebSocket text frame (RFC 6455, section 5.2)."""
        if self._ws is None:
            self._ws = ws_text(self.text)
        return self._ws


class Wire(Protocol):
    """How frames are written on one kind of stream."""

    name: str

    def join(self, frames: Sequence[Frame]) -> bytes:
        """Return the bytes that carry these frames in one write."""


class SseWire:
    """Server-sent events: a body that ends with its connection."""

    name = "sse"

    def join(self, frames: Sequence[Frame]) -> bytes:
        """Return the frames one after another."""
        return b"".join([frame.sse for frame in frames])


class WsWire:
    """WebSocket text frames."""

    name = "ws"

    def join(self, frames: Sequence[Frame]) -> bytes:
        """Return the frames one after another."""
        return b"".join([frame.ws for frame in frames])


SSE = SseWire()
WS = WsWire()


class Hello(msgspec.Struct):
    """Whose stream it is."""

    user: Person
    cursor: str
    heartbeat_ms: int


class People(msgspec.Struct):
    """Who the people are of whom other frames give the id only."""

    people: Sequence[Person]


class Membership(msgspec.Struct, omit_defaults=True):
    """Somebody came into a room, or went out of it."""

    room_id: RoomId
    user: Person
    membership: str
    reason: str | None = None


class RoomAdded(msgspec.Struct):
    """The reader has come into a room."""

    room_id: RoomId
    kind: str
    name: str


class RoomRemoved(msgspec.Struct):
    """The reader is no longer in a room."""

    room_id: RoomId
    reason: str


class Typing(msgspec.Struct):
    """Who is typing in a room."""

    room_id: RoomId
    users: Sequence[Person]


class Presence(msgspec.Struct):
    """Whether somebody is there; `last_seen` in milliseconds."""

    user: Person
    state: State
    last_seen: int | None


class Unread(msgspec.Struct):
    """What the reader has not read of a room."""

    room_id: RoomId
    read_order: str
    unread_count: int
    mention_count: int
    marked_unread: bool


class SendFailed(msgspec.Struct, omit_defaults=True):
    """Something that the reader wanted to send could not be sent."""

    room_id: RoomId
    errcode: str
    error: str
    action: Action = Action.SEND
    client_txn_id: str | None = None
    event_id: EventId | None = None
    key: str | None = None


class Reset(msgspec.Struct):
    """The reader must fetch anew, and go on from this cursor."""

    reason: str
    cursor: str


class Bye(msgspec.Struct):
    """The stream ends; `reconnect`: come back with the last cursor."""

    reason: str
    reconnect: bool


class Subscribed(msgspec.Struct, omit_defaults=True):
    """What the stream brings from now on; null is all.

    `rooms` are those of the rooms asked for in which the reader is; the others follow when the
    reader comes into them.
    """

    id: str | int | None
    rooms: Sequence[RoomId] | None
    types: Sequence[str] | None
    people: Literal["full", "ref"] = "full"


class Pong(msgspec.Struct):
    """The answer to a ping."""

    id: str | int | None


class Complaint(msgspec.Struct, omit_defaults=True):
    """A message of the reader's that was not understood, or could not be done."""

    errcode: str
    error: str
    id: str | int | None = None
    fields: Mapping[str, str] | None = None


FRAME_TYPES: dict[str, type] = {
    "hello": Hello,
    "people": People,
    "timeline": Entry,
    "timeline.changed": Entry,
    "membership": Membership,
    "room.added": RoomAdded,
    "room.removed": RoomRemoved,
    "typing": Typing,
    "receipt": Receipt,
    "unread": Unread,
    "presence": Presence,
    "send.failed": SendFailed,
    "reset": Reset,
    "bye": Bye,
    "subscribed": Subscribed,
    "pong": Pong,
    "error": Complaint,
}
"""Every frame and the shape of its data, for the API reference."""

ALWAYS: Final = frozenset(
    {"hello", "people", "heartbeat", "reset", "bye", "subscribed", "pong", "error"}
)
"""What every stream brings, whatever was asked for: it is about the stream itself."""

CHOICE: Final = frozenset(FRAME_TYPES) - ALWAYS
"""What may be left out."""


def hello(user: Person, cursor: Cursor, heartbeat: float, *, begins: bool = True) -> Frame:
    """The first frame of every stream.

    Where the stream begins at its cursor, the frame carries it: who is cut off before anything
    happens must not come back without one. Where a reset follows, that one carries it.
    """
    greeting = Hello(user, str(cursor), int(heartbeat * 1000))
    return Frame("hello", _encoder.encode(greeting), cursor if begins else None, greeting)


def people(some: Sequence[Person]) -> Frame:
    """Who these people are: frames after this one give their ids only."""
    return _frame("people", People(some))


def reset(reason: str, cursor: Cursor) -> Frame:
    """The client's cursor is of no use: it must fetch anew, and go on from this one."""
    order = Reset(reason, str(cursor))
    return Frame("reset", _encoder.encode(order), cursor, order)


def bye(reason: CloseReason) -> Frame:
    """The last frame of a stream that the server closes."""
    return _frame("bye", Bye(reason.value, reason.reconnect))


def heartbeat(cursor: Cursor) -> Frame:
    """Nothing has happened; but who comes back with this cursor has less to be given."""
    return Frame("heartbeat", b"{}", cursor)


def subscribed(
    request: str | int | None,
    rooms: Sequence[RoomId] | None,
    types: Sequence[str] | None,
    cursor: Cursor,
    *,
    by_reference: bool = False,
) -> Frame:
    """What the stream follows from this cursor on, as its reader has asked."""
    change = Subscribed(request, rooms, types, "ref" if by_reference else "full")
    return Frame("subscribed", _encoder.encode(change), cursor, change)


def pong(request: str | int | None) -> Frame:
    """The answer to a ping in a message, for clients that can send no other."""
    return _frame("pong", Pong(request))


def complaint(
    request: str | int | None, errcode: str, error: str, fields: Mapping[str, str] | None = None
) -> Frame:
    """A message of the reader's has no effect."""
    return _frame("error", Complaint(errcode, error, request, fields or None))


def typing(room_id: RoomId, users: Sequence[Person]) -> Frame:
    """Who is typing in a room now: the whole list."""
    return _frame("typing", Typing(room_id, users))


def presence(user: Person, state: State, last_seen: int | None) -> Frame:
    """Whether somebody is there, and when they last were (milliseconds), where that is known."""
    return _frame("presence", Presence(user, state, last_seen))


def receipt(mark: Receipt) -> Frame:
    """Somebody has read a room up to an event."""
    return _frame("receipt", mark)


def unread(
    room_id: RoomId, read_order: str, unread_count: int, mention_count: int, *, marked: bool
) -> Frame:
    """What is unread of a room for the reader, who has changed it."""
    return _frame("unread", Unread(room_id, read_order, unread_count, mention_count, marked))


def send_failed(
    room_id: RoomId,
    client_txn_id: str | None,
    errcode: str,
    error: str,
    *,
    action: Action = Action.SEND,
    event_id: EventId | None = None,
    key: str | None = None,
) -> Frame:
    """A message or a change that was accepted could not be sent.

    Args:
        room_id: Where to.
        client_txn_id: The client's own id of a message or an edit.
        errcode: Why.
        error: Why, for people.
        action: What it was.
        event_id: The entry that it was about.
        key: Of a reaction: what it says.
    """
    failed = SendFailed(room_id, errcode, error, action, client_txn_id, event_id, key)
    return _frame("send.failed", failed)


def room_frames(logged: LogEntry, cursor: Cursor) -> Iterator[Frame]:
    """Return an entry as those see it who are in its room."""
    effect = logged.effect
    if effect is not None:
        # Before the entry, and without a cursor: who is cut off in between gets both again.
        change = Membership(
            logged.entry.room_id, effect.user, effect.membership, reason=effect.reason
        )
        yield _frame("membership", change)
    kind = "timeline.changed" if logged.changed else "timeline"
    yield Frame(kind, _encoder.encode(logged.entry), cursor, logged.entry)


def own_frame(logged: LogEntry, cursor: Cursor) -> Frame | None:
    """Return what an entry means for the person who came in or went out by it."""
    effect, room_id = logged.effect, logged.entry.room_id
    if effect is None:
        return None
    if effect.joined:
        # The join itself follows as an entry of the room and carries the cursor.
        return _frame("room.added", RoomAdded(room_id, effect.room_kind, effect.room_name))
    reason = "left" if effect.by_self else "banned" if effect.membership == "ban" else "removed"
    return room_removed(effect.user.mxid, room_id, reason, cursor)


def room_removed(reader: Mxid, room_id: RoomId, reason: str, cursor: Cursor | None = None) -> Frame:
    """Return that a room is no longer the reader's: ``left``, ``removed`` or ``banned``."""
    removal = RoomRemoved(room_id, reason)
    return Frame("room.removed", _encoder.encode(removal), cursor, removal, reader)


def cursor_at(epoch: str, position: int) -> Cursor:
    """Return the cursor of a position."""
    return Cursor(epoch, Position(position))


def _frame(frame_type: str, data: msgspec.Struct) -> Frame:
    return Frame(frame_type, _encoder.encode(data), source=data)


def ws_text(text: bytes) -> bytes:
    """Return one unmasked WebSocket text frame (RFC 6455, section 5.2)."""
    return _ws_header(len(text)) + text


def _ws_header(length: int) -> bytes:
    if length < 126:
        return bytes((0x81, length))
    if length < 1 << 16:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")
