"""Entries: rows of the log, in the one shape in which pages and streams show them."""

from __future__ import annotations

import msgspec

from .ids import EventId, Mxid, Position, RoomId, TenantId, UserSlug
from .words import MOST_CALLED, SOMEBODY, line


class Person(msgspec.Struct, frozen=True):
    """Somebody who acts in a room. ``slug`` is null for people who come from Matrix."""

    mxid: Mxid
    name: str
    avatar_url: str | None
    slug: UserSlug | None

    def __post_init__(self) -> None:
        # Anybody on Matrix may call themselves anything: what is handed out is fit to be shown.
        name = line(self.name, MOST_CALLED) or line(fallback_name(self.mxid)) or SOMEBODY
        if name != self.name:
            msgspec.structs.force_setattr(self, "name", name)


class Media(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file that a message carries, as its sender describes it.

    ``url`` is an ``mxc://`` address. ``size`` is in bytes, ``duration`` in milliseconds, ``width``
    and ``height`` in pixels. ``caption`` is what is said of it; then the entry's ``html`` is the
    caption, formatted.
    """

    url: str | None = None
    name: str | None = None
    caption: str | None = None
    type: str | None = None
    size: int | None = None
    width: int | None = None
    height: int | None = None
    duration: int | None = None
    encrypted: bool = False


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place on the earth (RFC 5870), in degrees."""

    latitude: float
    longitude: float
    description: str | None = None


class Poll(msgspec.Struct, frozen=True):
    """A question with answers to choose from."""

    question: str
    answers: list[str]


class Mentions(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whom a message means to reach. ``room``: everybody in the room."""

    people: list[Person] = []
    room: bool = False


class Quote(msgspec.Struct, frozen=True, omit_defaults=True):
    """Another entry, in short: what a reply answers, or what a thread began with.

    Only ``event_id`` is there where the other entry is not known, or not for every reader of this
    one to see: ask for it. ``text`` is one line.
    """

    event_id: EventId
    sender: Person | None = None
    kind: str | None = None
    text: str | None = None


class Reaction(msgspec.Struct, frozen=True):
    """How many people have reacted with the same key, and who the first of them are."""

    key: str
    count: int
    people: list[Person]


class Edited(msgspec.Struct, frozen=True):
    """The newest edit of a message. ``timestamp`` is in milliseconds."""

    event_id: EventId
    timestamp: int
    count: int


class Deletion(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who has deleted a message, when (milliseconds) and why, as far as that is known."""

    by: Person | None = None
    timestamp: int | None = None
    reason: str | None = None


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a timeline, as it is to be shown now.

    ``order`` sorts a room's timeline as text. Of two forms of the same entry the one with the
    higher ``revision`` is the newer. ``timestamp`` is in milliseconds, as claimed by the sender's
    server: it is for display, never for sorting.

    ``kind`` says how to show it, and ``text`` always says it in words: what somebody wrote, or a
    sentence about what happened. ``html`` is the same formatted, and safe to put into a page: it
    holds the elements and attributes that the Matrix specification allows, and no other; a link
    that means a person says whom in ``data-mention``. What a ``span`` with ``data-mx-spoiler``
    covers stands between ``||`` in ``text``: show neither before the reader wants it.
    """

    event_id: EventId
    room_id: RoomId
    order: str
    revision: int
    type: str
    kind: str
    sender: Person
    timestamp: int
    text: str
    html: str | None = None
    state_key: str | None = None
    client_txn_id: str | None = None
    subject: Person | None = None
    """Whom an entry of kind ``member`` is about."""
    membership: str | None = None
    """Of an entry of kind ``member``: ``join``, ``invite``, ``leave``, ``ban`` or ``knock``."""
    media: Media | None = None
    place: Place | None = None
    poll: Poll | None = None
    mentions: Mentions | None = None
    reply_to: Quote | None = None
    thread: Quote | None = None
    """The entry with which the thread began that this one is part of."""
    edited: Edited | None = None
    reactions: list[Reaction] = []
    deletion: Deletion | None = None


class MembershipEffect(msgspec.Struct, frozen=True):
    """What a member event did when it was logged: somebody came in or went out."""

    user: Person
    joined: bool
    membership: str
    by_self: bool
    reason: str | None
    room_kind: str
    room_name: str


class LogEntry(msgspec.Struct, frozen=True):
    """An entry with its place in the log and what a stream must know to route it.

    ``changed``: what stands at this place is an edit, a reaction or a redaction, and ``entry`` is
    the line that it changed, as it is now. ``readers``: the only ones who may see the line; None
    where everybody may who is in the room.
    """

    position: Position
    tenant: TenantId
    entry: Entry
    effect: MembershipEffect | None = None
    changed: bool = False
    readers: frozenset[Mxid] | None = None


class Receipt(msgspec.Struct, frozen=True):
    """How far somebody has read a room."""

    room_id: RoomId
    user: Person
    event_id: EventId
    order: str
    timestamp: int


def fallback_name(mxid: str) -> str:
    """Return a name for somebody who has set none: the localpart of the Matrix user id."""
    return mxid[1:].partition(":")[0] if mxid.startswith("@") else mxid
