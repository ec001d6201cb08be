"""Names of people in a text, made links that Matrix clients show as pills."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from .html_tokens import End, Start, Token
from .ids import Mxid
from .words import MOST_CALLED, line

_UNTOUCHED = frozenset({"a", "code", "pre"})


def address_of(person: Mxid) -> str:
    """Return the link that means somebody (appendices, "matrix.to navigation")."""
    return f"https://matrix.to/#/{quote(person, safe='@:')}"


def with_pills(
    found: list[Token], mentioned: Mapping[Mxid, str], slugs: Mapping[Mxid, str]
) -> list[Token]:
    """Return HTML in which every ``@Name`` of somebody who is mentioned is a link to them.

    Args:
        found: HTML in order.
        mentioned: Whom it means to reach, and what they are called.
        slugs: What some of them are called besides.
    """
    people = _by_name(mentioned, slugs)
    if not people:
        return found
    names = "|".join(re.escape(name) for name in sorted(people, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w@])@({names})(?!\w)", re.IGNORECASE)
    written: list[Token] = []
    untouched = 0
    for token in found:
        if not isinstance(token, str):
            step = 1 if isinstance(token, Start) else -1
            untouched += step if token.name in _UNTOUCHED else 0
            written.append(token)
        elif untouched:
            written.append(token)
        else:
            written += _linked(token, pattern, people)
    return written


def _by_name(mentioned: Mapping[Mxid, str], slugs: Mapping[Mxid, str]) -> dict[str, Mxid]:
    """Return people by what they may be called; of two of one name the first is meant."""
    found: dict[str, Mxid] = {}
    for person, called in mentioned.items():
        for name in (line(called, MOST_CALLED), slugs.get(person), person[1:]):
            if name:
                found.setdefault(name.lower(), person)
    return found


def _linked(text: str, pattern: re.Pattern[str], people: Mapping[str, Mxid]) -> Iterator[Token]:
    at = 0
    for match in pattern.finditer(text):
        person = people.get(match[1].lower())
        if person is None:
            continue
        if match.start() > at:
            yield text[at : match.start()]
        yield Start("a", {"href": address_of(person)})
        yield match[0]
        yield End("a")
        at = match.end()
    if at < len(text):
        yield text[at:]
