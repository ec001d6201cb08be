"""Files that messages carry, as their senders describe them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from .entry import Media
from .words import line

Content = Mapping[str, Any]

KINDS: Final = {
    "m.image": "image",
    "m.video": "video",
    "m.audio": "audio",
    "m.file": "file",
    "m.sticker": "sticker",
}
_LABELS = {
    "image": "Picture",
    "video": "Video",
    "audio": "Sound",
    "file": "File",
    "sticker": "Sticker",
}
_VOICE = frozenset({"org.matrix.msc3245.voice", "org.matrix.msc3245.voice.v2", "m.voice"})

_ADDRESS = re.compile(r"mxc://[A-Za-z0-9.:\[\]-]{1,230}/[A-Za-z0-9_-]{1,255}")
_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,62}/[a-z0-9][a-z0-9._+-]{0,99}")
_MOST_NAME = 255
_MOST_PIXELS = 100_000
_MOST_BYTES = 2**50
_MOST_MILLISECONDS = 1000 * 86_400 * 366


def media_of(content: Content) -> Media:
    """Return what is known of a file; what cannot be so is left out."""
    encrypted = content.get("file")
    if isinstance(encrypted, Mapping):
        url: object = encrypted.get("url")
    else:
        url = content.get("url")
    info = content.get("info")
    if not isinstance(info, Mapping):
        info = {}
    return Media(
        url=url if isinstance(url, str) and _ADDRESS.fullmatch(url) else None,
        name=file_name(content),
        type=_mime_type(info.get("mimetype")),
        size=_number(info.get("size"), _MOST_BYTES),
        width=_number(info.get("w"), _MOST_PIXELS),
        height=_number(info.get("h"), _MOST_PIXELS),
        duration=_number(info.get("duration"), _MOST_MILLISECONDS),
        encrypted=isinstance(encrypted, Mapping),
    )


def file_name(content: Content) -> str | None:
    """Return what a file is called: a name, never a path."""
    called = line(content.get("filename"), _MOST_NAME) or line(content.get("body"), _MOST_NAME)
    return called.replace("/", "_").replace("\\", "_") if called else None


def has_caption(content: Content) -> bool:
    """Whether the body is something said of the file, and not its name ("Media captions")."""
    called, body = content.get("filename"), content.get("body")
    return isinstance(called, str) and isinstance(body, str) and bool(called) and body != called


def label(kind: str, content: Content) -> str:
    """Return what a file is, in a word or two."""
    return "Voice message" if kind == "audio" and _VOICE & content.keys() else _LABELS[kind]


def _mime_type(value: object) -> str | None:
    found = value.strip().lower() if isinstance(value, str) and len(value) < 200 else ""
    return found if _TYPE.fullmatch(found) else None


def _number(value: object, most: int) -> int | None:
    """Return a whole number that can be meant; some clients write it with a fraction of zero."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= most else None
