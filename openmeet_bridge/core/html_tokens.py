"""HTML taken apart: tags, and text with its character references resolved.

One pass from left to right that never looks at a character twice, whatever it is given. It need not
agree with a browser on broken markup: what comes of it is written anew, and never handed through.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Final, NamedTuple

RAW: Final = frozenset(
    {"script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes", "noscript"}
)
"""Elements whose content is no markup. It is skipped."""

SKIPPED: Final = frozenset(
    {"mx-reply", "svg", "math", "template", "object", "applet", "select", "audio", "video"}
)
"""Elements that are skipped with all that is in them."""


class Start(NamedTuple):
    """A start tag. Names are lower case, values have their references resolved."""

    name: str
    attributes: dict[str, str]


class End(NamedTuple):
    """An end tag."""

    name: str


Token = Start | End | str
"""A piece of HTML; a text stands for itself."""

_TAG = re.compile(r"<(/?)([A-Za-z][^\t\n\f\r />]*+)")
_ATTRIBUTE = re.compile(
    r"""
    [\t\n\f\r /]*+
    (?: (?P<end>>)
      | (?P<name>=?[^\t\n\f\r />=]*+)
        (?: [\t\n\f\r ]*+ = [\t\n\f\r ]*+
            (?: "(?P<double>[^"]*+)"? | '(?P<single>[^']*+)'? | (?P<bare>[^\t\n\f\r >]*+) )
        )?+
    )
    """,
    re.VERBOSE,
)
_COMMENT_END = re.compile(r"--!?>")
_ENDLESS = re.compile(r"&#[0-9]{10,};?")
# A reference without its semicolon is a part of the address in an attribute: "?a=1&copy=2".
_REFERENCE = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[A-Za-z][A-Za-z0-9]*;)")


def tokens(html: str) -> Iterator[Token]:
    """Yield the pieces of HTML, but for comments, declarations and what is skipped."""
    skipping, depth = "", 0
    for token in _Scanner(html):
        if skipping:
            if isinstance(token, Start) and token.name == skipping:
                depth += 1
            elif isinstance(token, End) and token.name == skipping:
                depth -= 1
                skipping = skipping if depth else ""
        elif isinstance(token, Start) and token.name in SKIPPED:
            skipping, depth = token.name, 1
        else:
            yield token


class _Scanner:
    def __init__(self, html: str) -> None:
        self._html = html
        self._at = 0

    def __iter__(self) -> Iterator[Token]:
        html, size = self._html, len(self._html)
        while self._at < size:
            bracket = html.find("<", self._at)
            if bracket < 0:
                bracket = size
            if bracket > self._at:
                yield _resolved(html[self._at : bracket])
                self._at = bracket
            if bracket < size and (token := self._markup()) is not None:
                yield token

    def _markup(self) -> Token | None:
        """Read what begins with a bracket; None where it is nothing to show."""
        tag = _TAG.match(self._html, self._at)
        if tag is None:
            return self._no_tag()
        self._at = tag.end()
        name = tag[2].lower()
        attributes = self._attributes()
        if attributes is None:
            self._at = len(self._html)
            return None
        if tag[1]:
            return End(name)
        if name in RAW:
            self._skip_raw(name)
            return None
        if name == "plaintext":
            self._at = len(self._html)
            return None
        return Start(name, attributes)

    def _attributes(self) -> dict[str, str] | None:
        """Read to the end of a tag; None where it has none."""
        html, found = self._html, dict[str, str]()
        if html.startswith(">", self._at):
            self._at += 1
            return found
        while self._at < len(html):
            match = _ATTRIBUTE.match(html, self._at)
            if match is None or match.end() == self._at:
                return None
            self._at = match.end()
            if match["end"]:
                return found
            if not (name := match["name"].lower()):
                return None
            value = match["double"] or match["single"] or match["bare"] or ""
            found.setdefault(name, _REFERENCE.sub(_resolve, value))
        return None

    def _skip_raw(self, name: str) -> None:
        end = re.compile(rf"</{name}(?=[\t\n\f\r />])", re.IGNORECASE).search(self._html, self._at)
        self._at = len(self._html) if end is None else end.start()

    def _no_tag(self) -> Token | None:
        html, at = self._html, self._at
        if html.startswith(("<!--", "<!", "<?", "</"), at):
            self._at = self._comment_end(at)
            return None
        self._at += 1
        return "<"

    def _comment_end(self, at: int) -> int:
        html = self._html
        if not html.startswith("<!--", at):
            return html.find(">", at) + 1 or len(html)
        if html.startswith((">", "->"), at + 4):
            return html.find(">", at) + 1
        end = _COMMENT_END.search(html, at + 4)
        return end.end() if end else len(html)


def _resolve(reference: re.Match[str]) -> str:
    return _resolved(reference[0])


def _resolved(text: str) -> str:
    """Resolve references. No character has a number of ten digits, and Python refuses long ones."""
    return unescape(_ENDLESS.sub("\ufffd", text) if "&#" in text else text)
