"""Whom a message means to reach (client-server API, "User and room mentions")."""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

from .events import UNREADABLE, name_problem
from .ids import Mxid

MOST_MENTIONED = 50
"""As many people are read of one message. Who names more than that reaches nobody beyond."""

_PILL = re.compile(r"""matrix\.to/#/((?:@|%40)[^"'<>\s?]{1,400})""", re.IGNORECASE)
_QUOTED = re.compile(r"<mx-reply>.*?</mx-reply>", re.DOTALL)


class Mentioned(NamedTuple):
    """Whom a message names.

    Attributes:
        people: Matrix ids as they stand there; they may be nobody's.
        room: Everybody in the room; whether the sender may do that is another question.
    """

    people: tuple[Mxid, ...] = ()
    room: bool = False


NOBODY = Mentioned()


class _Content(msgspec.Struct, frozen=True, rename={"mentions": "m.mentions"}):
    mentions: Any = msgspec.UNSET
    formatted_body: Any = None


_decoder = msgspec.json.Decoder(_Content)


def mentioned(content: bytes) -> Mentioned:
    """Return whom a message names, by its content, which may be anything.

    Clients that know no ``m.mentions`` link to people in the formatted text. The text of others
    that is quoted in an answer names nobody.
    """
    if b"m.mentions" not in content and b"matrix.to" not in content:
        return NOBODY
    try:
        found = _decoder.decode(content)
    except UNREADABLE:
        return NOBODY
    if found.mentions is msgspec.UNSET:
        return Mentioned(_linked(found.formatted_body))
    if not isinstance(found.mentions, dict):
        return NOBODY
    return Mentioned(_named(found.mentions.get("user_ids")), found.mentions.get("room") is True)


def _named(user_ids: object) -> tuple[Mxid, ...]:
    named = user_ids if isinstance(user_ids, list) else []
    return tuple(dict.fromkeys(Mxid(one) for one in named[:MOST_MENTIONED] if _is_user(one)))


def _linked(formatted: object) -> tuple[Mxid, ...]:
    if not isinstance(formatted, str) or "matrix.to" not in formatted:
        return ()
    text = _QUOTED.sub("", formatted)
    linked = (unquote(match[1]) for match in _PILL.finditer(text))
    people = dict.fromkeys(Mxid(one) for one in linked if _is_user(one))
    return tuple(people)[:MOST_MENTIONED]


def _is_user(one: object) -> bool:
    return isinstance(one, str) and one.startswith("@") and ":" in one and not name_problem(one)
