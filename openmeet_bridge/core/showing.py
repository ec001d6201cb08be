"""What an event shows: from its content, which may be anything, to words and known fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from . import call, membership_news, message, place, poll, room_news
from .content import decoded
from .events import MEMBER, MESSAGE
from .extensible import text_of
from .shown import Names, Shown
from .words import line, name

__all__ = ["Names", "Shown", "deleted", "show"]

Content = Mapping[str, Any]

_VERIFICATION = "m.key.verification."
_ENCRYPTED = "m.room.encrypted"


def show(
    event_type: str,
    state_key: str | None,
    content: bytes,
    names: Names,
    *,
    effect: int = 0,
    edit: bytes | None = None,
    previous: bytes | None = None,
) -> Shown:
    """Return what an event shows. Whatever it holds, there is a readable line.

    Args:
        event_type: Its type.
        state_key: Its state key; None for what is no state.
        content: Its content as it came.
        names: What its people are called.
        effect: Of a member event: 1 when somebody came in by it, -1 when somebody went out.
        edit: The content of the newest edit that counts.
        previous: Of a member event: what the one before it held.
    """
    found = decoded(content)
    if state_key is not None:
        return _state(event_type, found, names, effect, decoded(previous) if previous else None)
    replaced = decoded(edit).get("m.new_content") if edit else None
    return _said(event_type, found, names, replaced if isinstance(replaced, dict) else None)


def deleted() -> Shown:
    """Return what is shown of a message that was deleted."""
    return Shown("deleted", "This message was deleted.")


def _state(
    event_type: str, content: Content, names: Names, effect: int, previous: Content | None
) -> Shown:
    if event_type == MEMBER:
        return membership_news.shown(content, names, effect, previous)
    if event_type in call.STATE:
        return call.shown_member(event_type, content, names)
    if event_type in place.BEACON_INFO:
        return place.shown_beacon(event_type, content, names)
    return room_news.shown(event_type, content, names)


def _said(event_type: str, content: Content, names: Names, edit: Content | None) -> Shown:
    if event_type in (MESSAGE, "m.sticker"):
        return message.shown(event_type, content, names, edit)
    if event_type == _ENCRYPTED:
        return Shown("encrypted", "This message is encrypted and cannot be shown here.")
    show_one = _TYPES.get(event_type)
    if show_one is not None:
        return show_one(event_type, content, names, edit)
    if event_type.startswith(_VERIFICATION):
        return Shown("unknown", f"{name(names.sender)} compares encryption keys with somebody")
    said = line(text_of(edit)) if edit else None
    said = said or line(text_of(content))
    who = name(names.sender)
    return Shown("unknown", f"{who}: {said}" if said else _nothing(who))


def _nothing(who: str) -> str:
    return f"{who} sent something that cannot be shown here"


_TYPES: Final[dict[str, Callable[[str, Content, Names, Content | None], Shown]]] = {
    **dict.fromkeys(poll.START, poll.shown_start),
    **dict.fromkeys(poll.END, poll.shown_end),
    **dict.fromkeys(call.EVENTS, call.shown),
    **dict.fromkeys(place.BEACON, place.shown_update),
}
