"""HTML in plain words."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .html_policy import mentioned_person
from .html_tokens import Start, Token

_DEEPEST = 6
"""Quotes and lists within one another that are still marked as such."""

# fmt: off
_BLOCKS = frozenset(
    {
        "p", "div", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "table", "tr", "caption",
        "details", "summary",
    }
)
# fmt: on
_SPACE = re.compile(r"[ \t\n\f\r]+")
_MORE_LINES = re.compile(r"\n{3,}")
_SPOILER = re.compile(r"\|\|.+?\|\|", re.DOTALL)


def in_words(tokens: Iterable[Token]) -> str:
    """Return HTML in order as a text: lists and quotes with marks, spoilers between ``||``."""
    writer = _Writer()
    for token in tokens:
        if isinstance(token, str):
            writer.text(token)
        elif isinstance(token, Start):
            writer.start(token)
        else:
            writer.end(token.name)
    return _MORE_LINES.sub("\n\n", writer.parts.text().strip("\n")).rstrip()


def flat(tokens: Iterable[Token]) -> str:
    """Return all that HTML says, without any of its form."""
    return " ".join("".join(one if isinstance(one, str) else " " for one in tokens).split())


def without_spoilers(text: str) -> str:
    """Return a text in which what stands between ``||`` is covered."""
    return _SPOILER.sub("▒▒▒▒", text)


class _Parts:
    """What one quote or list item says, or the whole."""

    def __init__(self, first: str = "", rest: str = "") -> None:
        self._parts: list[str] = []
        self._first = first
        self._rest = rest
        self.fresh = True

    def add(self, text: str) -> None:
        self._parts.append(text)
        self.fresh = text.endswith("\n")

    def new_line(self) -> None:
        if not self.fresh:
            self.add("\n")

    def text(self) -> str:
        lines = "".join(self._parts).rstrip().split("\n")
        return "\n".join([self._first + lines[0], *(self._rest + one for one in lines[1:])])


class _Writer:
    def __init__(self) -> None:
        self.parts = _Parts()
        self._outer: list[_Parts | None] = []
        self._numbers: list[int | None] = []
        self._exact = 0
        self._links: list[tuple[str, list[str]]] = []
        self._closing: list[str] = []

    def text(self, text: str) -> None:
        if not self._exact:
            text = _SPACE.sub(" ", text)
            if self.parts.fresh:
                text = text.lstrip(" ")
        if text:
            self.parts.add(text)
            for _, said in self._links:
                said.append(text)

    def start(self, token: Start) -> None:
        name = token.name
        if name == "br":
            self.parts.add("\n")
        elif name == "hr":
            self.parts.new_line()
            self.parts.add("---\n")
        elif name == "blockquote":
            self._nest("> ", "> ")
        elif name in {"ul", "ol"}:
            self.parts.new_line()
            self._numbers.append(int(token.attributes.get("start", 1)) if name == "ol" else None)
        elif name == "li":
            self._item()
        elif name in _BLOCKS:
            self.parts.new_line()
            self._exact += name == "pre"
        elif name in {"td", "th"}:
            self._mark("" if self.parts.fresh else " ")
        elif name == "a":
            self._links.append((token.attributes["href"], []))
        elif name == "span":
            mark = "||" if "data-mx-spoiler" in token.attributes else ""
            self._closing.append(mark)
            self._mark(mark)

    def end(self, name: str) -> None:
        if name in {"blockquote", "li"}:
            self._unnest()
        elif name in {"ul", "ol"}:
            self.parts.new_line()
            self._numbers.pop()
        elif name in _BLOCKS:
            self._exact -= name == "pre"
            self.parts.new_line()
            if name in {"p", "pre", "table"} and not self._numbers:
                self.parts.add("\n")
        elif name == "a":
            self._end_link()
        elif name == "span":
            self._mark(self._closing.pop())

    def _mark(self, mark: str) -> None:
        if mark:
            self.parts.add(mark)

    def _end_link(self) -> None:
        address, said = self._links.pop()
        shown = "".join(said).strip()
        if shown and not address.endswith(shown) and mentioned_person(address) is None:
            self.parts.add(f" ({address})")

    def _item(self) -> None:
        number = self._numbers[-1] if self._numbers else None
        if number is None:
            self._nest("- ", "  ")
        else:
            self._numbers[-1] = number + 1
            self._nest(f"{number}. ", "   ")

    def _nest(self, first: str, rest: str) -> None:
        self.parts.new_line()
        if len(self._outer) < _DEEPEST:
            self._outer.append(self.parts)
            self.parts = _Parts(first, rest)
        else:
            self._outer.append(None)

    def _unnest(self) -> None:
        outer = self._outer.pop()
        if outer is not None:
            inner, self.parts = self.parts, outer
            self.parts.add(inner.text())
        self.parts.new_line()
