"""The content of an event, read such that what can be read of it is."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from .events import UNREADABLE

HTML_FORMAT: Final = "org.matrix.custom.html"
"""The one ``format`` of a message whose ``formatted_body`` is known to be HTML."""


def decoded(content: bytes) -> dict[str, Any]:
    """Return a content; an empty one where it is none."""
    try:
        found = msgspec.json.decode(content)
    except UNREADABLE:
        found = _salvaged(content)
    return found if isinstance(found, dict) else {}


def _salvaged(content: bytes) -> object:
    # Numbers beyond all bounds and broken letters: this parser takes them, and what somebody
    # wrote beside them can be read.
    try:
        return json.loads(content.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
