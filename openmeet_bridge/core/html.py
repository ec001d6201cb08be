"""HTML of strangers, made fit for a page and for Matrix (client-server API, "HTML").

What a message may hold is written anew from its pieces, in order and escaped; nh3 reads that as a
browser does and lets through what is allowed. Either of the two would do, so a mistake in one of
them hurts nobody.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape
from typing import Final

import nh3

from .html_policy import ATTRIBUTES, ELEMENTS, SCHEMES, mentioned_person, permitted
from .html_text import flat, in_words
from .html_tokens import Start, Token, tokens
from .html_tree import VOID, ordered

MOST_CHARACTERS: Final = 65_536
"""No event is larger."""

MOST_TAGS: Final = 2000
"""Of a message that is shown formatted. One with more is shown as plain text."""

_MOST_WRITTEN = 2 * MOST_CHARACTERS
"""Escaped, a text of nothing but ampersands is five times as long."""

_SHORT = 2000
"""Characters of a message of which it is remembered how it is shown."""

_FORMLESS = frozenset({"p", "br", "div", "span", "font"})
"""Elements that, without attributes, say nothing that plain text does not."""

_LINK_TO_NOWHERE = re.compile("<a(?! href=)")

_for_pages = nh3.Cleaner(
    tags=ELEMENTS,
    clean_content_tags=set(),
    attributes={**ATTRIBUTES, "a": {"href", "data-mention"}},
    link_rel="noopener noreferrer nofollow",
    set_tag_attribute_values={"a": {"target": "_blank"}},
    url_schemes=SCHEMES,
    url_relative="deny",
)
_for_matrix = nh3.Cleaner(
    tags=ELEMENTS,
    clean_content_tags=set(),
    attributes=ATTRIBUTES,
    link_rel=None,
    url_schemes=SCHEMES,
    url_relative="deny",
)


def for_page(html: str, plain: str | None) -> str | None:
    """Return HTML of Matrix such that it can be put into a page.

    Links open elsewhere and tell nothing of where they were found; of a link that means a person
    the attribute ``data-mention`` says whom.

    Args:
        html: Anything.
        plain: What is shown in its place where it is not shown.

    Returns:
        None where the HTML adds nothing to the plain text, has nothing to show, or is too much.
    """
    if len(html) + len(plain or "") <= _SHORT:
        return _remembered(html, plain)
    return _for_page(html, plain)


def _for_page(html: str, plain: str | None) -> str | None:
    found = pieces(html)
    if found is None or not adds(found, plain):
        return None
    return _cleaned(found, _for_pages)


# The same messages are shown again and again: in pages, quotes, lists of rooms, replays.
_remembered = lru_cache(maxsize=2048)(_for_page)


def for_matrix(html: str) -> str | None:
    """Return HTML such that it can be sent; None where it is too much."""
    found = pieces(html)
    return None if found is None else _cleaned(found, _for_matrix)


def as_text(html: str) -> str | None:
    """Return HTML in plain words; None where it is too much."""
    found = pieces(html)
    return None if found is None else in_words(found)


def pieces(html: str) -> list[Token] | None:
    """Return what is allowed of HTML, in order; None where it is too much."""
    if len(html) > MOST_CHARACTERS or html.count("<") > MOST_TAGS:
        return None
    return ordered(permitted(tokens(html)))


def adds(found: list[Token], plain: str | None) -> bool:
    """Whether HTML in order says more than a plain text does."""
    said = flat(found)
    if not said:
        return False
    for token in found:
        if isinstance(token, Start) and (token.attributes or token.name not in _FORMLESS):
            return True
    return plain is None or said != " ".join(plain.split())


def written(found: list[Token], *, mentions: bool = False) -> str:
    """Return HTML in order as a text.

    Args:
        found: What it is made of.
        mentions: Whether links that mean a person say so.
    """
    return "".join(_written(token, mentions=mentions) for token in found)


def _cleaned(found: list[Token], cleaner: nh3.Cleaner) -> str | None:
    mentions = cleaner is _for_pages
    html = written(found, mentions=mentions)
    if len(html) > _MOST_WRITTEN:
        return None
    html = cleaner.clean(html)
    if _LINK_TO_NOWHERE.search(html):
        # An address that nobody can go to was taken away; then it is no link any more.
        again = ordered(permitted(tokens(html)))
        html = cleaner.clean(written(again, mentions=mentions))
    return html


def _written(token: Token, *, mentions: bool) -> str:
    if isinstance(token, str):
        return escape(token, quote=False)
    if not isinstance(token, Start):
        return "" if token.name in VOID else f"</{token.name}>"
    attributes = token.attributes
    if mentions and token.name == "a" and (person := mentioned_person(attributes["href"])):
        attributes = {**attributes, "data-mention": person}
    said = "".join(f' {key}="{escape(value)}"' for key, value in attributes.items())
    return f"<{token.name}{said}>"
