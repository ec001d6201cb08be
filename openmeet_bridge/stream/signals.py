"""Signals: what processes say to one another over the bus.

Each may be lost, or come twice, or come from a bridge of another version: none carries what cannot
be done without. Fields are only ever added at the end, with a default; a signal that is not known
here is passed over.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ..core.entry import Person
from ..core.ids import Mxid, RoomId, TenantId

MAX_BYTES: Final = 256 * 1024
"""What is larger is neither said nor read."""

MOST: Final = 500
"""So many rooms or people one signal names at most; who has more to say says it in several."""


class _Signal(msgspec.Struct, array_like=True):
    """What all signals are: an array that begins with the signal's tag."""


class Saying(msgspec.Struct, frozen=True, array_like=True):
    """A frame, without the bytes that each wire makes of it."""

    type: str
    data: bytes
    reader: Mxid | None = None


class ToRoom(_Signal, tag="to_room"):
    """A frame for those in a room."""

    room_id: RoomId
    frame: Saying


class ToRooms(_Signal, tag="to_rooms"):
    """A frame for those of a tenant in some rooms who are not in some others, once to each."""

    tenant: TenantId
    room_ids: tuple[RoomId, ...]
    but: tuple[RoomId, ...]
    frame: Saying


class ToUser(_Signal, tag="to_user"):
    """A frame for one person's streams."""

    mxid: Mxid
    frame: Saying


class CloseUser(_Signal, tag="close_user"):
    """A person's streams end."""

    mxid: Mxid
    reason: str


class Expel(_Signal, tag="expel"):
    """A person's streams leave a room."""

    mxid: Mxid
    room_id: RoomId


class Settled(_Signal, tag="settled"):
    """Rows of the outbox were sent or given up: who waits for one may look."""

    ids: tuple[int, ...]


class Wake(_Signal, tag="wake"):
    """There is something to do, for whoever does it; ``about`` says where, if that helps."""

    name: str
    about: str = ""


class Pinged(_Signal, tag="pinged"):
    """A ping of the homeserver has come: whoever asked for it may ask any process."""

    transaction_id: str


class TypingCame(_Signal, tag="typing_came"):
    """A typing notice of a room in which the bot types has come (ms): as :class:`Pinged`."""

    room_id: RoomId
    at_ms: int


class UnreadChanged(_Signal, tag="unread"):
    """Something else is unread in some rooms, for one person."""

    mxid: Mxid
    room_ids: tuple[RoomId, ...]


class Typed(_Signal, tag="typed"):
    """Somebody has told another process that they type, or have stopped."""

    room_id: RoomId
    mxid: Mxid
    person: Person | None
    typing: bool


class TypingHeard(_Signal, tag="typing_heard"):
    """The homeserver has told another process who types in a room: the whole list."""

    room_id: RoomId
    people: tuple[Person, ...]


class WhoTypes(_Signal, tag="who_types"):
    """A process has readers in these rooms now, and had none before."""

    origin: str
    room_ids: tuple[RoomId, ...]


class Typist(msgspec.Struct, frozen=True, array_like=True):
    """Somebody who types: as they said themselves, or as the homeserver says; for how long yet."""

    person: Person
    here: bool
    seconds: float


class Typing(_Signal, tag="typing"):
    """Who types in a room, for the process that has asked."""

    asked_by: str
    room_id: RoomId
    typists: tuple[Typist, ...]


class Attendant(msgspec.Struct, frozen=True, array_like=True):
    """How one person is there by one process: without streams they are not.

    Attributes:
        mxid: Who.
        streams: How many streams they have open there.
        idle: How many of their clients said there that they are idle, since any sign of life.
        life_age: Seconds since their last sign of life there.
        idle_age: Seconds since the last client said there that it is idle.
        shown: Whether their tenant shows who is there.
    """

    mxid: Mxid
    streams: int
    idle: int = 0
    life_age: float = 0.0
    idle_age: float = 0.0
    shown: bool = True


class Attending(_Signal, tag="attending"):
    """Who is there by one process: some whose streams have changed, and some again."""

    origin: str
    people: tuple[Attendant, ...]


class Left(_Signal, tag="left"):
    """A process has ended in an orderly way, and its streams with it."""

    origin: str


class WhoIsThere(_Signal, tag="who_is_there"):
    """A process wants to hear of everybody who is there."""

    origin: str


class PresenceChosen(_Signal, tag="presence_chosen"):
    """A person has changed who may see their presence."""

    mxid: Mxid


class MatrixWord(msgspec.Struct, frozen=True, array_like=True):
    """What the homeserver said of a person's presence; ``active_ago`` is in milliseconds."""

    mxid: Mxid
    presence: str
    active_ago: float | None = None


class MatrixPresent(_Signal, tag="matrix_present"):
    """What the homeserver has told another process of people of Matrix."""

    words: tuple[MatrixWord, ...]


Signal = (
    ToRoom
    | ToRooms
    | ToUser
    | CloseUser
    | Expel
    | Settled
    | Wake
    | Pinged
    | TypingCame
    | UnreadChanged
    | Typed
    | TypingHeard
    | WhoTypes
    | Typing
    | Attending
    | Left
    | WhoIsThere
    | PresenceChosen
    | MatrixPresent
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Signal] = msgspec.msgpack.Decoder(Signal)


def encode(signal: Signal) -> bytes:
    """Return a signal as MessagePack."""
    return _encoder.encode(signal)


def decode(payload: bytes) -> Signal:
    """Return what was said.

    Raises:
        msgspec.DecodeError: It is none of these signals.
    """
    return _decoder.decode(payload)
