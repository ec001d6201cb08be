"""Which HTML a message may hold (client-server API, "m.room.message msgtypes", HTML)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final
from urllib.parse import unquote

from .events import name_problem
from .html_tokens import End, Start, Token
from .ids import Mxid
from .words import cleaned, line

# fmt: off
ELEMENTS: Final = frozenset(
    {
        "del", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "p", "a", "ul", "ol", "sup",
        "sub", "li", "b", "i", "u", "strong", "em", "s", "code", "hr", "br", "div", "table",
        "thead", "tbody", "tr", "th", "td", "caption", "pre", "span", "font", "details",
        "summary",
    }
)
# fmt: on
ATTRIBUTES: Final = {
    "a": frozenset({"href"}),
    "ol": frozenset({"start"}),
    "code": frozenset({"class"}),
    "span": frozenset({"data-mx-bg-color", "data-mx-color", "data-mx-spoiler", "data-mx-maths"}),
    "font": frozenset({"data-mx-bg-color", "data-mx-color"}),
    "div": frozenset({"data-mx-maths"}),
}
SCHEMES: Final = frozenset({"https", "http", "ftp", "mailto", "magnet", "matrix"})

_RENAMED = {"strike": "s", "tt": "code"}
_MOST_ADDRESS = 4096
_MOST_FORMULA = 4096
_MOST_REASON = 200
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_NUMBER = re.compile(r"-?[0-9]{1,9}")
_LANGUAGE = re.compile(r"(?:^|\s)(language-[A-Za-z0-9_+#.-]{1,40})(?=\s|$)")
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
# Browsers take these out of an address before they look at it.
_IGNORED = re.compile("[\t\n\r]+")
_SPACES = re.compile(r"\s")
_MATRIX_ID = re.compile(r"""@[^"'<>`\s:]*:[A-Za-z0-9.:\[\]-]+""")
_PERSON = re.compile(
    r"(?:https?://matrix\.to/#/(?:@|%40)|matrix:u/)([^/?#]+)/?(?:\?|$)", re.IGNORECASE
)


def permitted(tokens: Iterable[Token]) -> Iterator[Token]:
    """Yield what is allowed of HTML; pictures give way to the words for them."""
    for token in tokens:
        if isinstance(token, str):
            yield cleaned(token)
        elif isinstance(token, End):
            yield End(_RENAMED.get(token.name, token.name))
        elif token.name == "img":
            yield line(token.attributes.get("alt")) or line(token.attributes.get("title")) or ""
        elif (start := _permitted(token)) is not None:
            yield start


def mentioned_person(address: str) -> Mxid | None:
    """Return whom a link means (appendices, "matrix.to navigation" and "Matrix URI scheme")."""
    found = _PERSON.match(address)
    return matrix_id(f"@{unquote(found[1])}") if found else None


def matrix_id(value: object) -> Mxid | None:
    """Return a user id of Matrix, where it is one."""
    if not isinstance(value, str) or not _MATRIX_ID.fullmatch(value):
        return None
    if name_problem(value) or cleaned(value) != value:
        return None
    return Mxid(value)


def _permitted(token: Start) -> Start | None:
    name = _RENAMED.get(token.name, token.name)
    if name not in ELEMENTS:
        return None
    allowed = ATTRIBUTES.get(name)
    if allowed is None or not token.attributes:
        return Start(name, {}) if name != "a" else None
    found = {}
    for key, value in token.attributes.items():
        if key in allowed and (kept := _VALUES[key](value)) is not None:
            found[key] = kept
    # A link to nowhere is no link; what it says stays.
    return Start(name, found) if found or name != "a" else None


def _link(value: str) -> str | None:
    address = _SPACES.sub("%20", _IGNORED.sub("", cleaned(value)).strip())
    found = _ADDRESS.match(address)
    if found is None or found[1].lower() not in SCHEMES or len(address) > _MOST_ADDRESS:
        return None
    scheme, rest = found[1].lower(), found[2]
    if scheme in {"https", "http", "ftp"} and not rest.startswith("//"):
        return None
    return f"{scheme}:{rest}" if rest else None


def _colour(value: str) -> str | None:
    return value if _COLOUR.fullmatch(value) else None


def _number(value: str) -> str | None:
    return value if _NUMBER.fullmatch(value) else None


def _language(value: str) -> str | None:
    found = _LANGUAGE.search(value)
    return found[1] if found else None


def _reason(value: str) -> str:
    return line(value, _MOST_REASON) or ""


def _formula(value: str) -> str | None:
    return line(value, _MOST_FORMULA)


_VALUES: Final[dict[str, Callable[[str], str | None]]] = {
    "href": _link,
    "start": _number,
    "class": _language,
    "data-mx-color": _colour,
    "data-mx-bg-color": _colour,
    "data-mx-spoiler": _reason,
    "data-mx-maths": _formula,
}
