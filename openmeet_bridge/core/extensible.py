"""Texts of extensible events (MSC1767), in the forms in which clients send them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .words import words

_KEYS = ("m.text", "org.matrix.msc1767.text", "body")
_MOST_FORMS = 10


def text_of(block: object) -> str | None:
    """Return what a block of content says in plain text.

    Args:
        block: A text, a list of forms of it, or what holds one of these under a known key.
    """
    if isinstance(block, str):
        return words(block)
    if not isinstance(block, Mapping):
        return None
    for key in _KEYS:
        if found := _text(block.get(key)):
            return found
    return _text(block.get("org.matrix.msc1767.message"))


def first_of(content: Mapping[str, Any], *keys: str) -> Mapping[str, Any] | None:
    """Return the first of these keys' values that is an object."""
    for key in keys:
        if isinstance(found := content.get(key), Mapping):
            return found
    return None


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return words(value)
    if not isinstance(value, list):
        return None
    for form in value[:_MOST_FORMS]:
        if isinstance(form, Mapping) and form.get("mimetype", "text/plain") == "text/plain":
            return words(form.get("body"))
    return None
