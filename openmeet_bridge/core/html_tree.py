"""HTML put in order: every element closed, each where it may stand, none too deep.

A browser mends what is out of order by rules of its own, and what it makes of a text may mean
something else when it is read again, or be a thousand times as long. In what comes from here there
is nothing to mend.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from .html_tokens import End, Start, Token

DEEPEST: Final = 100
"""Elements within elements; those within the last are left out, what they say stays."""

VOID: Final = frozenset({"br", "hr"})

# fmt: off
_BLOCKS = frozenset(
    {
        "p", "div", "ul", "ol", "li", "table", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote",
        "pre", "hr", "details", "summary",
    }
)
# fmt: on
_SPACE = " \t\n\f\r"
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_TABLES = frozenset({"table", "thead", "tbody", "tr"})
_CELLS = frozenset({"td", "th", "caption"})
_IN_TABLES = frozenset({"caption", "thead", "tbody", "tr", "td", "th"})
_TABLE, _PARAGRAPH = frozenset({"table"}), frozenset({"p"})
_ITEM, _LINK = frozenset({"li"}), frozenset({"a"})
_BARRIERS = _CELLS | {"table"}
_ITEM_BARRIERS = _BARRIERS | (_BLOCKS - {"div", "p", "li"})
_PARENTS: Final[dict[str, tuple[frozenset[str], tuple[str, ...]]]] = {
    "thead": (_TABLE, ()),
    "tbody": (_TABLE, ()),
    "caption": (_TABLE, ()),
    "tr": (frozenset({"thead", "tbody"}), ("tbody",)),
    "td": (frozenset({"tr"}), ("tbody", "tr")),
    "th": (frozenset({"tr"}), ("tbody", "tr")),
}
"""Of what stands in tables: in what it must stand, and what may be missing around it."""


def ordered(tokens: Iterable[Token]) -> list[Token]:
    """Return HTML in order, every end tag with its start tag."""
    tree = _Tree()
    for token in tokens:
        if isinstance(token, str):
            tree.text(token)
        elif isinstance(token, End):
            tree.end(token.name)
        else:
            tree.start(token)
    tree.close_to(0)
    return tree.written


class _Tree:
    def __init__(self) -> None:
        self.written: list[Token] = []
        self._open: list[str] = []
        self._too_deep: Counter[str] = Counter()

    def text(self, text: str) -> None:
        if self._open and self._open[-1] in _TABLES and text.strip(_SPACE):
            self._leave_table()
        if self.written and self.written[-1] == Start("pre", {}):
            # A parser takes away one line end after <pre>, and another one each time it reads.
            text = text.lstrip("\n")
        if text:
            self.written.append(text)

    def start(self, token: Start) -> None:
        name = token.name
        if name in _PARENTS:
            self._start_in_table(token)
            return
        if self._open and self._open[-1] in _TABLES:
            self._leave_table()
        self._make_way(name)
        if name in VOID:
            self.written.append(token)
        else:
            self._push(token)

    def end(self, name: str) -> None:
        if self._too_deep[name]:
            self._too_deep[name] -= 1
            return
        barriers = _TABLE if name in _IN_TABLES else _BARRIERS
        if (at := self._find(frozenset({name}), barriers)) is not None:
            self.close_to(at)

    def close_to(self, depth: int) -> None:
        while len(self._open) > depth:
            self.written.append(End(self._open.pop()))

    def _push(self, token: Start) -> None:
        if len(self._open) >= DEEPEST:
            self._too_deep[token.name] += 1
            return
        self.written.append(token)
        self._open.append(token.name)

    def _find(self, names: frozenset[str], barriers: frozenset[str]) -> int | None:
        for at in range(len(self._open) - 1, -1, -1):
            if self._open[at] in names:
                return at
            if self._open[at] in barriers:
                return None
        return None

    def _make_way(self, name: str) -> None:
        """Close what ends by itself where an element begins."""
        if name in _BLOCKS and (at := self._find(_PARAGRAPH, _BARRIERS)) is not None:
            self.close_to(at)
        if name in _HEADINGS and (at := self._find(_HEADINGS, _BARRIERS)) is not None:
            self.close_to(at)
        if name == "li" and (at := self._find(_ITEM, _ITEM_BARRIERS)) is not None:
            self.close_to(at)
        if name == "a" and (at := self._find(_LINK, frozenset())) is not None:
            self.close_to(at)

    def _leave_table(self) -> None:
        self.close_to(self._find(_TABLE, _TABLE) or 0)

    def _start_in_table(self, token: Start) -> None:
        table = self._find(_TABLE, _TABLE)
        # All of a row must fit in, or none of it: half a row is no table.
        if table is None or len(self._open) + 3 > DEEPEST:
            self._too_deep[token.name] += 1
            return
        parents, missing = _PARENTS[token.name]
        at = self._find(parents, _TABLE)
        self.close_to(table + 1 if at is None else at + 1)
        for name in missing if at is None else ():
            self._push(Start(name, {}))
        self._push(token)
