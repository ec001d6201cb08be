"""What an event does to another (client-server API, "Forming relationships between events")."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from .events import REDACTION, UNREADABLE, Event, name_problem, redacted_event
from .ids import EventId

REACTION = "m.reaction"

HIDDEN = frozenset(
    {
        REACTION,
        REDACTION,
        "m.poll.response",
        "org.matrix.msc3381.poll.response",
        "m.call.candidates",
        "m.call.negotiate",
        "m.call.select_answer",
        "m.call.sdp_stream_metadata_changed",
        "org.openmeet.nudge",
        "m.bridge",
        "uk.half-shot.bridge",
        "m.space.child",
        "m.space.parent",
        "m.room.server_acl",
        "m.room.power_levels",
        "m.room.guest_access",
        "m.room.canonical_alias",
        "m.room.aliases",
    }
)
"""Types that are never a line of a timeline: they change lines, or concern machines only."""

_VERIFICATION = "m.key.verification."
"""So begin the types of what two devices say to one another ("Key verification framework").

That they begin to is a message, and a line.
"""


class RelationKind(StrEnum):
    """How an event changes the line of another."""

    EDIT = "edit"
    REACTION = "reaction"


class Relation(NamedTuple):
    """An event changes the line of another.

    Attributes:
        kind: How.
        target: The other event; it may not be known yet, or be of another room: then it is none.
        key: Of a reaction: what it says.
    """

    kind: RelationKind
    target: EventId
    key: str | None = None


class _Related(
    msgspec.Struct,
    frozen=True,
    rename={"relation": "m.relates_to", "new_content": "m.new_content"},
):
    relation: dict[str, Any] | None = None
    new_content: msgspec.Raw = msgspec.Raw()

    @property
    def has_new_content(self) -> bool:
        """Whether it says what takes the place of what was there."""
        return bytes(self.new_content).lstrip().startswith(b"{")


_ENCRYPTED = "m.room.encrypted"
_decoder = msgspec.json.Decoder(_Related)


def relation(event: Event) -> Relation | None:
    """Return which line an event changes by an edit or a reaction; None where it does not.

    Whether the edit counts (same sender, same type) is decided where the target is known. One
    that names no new content is no edit, but a message of its own: there is nothing else to show.
    """
    if event.is_state or b"m.relates_to" not in bytes(event.content):
        return None
    try:
        content = _decoder.decode(event.content)
    except UNREADABLE:
        return None
    found = content.relation or {}
    target, kind = found.get("event_id"), found.get("rel_type")
    if not isinstance(target, str) or not target or name_problem(target):
        return None
    if event.type == REACTION:
        return _reaction(EventId(target), found.get("key")) if kind == "m.annotation" else None
    # What an encrypted edit says is inside.
    if kind == "m.replace" and (content.has_new_content or event.type == _ENCRYPTED):
        return Relation(RelationKind.EDIT, EventId(target))
    return None


def _reaction(target: EventId, key: object) -> Relation | None:
    if not isinstance(key, str) or not key.strip() or name_problem(key):
        return None
    return Relation(RelationKind.REACTION, target, key)


def is_line(event: Event) -> bool:
    """Whether an event is a line of its room's timeline."""
    hidden = event.type in HIDDEN or event.type.startswith(_VERIFICATION)
    return not hidden and relation(event) is None


def changed_event(event: Event) -> EventId | None:
    """Return the event that this one changes or blanks."""
    found = relation(event)
    return found.target if found else redacted_event(event)
