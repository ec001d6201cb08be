"""Polls (client-server API, "Polls", and MSC3381)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .answering import answers
from .entry import Poll
from .extensible import first_of, text_of
from .mentioning import mentions
from .shown import Names, Shown
from .words import line, name

Content = Mapping[str, Any]

START: Final = frozenset({"m.poll.start", "org.matrix.msc3381.poll.start"})
END: Final = frozenset({"m.poll.end", "org.matrix.msc3381.poll.end"})

_MOST_ANSWERS = 20
_MOST_LETTERS = 340
"""Of an answer: as many as clients let one write."""

_MOST_QUESTION = 1000


def shown_start(event_type: str, content: Content, names: Names, edit: Content | None) -> Shown:
    """Return what is shown of a question."""
    source = edit if edit and _question(edit) else content
    poll, question = _poll(source), _question(source)
    reply_to, thread = answers(content)
    mentioned, everybody = mentions(source)
    who = name(names.sender)
    return Shown(
        "poll",
        f"Poll: {question}" if question else f"{who} started a poll that cannot be shown here",
        poll=poll,
        mentioned=mentioned,
        mentions_room=everybody,
        reply_to=reply_to,
        thread=thread,
    )


def shown_end(event_type: str, content: Content, names: Names, edit: Content | None) -> Shown:
    """Return what is shown of the end of a poll."""
    said = line(text_of(content))
    text = f"{name(names.sender)} ended the poll"
    return Shown("poll", f"{text}: {said}" if said else text)


def _start(content: Content) -> Content | None:
    return first_of(content, "m.poll", "m.poll.start", "org.matrix.msc3381.poll.start")


def _question(content: Content) -> str | None:
    start = _start(content)
    said = text_of(start.get("question")) if start else None
    return line(said, _MOST_QUESTION) or line(text_of(content), _MOST_QUESTION)


def _poll(content: Content) -> Poll | None:
    start, question = _start(content), _question(content)
    choices = start.get("answers") if start else None
    if question is None or not isinstance(choices, list):
        return None
    found = [line(text_of(one), _MOST_LETTERS) for one in choices[:_MOST_ANSWERS]]
    return Poll(question, [one or "…" for one in found])
