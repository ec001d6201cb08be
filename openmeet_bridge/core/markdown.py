"""Markdown (CommonMark, with tables, struck-out text, bare links and spoilers) to HTML."""

from __future__ import annotations

from typing import Final

from markdown_it import MarkdownIt

from .html_tokens import End, Start, Token

MOST_BRACKETS: Final = 1000
"""Opening ones in one text: to find where each is closed takes the square of their number."""

_DEEPEST = 40
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
    return made


_markdown: Final = _made()


def rendered(source: str) -> str:
    """Return Markdown as HTML; HTML in it is text like any other."""
    return str(_markdown.render(source))


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
