"""Who came, went, was asked in or sent away: each in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .shown import Names, Shown
from .words import isolated, line, name

_KNOWN = frozenset({"join", "invite", "leave", "ban", "knock"})


def shown(
    content: Mapping[str, Any], names: Names, effect: int, previous: Mapping[str, Any] | None
) -> Shown:
    """Return what is shown of a member event.

    Args:
        content: Its content; empty once it was redacted.
        names: Who is meant.
        effect: 1 when somebody came in by it, -1 when somebody went out.
        previous: What was there before it.
    """
    membership = content.get("membership")
    if not isinstance(membership, str) or membership not in _KNOWN:
        membership = None
    reason = line(content.get("reason"))
    did = "join" if effect > 0 else "leave"
    if effect and membership is None:
        # Redacted since; what it did is known all the same.
        membership = did
    elif effect and (effect > 0) != (membership == "join"):
        # Another had overtaken it, and so it did the opposite: its content is no help.
        membership, reason, names = did, None, names._replace(own=True)
    if membership is None:
        return Shown("member", f"{name(names.sender)} changed something about who is in this room")
    if membership == "join" and not effect and _before(previous) == "join" and previous:
        return Shown("member", _profile(content, names, previous), membership=membership)
    text = _sentence(membership, names, _before(previous))
    if reason:
        text = f"{text}: {isolated(reason)}"
    return Shown("member", text, membership=membership)


def _before(previous: Mapping[str, Any] | None) -> str | None:
    membership = previous.get("membership") if previous else None
    return membership if isinstance(membership, str) else None


def _sentence(membership: str, names: Names, before: str | None) -> str:
    by, called = name(names.sender), name(names.subject)
    match membership:
        case "join":
            return f"{called} joined"
        case "invite":
            return f"{by} invited {called}"
        case "ban":
            return f"{by} banned {called}"
        case "knock":
            return f"{called} asks to join"
        case _:
            return _left(by, called, before, own=names.own)


def _left(by: str, called: str, before: str | None, *, own: bool) -> str:
    match before:
        case "ban":
            return f"{by} lifted the ban of {called}"
        case "invite":
            declined = f"{called} declined the invitation"
            return declined if own else f"{by} withdrew the invitation of {called}"
        case "knock":
            stopped = f"{called} no longer asks to join"
            return stopped if own else f"{by} did not let {called} join"
        case _:
            return f"{called} left" if own else f"{by} removed {called}"


def _profile(content: Mapping[str, Any], names: Names, previous: Mapping[str, Any]) -> str:
    old, new = line(previous.get("displayname")), line(content.get("displayname"))
    called = name(new or names.subject)
    if old != new:
        if old is None:
            return f"{called} set their name"
        return f"{name(old)} is now called {called}" if new else f"{name(old)} removed their name"
    if previous.get("avatar_url") != content.get("avatar_url"):
        return f"{called} changed their picture"
    return f"{called} updated their profile"
