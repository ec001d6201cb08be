"""Words of strangers, made fit to be shown: no control characters, no way to reorder a sentence."""

from __future__ import annotations

import re
from typing import Final

MOST_TEXT: Final = 40_000
"""Characters of a message that are shown; the bridge's own are no longer, by default."""

MOST_NAME: Final = 100
"""Characters of a name in a sentence."""

MOST_CALLED: Final = 255
"""Characters of a name that stands by itself."""

MOST_QUOTED: Final = 300

SOMEBODY: Final = "Somebody"

# Controls (but new line and tab), what overrides or embeds a direction of writing, annotations,
# what is no character, and halves of surrogate pairs, which no encoder takes.
_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufff9-\ufffb\ufdd0-\ufdef\ufffe\uffff"
    "\U000e0000-\U000e001f]"
)
_HALVES = re.compile("[\ud800-\udfff]")
_LINE_ENDS = re.compile("\r\n?|[\u0085\u2028\u2029]")
_VISIBLE = re.compile(
    r"[^\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u206f"
    r"\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u08ff\u200f\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_FIRST_STRONG_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"


def cleaned(text: str) -> str:
    """Return a text without the characters that harm what stands around it."""
    if text.isascii() and text.isprintable():
        return text
    return _HALVES.sub("\ufffd", _HARMFUL.sub("", _LINE_ENDS.sub("\n", text)))


def words(value: object, most: int = MOST_TEXT) -> str | None:
    """Return a text that can be shown, or None where there is nothing to see.

    Args:
        value: Anything.
        most: Characters after which it is cut off.
    """
    if not isinstance(value, str):
        return None
    text = cleaned(value[: most + 1]).rstrip()
    if not is_visible(text):
        return None
    return f"{text[: most - 1]}…" if len(value) > most else text


def line(value: object, most: int = MOST_QUOTED) -> str | None:
    """Return the same on one line."""
    text = words(value, most) if isinstance(value, str) else None
    return " ".join(text.split()) if text else None


def name(value: object) -> str:
    """Return what somebody is called, as a part of a sentence."""
    return isolated(line(value, MOST_NAME) or SOMEBODY)


def quoted(value: object) -> str | None:
    """Return somebody's words in quotation marks, as a part of a sentence."""
    text = line(value)
    return f"“{isolated(text)}”" if text else None


def isolated(text: str) -> str:
    """Return a text such that its direction of writing is its own affair (Unicode UAX #9)."""
    if text.isascii() or not _RIGHT_TO_LEFT.search(text):
        return text
    return f"{_FIRST_STRONG_ISOLATE}{text}{_POP_ISOLATE}"


def is_visible(text: str) -> bool:
    """Whether there is anything to see."""
    return _VISIBLE.search(text) is not None
