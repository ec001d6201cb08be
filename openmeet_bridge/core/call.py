"""Calls, none of which can be taken here: each in a sentence ("Voice over IP")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .shown import Names, Shown
from .words import name

Content = Mapping[str, Any]

_RINGING = frozenset(
    {
        "m.call.invite",
        "m.call.notify",
        "org.matrix.msc4075.call.notify",
        "m.rtc.notification",
        "org.matrix.msc4075.rtc.notification",
    }
)
_OTHERS: Final = {
    "m.call.answer": "answered the call",
    "m.call.hangup": "ended the call",
    "m.call.reject": "declined the call",
}
EVENTS: Final = _RINGING | _OTHERS.keys()
"""Types of what is said in a call."""

_ROOM_CALL = "org.matrix.msc3401.call"
STATE: Final = frozenset(
    {_ROOM_CALL, "m.call", "m.call.member", "org.matrix.msc3401.call.member", "m.rtc.member"}
)
"""Types of state that tell who is in a call."""


def shown(event_type: str, content: Content, names: Names, _edit: Content | None) -> Shown:
    """Return what is shown of an event of a call."""
    who = name(names.sender)
    if event_type in _RINGING:
        sort = "video call" if _has_video(content) else "call"
        return Shown("call", f"{who} started a {sort}, which cannot be joined here")
    if event_type == "m.call.hangup" and content.get("reason") == "invite_timeout":
        return Shown("call", f"Nobody answered the call of {who}")
    return Shown("call", f"{who} {_OTHERS[event_type]}")


def shown_member(event_type: str, content: Content, names: Names) -> Shown:
    """Return what is shown of somebody's part in a call."""
    who = name(names.sender)
    if event_type in (_ROOM_CALL, "m.call"):
        ended = not content or "m.terminated" in content
        return Shown("call", f"{who} {'ended' if ended else 'started'} a call in this room")
    memberships = content.get("memberships", content)
    return Shown("call", f"{who} {'joined' if memberships else 'left'} the call")


def _has_video(content: Content) -> bool:
    offer = content.get("offer")
    description = offer.get("sdp") if isinstance(offer, Mapping) else None
    return isinstance(description, str) and "m=video" in description
