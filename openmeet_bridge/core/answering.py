"""What a message answers, and the copy of it that older clients put before the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .events import name_problem
from .ids import EventId

_COPY = ("> <@", "> * <@")


def answers(content: Mapping[str, Any]) -> tuple[EventId | None, EventId | None]:
    """Return what a message answers, and with what its thread began.

    In a thread a client may name its last message as the one that is answered, for the sake of
    those who know no threads: that is no answer (client-server API, "Fallback for unthreaded
    clients").
    """
    relation = content.get("m.relates_to")
    if not isinstance(relation, Mapping):
        return None, None
    reply = relation.get("m.in_reply_to")
    target = _event_id(reply.get("event_id")) if isinstance(reply, Mapping) else None
    if relation.get("rel_type") != "m.thread":
        return target, None
    thread = _event_id(relation.get("event_id"))
    return (None if relation.get("is_falling_back") is True else target), thread


def is_answer(content: Mapping[str, Any]) -> bool:
    """Whether a message names another that it answers, in whatever sense."""
    relation = content.get("m.relates_to")
    return isinstance(relation, Mapping) and isinstance(relation.get("m.in_reply_to"), Mapping)


def without_copy(body: str) -> str:
    """Return an answer without the copy of what it answers ("Fallbacks for rich replies")."""
    if not body.startswith(_COPY):
        return body
    lines = body.split("\n")
    at = 0
    while at < len(lines) and lines[at].startswith(">"):
        at += 1
    if at < len(lines) and not lines[at].strip():
        at += 1
    return "\n".join(lines[at:])


def _event_id(value: object) -> EventId | None:
    if not isinstance(value, str) or not value.startswith("$") or name_problem(value):
        return None
    return EventId(value)
