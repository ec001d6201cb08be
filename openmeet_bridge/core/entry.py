"""Entries: rows of the log, in the one shape in which pages and streams show them."""

from __future__ import annotations

import msgspec

from .ids import EventId, Mxid, Position, RoomId, TenantId, UserSlug


class Person(msgspec.Struct, frozen=True):
    """Somebody who acts in a room. ``slug`` is null for people who come from Matrix."""

    mxid: Mxid
    name: str
    avatar_url: str | None
    slug: UserSlug | None


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a timeline, as a browser gets it.

    ``order`` sorts a room's timeline as text. ``content`` is the event's content as it came from
    Matrix; the empty object once it was redacted. ``timestamp`` is in milliseconds, as claimed by
    the sender's server: it is for display, never for sorting.
    """

    event_id: EventId
    room_id: RoomId
    order: str
    type: str
    sender: Person
    timestamp: int
    content: msgspec.Raw
    redacted: bool
    state_key: str | None = None
    client_txn_id: str | None = None
    subject: Person | None = None
    """Whom an event of type ``m.room.member`` is about."""


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
    """An entry with its place in the log and what a stream must know to route it."""

    position: Position
    tenant: TenantId
    entry: Entry
    effect: MembershipEffect | None = None


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
