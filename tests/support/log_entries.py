"""Entries of a log, as the feed gives them to the hub."""

from __future__ import annotations

from openmeet_bridge.core.cursor import SORT_KEY_STEP, order_text
from openmeet_bridge.core.entry import Entry, LogEntry, MembershipEffect, Person
from openmeet_bridge.core.ids import EventId, Mxid, Position, RoomId, TenantId, UserSlug

TENANT = TenantId("lake")
ROOM = RoomId("!room")


def person(slug: str) -> Person:
    """An OpenMeet user as others see them."""
    return Person(Mxid(f"@{slug}:test"), slug.title(), None, UserSlug(slug))


def said(position: int, room_id: RoomId = ROOM, body: str = "hi") -> LogEntry:
    """A message."""
    return LogEntry(Position(position), TENANT, _entry(position, room_id, body))


def moved(
    position: int,
    who: Person,
    membership: str,
    room_id: RoomId = ROOM,
    *,
    by_self: bool = True,
    reason: str | None = None,
    tenant: TenantId = TENANT,
) -> LogEntry:
    """Somebody's coming or going."""
    entry = _entry(position, room_id, f"{who.name}: {membership}", who)
    joined = membership == "join"
    effect = MembershipEffect(who, joined, membership, by_self, reason, "group", "Hikers")
    return LogEntry(Position(position), tenant, entry, effect)


def _entry(position: int, room_id: RoomId, text: str, subject: Person | None = None) -> Entry:
    return Entry(
        EventId(f"${position}"),
        room_id,
        order_text(position * SORT_KEY_STEP),
        position,
        "m.room.message" if subject is None else "m.room.member",
        "text" if subject is None else "member",
        person("someone"),
        position,
        text,
        state_key=None if subject is None else subject.mxid,
        subject=subject,
    )
