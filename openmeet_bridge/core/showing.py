"""What an event shows: from its content, which may be anything, to words and known fields."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from .entry import Media, Place, Poll
from .events import MEMBER, MESSAGE, text_or_none
from .ids import EventId, Mxid


class Shown(NamedTuple):
    """What is to be seen of an event, before the people and entries it names are looked up.

    Attributes:
        kind: How to show it; see :class:`~openmeet_bridge.core.entry.Entry`.
        text: In words; never empty.
        html: Formatted, sanitised.
        mentioned: Whom it names.
        mentions_room: Whether it names everybody.
        reply_to: The event that it answers.
        thread: The event with which its thread began.
    """

    kind: str
    text: str
    html: str | None = None
    media: Media | None = None
    place: Place | None = None
    poll: Poll | None = None
    mentioned: tuple[Mxid, ...] = ()
    mentions_room: bool = False
    reply_to: EventId | None = None
    thread: EventId | None = None
    membership: str | None = None


class Names(NamedTuple):
    """What the people of an event are called."""

    sender: str
    subject: str | None = None


def show(
    event_type: str,
    state_key: str | None,
    content: bytes,
    names: Names,
    *,
    effect: int = 0,
    edit: bytes | None = None,
) -> Shown:
    """Return what an event shows. Whatever it holds, there is a readable line.

    Args:
        event_type: Its type.
        state_key: Its state key; None for what is no state.
        content: Its content as it came.
        names: What its people are called.
        effect: Of a member event: 1 when somebody came in by it, -1 when somebody went out.
        edit: The content of the newest edit that counts.
    """
    found = _decode(content)
    if event_type == MESSAGE:
        return Shown("text", text_or_none(found.get("body")) or "This message has no text.")
    if event_type == MEMBER and state_key is not None:
        membership = text_or_none(found.get("membership"))
        return Shown("member", f"{names.subject}: {membership}", membership=membership)
    return Shown("unknown", f"{names.sender} sent something that cannot be shown here.")


def deleted() -> Shown:
    """Return what is shown of a message that was deleted."""
    return Shown("deleted", "This message was deleted.")


def _decode(content: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
