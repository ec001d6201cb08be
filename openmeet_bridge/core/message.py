"""Messages and stickers (client-server API, "m.room.message msgtypes")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from . import attachment
from .answering import answers, is_answer, without_copy
from .content import HTML_FORMAT
from .extensible import text_of
from .html import as_text, for_page
from .mentioning import mentions
from .place import place_of
from .shown import SPOILER, Names, Shown
from .words import isolated, name, words

Content = Mapping[str, Any]

NO_TEXT: Final = "This message has no text."

_KINDS = {"m.emote": "emote", "m.notice": "notice", "m.server_notice": "notice"}
_VERIFICATION = "m.key.verification.request"
_PLAIN = frozenset({"msgtype", "body"})
_PLAIN_NAMING = _PLAIN | {"m.mentions"}


class _Said(NamedTuple):
    """What is said in words, and the same formatted."""

    text: str | None
    html: str | None


def shown(event_type: str, content: Content, names: Names, edit: Content | None) -> Shown:
    """Return what is shown of a message.

    Args:
        event_type: ``m.room.message`` or ``m.sticker``.
        content: As it was sent.
        names: Who sent it.
        edit: What stands in its place since; where there is nothing to read in it, the message
            stays as it was.
    """
    if edit is None and event_type != "m.sticker" and _is_plain(content):
        return Shown("text", words(content["body"]) or NO_TEXT)
    source = edit if edit is not None and _is_usable(edit) else content
    msgtype = "m.sticker" if event_type == "m.sticker" else source.get("msgtype")
    if not isinstance(msgtype, str):
        msgtype = "m.text"
    said = _said(source, strip=is_answer(content))
    found = _of_type(msgtype, source, said, names)
    mentioned, everybody = mentions(source)
    reply_to, thread = answers(content)
    return found._replace(
        mentioned=mentioned, mentions_room=everybody, reply_to=reply_to, thread=thread
    )


def _is_plain(content: Content) -> bool:
    """Whether there are words and nothing else: nearly all messages, and lists show hundreds."""
    keys = content.keys()
    if keys != _PLAIN and (keys != _PLAIN_NAMING or content["m.mentions"] != {}):
        return False
    return content["msgtype"] == "m.text" and isinstance(content["body"], str)


def _is_usable(edit: Content) -> bool:
    said = _said(edit, strip=False)
    return said.text is not None


def _of_type(msgtype: str, source: Content, said: _Said, names: Names) -> Shown:
    kind = attachment.KINDS.get(msgtype)
    if kind is not None:
        return _file(kind, source, said)
    if msgtype == "m.location":
        place = place_of(source)
        about = (place.description if place else None) or said.text
        return Shown("location", f"Place: {isolated(about)}" if about else "Place", place=place)
    if msgtype == _VERIFICATION:
        return Shown("unknown", f"{name(names.sender)} wants to compare encryption keys")
    return Shown(_KINDS.get(msgtype, "text"), said.text or NO_TEXT, html=said.html)


def _file(kind: str, source: Content, said: _Said) -> Shown:
    media, label = attachment.media_of(source), attachment.label(kind, source)
    if attachment.has_caption(source) and said.text:
        media = msgspec.structs.replace(media, caption=said.text)
        return Shown(kind, f"{label}: {said.text}", html=said.html, media=media)
    about = said.text if kind == "sticker" else media.name
    return Shown(kind, f"{label}: {isolated(about)}" if about else label, media=media)


def _said(source: Content, *, strip: bool) -> _Said:
    body = source.get("body")
    text = words(without_copy(body) if strip and isinstance(body, str) else body)
    markup = source.get("formatted_body")
    if source.get("format") != HTML_FORMAT or not isinstance(markup, str) or not markup:
        return _Said(text if isinstance(body, str) else text_of(source), None)
    html = for_page(markup, text)
    if text is None or (html is not None and SPOILER in html and text.count("||") < 2):
        # Other clients say in the body what the formatted text covers.
        text = words(as_text(markup)) or text
    return _Said(text, html)
