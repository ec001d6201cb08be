"""Whom a message means to reach (client-server API, "User and room mentions")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .html import pieces
from .html_policy import matrix_id, mentioned_person
from .html_tokens import Start
from .ids import Mxid

MOST_MENTIONED = 50


def mentions(content: Mapping[str, Any], html: str | None) -> tuple[tuple[Mxid, ...], bool]:
    """Return whom a message means to reach, and whether everybody.

    Args:
        content: Of the message, or of its newest edit.
        html: Its formatted text; the links in it count only where the content says nothing.
    """
    stated = content.get("m.mentions")
    if not isinstance(stated, Mapping):
        return (_linked(html) if html else ()), False
    people = stated.get("user_ids")
    found = [matrix_id(one) for one in people[:MOST_MENTIONED]] if isinstance(people, list) else []
    return tuple(dict.fromkeys(one for one in found if one)), stated.get("room") is True


def _linked(html: str) -> tuple[Mxid, ...]:
    if "matrix" not in html:
        return ()
    links = (one for one in pieces(html) or () if isinstance(one, Start) and one.name == "a")
    found = (mentioned_person(one.attributes["href"]) for one in links)
    return tuple(dict.fromkeys(one for one in found if one))[:MOST_MENTIONED]
