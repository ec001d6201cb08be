"""Whom a message means to reach (client-server API, "User and room mentions").

What is counted when a message comes and what is shown of it are told by the same rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from .content import HTML_FORMAT, decoded
from .html import pieces
from .html_policy import matrix_id, mentioned_person
from .html_tokens import Start
from .ids import Mxid

MOST_MENTIONED: Final = 50
"""As many people are read of one message. Who names more than that reaches nobody beyond."""

_ENCRYPTED = "m.room.encrypted"
_KEY = "m.mentions"

# Without one of these in it, a content names nobody: no need to read it. A name of a key may be
# written with escapes.
_SIGNS = (_KEY.encode(), HTML_FORMAT.encode(), b"\\u")


class Mentioned(NamedTuple):
    """Whom a message names.

    Attributes:
        people: Matrix ids as they stand there; they may be nobody's.
        room: Everybody in the room; whether the sender may do that is another question.
    """

    people: tuple[Mxid, ...] = ()
    room: bool = False


NOBODY: Final = Mentioned()


def mentioned(event_type: str, content: bytes) -> Mentioned:
    """Return whom an event names, by its content as it came, which may be anything."""
    # What is encrypted names people inside; what it says of them outside is not shown either.
    if event_type == _ENCRYPTED or not any(sign in content for sign in _SIGNS):
        return NOBODY
    return mentions(decoded(content))


def mentions(content: Mapping[str, Any]) -> Mentioned:
    """Return whom a message names.

    Clients that know no ``m.mentions`` link to people in the formatted text. The text of others
    that is quoted in an answer names nobody.

    Args:
        content: Of the message, or of its newest edit.
    """
    if _KEY not in content:
        return Mentioned(_linked(content))
    stated = content[_KEY]
    if not isinstance(stated, Mapping):
        return NOBODY
    people = stated.get("user_ids")
    found = map(matrix_id, people[:MOST_MENTIONED]) if isinstance(people, list) else ()
    return Mentioned(tuple(dict.fromkeys(one for one in found if one)), stated.get("room") is True)


def _linked(content: Mapping[str, Any]) -> tuple[Mxid, ...]:
    html = content.get("formatted_body")
    if content.get("format") != HTML_FORMAT or not isinstance(html, str):
        return ()
    if "matrix" not in html.lower():
        return ()
    links = (one for one in pieces(html) or () if isinstance(one, Start) and one.name == "a")
    found = (mentioned_person(one.attributes["href"]) for one in links)
    return tuple(dict.fromkeys(one for one in found if one))[:MOST_MENTIONED]
