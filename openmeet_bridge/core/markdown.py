"""Markdown (CommonMark, with tables, struck-out text, bare links and spoilers) to HTML."""

from __future__ import annotations

import re
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline, linkify

from .html_tokens import End, Start, Token

MOST_BRACKETS: Final = 1000
"""Opening ones in one text: to find where each is closed takes the square of their number."""

MOST_ADDRESSES: Final = 1000
"""Of anything in one text: to find where each ends takes the square of their number."""

_MOST_TOKENS = 6_000
"""Of the library's, for blocks: more than it takes for all the tags that a message may have."""

_MOST_CELLS = 10_000
"""Of a table whose rows are filled up, if it had as many of them as there are lines below it."""

_DEEPEST = 40
_LONGEST_SCHEME = 20
_SCHEME = re.compile(r"(?:^|[^a-z0-9.+-])([a-z][a-z0-9.+-]*)$", re.IGNORECASE)
_UNTOUCHED = frozenset({"code", "pre"})
_MARK = "||"


def _made() -> MarkdownIt:
    made = MarkdownIt(
        "commonmark", {"html": False, "linkify": True, "breaks": True, "maxNesting": _DEEPEST}
    )
    # Pictures are not sent by address: what would be one stays a link.
    made.enable(["strikethrough", "table", "linkify"]).disable(["image", "html_block"])
    if made.linkify is not None:
        # Only what begins with a scheme: "readme.md" is no address.
        made.linkify.set({"fuzzy_link": False, "fuzzy_email": False, "fuzzy_ip": False})
    made.inline.ruler.at("linkify", _address)
    made.block.ruler.before("table", "bounded", _bounded)
    return made


class _TooMuch(Exception):
    """There are more blocks than any message may have."""


def _bounded(state: StateBlock, first: int, last: int, _silent: bool) -> bool:
    """A rule that finds nothing; it ends what would take long and be refused in the end."""
    cells = _columns(state, first) * (last - first) if first + 1 < last else 0
    if cells > _MOST_CELLS or len(state.tokens) > _MOST_TOKENS:
        raise _TooMuch
    return False


def _columns(state: StateBlock, first: int) -> int:
    """Return how many columns a table has at the most that begins here; 0 where none does."""
    header, marks = (
        state.src[state.bMarks[number] : state.eMarks[number]] for number in (first, first + 1)
    )
    return 0 if marks.strip(" \t-:|>") else min(header.count("|"), marks.count("|")) + 1


def _address(state: StateInline, silent: bool) -> bool:
    """Find an address, where one begins: only then all that was read before it is looked at."""
    if not state.src.startswith("://", state.pos) or state.md.linkify is None:
        return False
    scheme = _SCHEME.search(state.pending[-_LONGEST_SCHEME:])
    if scheme is None:
        return False
    if state.md.linkify.match_at_start(state.src[state.pos - len(scheme[1]) :]) is None:
        return False
    return linkify(state, silent)


_markdown: Final = _made()


def rendered(source: str) -> str | None:
    """Return Markdown as HTML; HTML in it is text like any other. None where it is too much."""
    if source.count("[") > MOST_BRACKETS or source.count("://") > MOST_ADDRESSES:
        return None
    try:
        return str(_markdown.render(source))
    except _TooMuch:
        return None


def with_spoilers(found: list[Token]) -> list[Token]:
    """Return HTML in order in which what stands between ``||`` is covered.

    Both marks must be in the same element, and touch what they cover, so that ``a || b || c``
    stays what it is.
    """
    return _Spoilers().cover(found)


class _Spoilers:
    def __init__(self) -> None:
        self._out: list[Token] = []
        self._begun: list[int | None] = [None]
        self._untouched = 0

    def cover(self, found: list[Token]) -> list[Token]:
        for token in found:
            if isinstance(token, str):
                self._text(token)
                continue
            self._out.append(token)
            if isinstance(token, End):
                self._begun.pop()
                self._untouched -= token.name in _UNTOUCHED
            elif token.name not in {"br", "hr"}:
                self._begun.append(None)
                self._untouched += token.name in _UNTOUCHED
        return self._out

    def _text(self, text: str) -> None:
        if self._untouched or _MARK not in text:
            self._out.append(text)
            return
        parts = text.split(_MARK)
        for place, part in enumerate(parts):
            if place:
                self._mark(part, last=place == len(parts) - 1)
            if part:
                self._out.append(part)

    def _mark(self, following: str, *, last: bool) -> None:
        begun, before = self._begun[-1], self._out[-1] if self._out else ""
        if begun is not None and begun < len(self._out) - 1 and not _ends_in_space(before):
            self._out[begun] = Start("span", {"data-mx-spoiler": ""})
            self._out.append(End("span"))
            self._begun[-1] = None
            return
        self._out.append(_MARK)
        touches = not following[:1].isspace() if following else last
        self._begun[-1] = len(self._out) - 1 if touches else None


def _ends_in_space(token: Token) -> bool:
    return isinstance(token, str) and token[-1:].isspace()
