"""Composing: what somebody wrote becomes the content of a Matrix message."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import msgspec

from .content import HTML_FORMAT
from .errors import BadRequest, TooLarge
from .events import CLIENT_TXN_KEY
from .html import MOST_CHARACTERS, MOST_TAGS, adds, for_matrix, pieces, written
from .html_text import in_words
from .html_tokens import End, Start, Token
from .ids import ClientTxnId, EventId, Mxid, UserSlug
from .markdown import rendered, with_spoilers
from .pills import with_pills
from .words import is_visible

MOST_BYTES: Final = 60_000
"""Of a content: an event has at most 65,536 bytes, and the homeserver adds its own to it."""

_SHORT = 1000
"""Characters of a long edit that are sent a second time, for clients that know no edits."""


class Format(StrEnum):
    """What a body is written in."""

    PLAIN = "plain"
    MARKDOWN = "markdown"
    HTML = "html"


class Kind(StrEnum):
    """How a message is meant."""

    TEXT = "text"
    EMOTE = "emote"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message as its sender gave it.

    Attributes:
        body: What it says.
        format: What ``body`` is written in.
        kind: How it is meant.
        client_txn_id: The browser's own id of it.
        reply_to: The event that it answers.
        thread: The event with which its thread began.
        mentioned: Whom it means to reach, and what they are called.
        slugs: What those of them are called in addresses of OpenMeet who are of OpenMeet.
        mention_room: Whether it means to reach everybody.
        edits: The event that it takes the place of; then it answers what that one answers.
        told: Of an edit: whom the message means to reach already. They are not called again.
        room_told: Of an edit: whether the message means to reach everybody already.
    """

    body: str
    client_txn_id: ClientTxnId
    format: Format = Format.PLAIN
    kind: Kind = Kind.TEXT
    reply_to: EventId | None = None
    thread: EventId | None = None
    mentioned: Mapping[Mxid, str] = field(default_factory=dict)
    slugs: Mapping[Mxid, UserSlug] = field(default_factory=dict)
    mention_room: bool = False
    edits: EventId | None = None
    told: Collection[Mxid] = ()
    room_told: bool = False


def compose(draft: Draft) -> dict[str, Any]:
    """Return the content of the message that a draft asks for.

    Raises:
        BadRequest: The body holds nothing to read, or what no event can hold.
        TooLarge: The content would be larger than an event can be.
    """
    _check(draft.body)
    # What is not HTML is sent as it stands, and is not looked at where that cannot be.
    if draft.format is not Format.HTML:
        _check_size(len(draft.body.encode()))
    content = _edit(draft) if draft.edits is not None else _message(draft)
    _check_size(len(msgspec.json.encode(content)))
    return content


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        raise TooLarge(
            f"The message would be an event of {size} bytes; at most {MOST_BYTES} can be sent.",
            fields={"body.body": f"at most {MOST_BYTES} bytes with all that belongs to it"},
        )


def _message(draft: Draft) -> dict[str, Any]:
    content: dict[str, Any] = _said(draft)
    content["m.mentions"] = _mentions(list(draft.mentioned), room=draft.mention_room)
    if draft.thread is not None:
        content["m.relates_to"] = {
            "rel_type": "m.thread",
            "event_id": draft.thread,
            "m.in_reply_to": {"event_id": draft.reply_to or draft.thread},
            # Clients without threads show an answer to the root; the others know that it is none.
            "is_falling_back": draft.reply_to is None,
        }
    elif draft.reply_to is not None:
        content["m.relates_to"] = {"m.in_reply_to": {"event_id": draft.reply_to}}
    content[CLIENT_TXN_KEY] = draft.client_txn_id
    return content


def _edit(draft: Draft) -> dict[str, Any]:
    new = _said(draft)
    new["m.mentions"] = _mentions(list(draft.mentioned), room=draft.mention_room)
    # Who was called by the message itself is not called again by its edit.
    called = [one for one in draft.mentioned if one not in draft.told]
    content = {
        **_fallback(new),
        "m.mentions": _mentions(called, room=draft.mention_room and not draft.room_told),
        "m.new_content": new,
        "m.relates_to": {"rel_type": "m.replace", "event_id": draft.edits},
        CLIENT_TXN_KEY: draft.client_txn_id,
    }
    if len(msgspec.json.encode(content)) > MOST_BYTES:
        content["body"] = f"* {new['body'][:_SHORT]}…"
        content.pop("format", None)
        content.pop("formatted_body", None)
    return content


def _fallback(new: dict[str, Any]) -> dict[str, Any]:
    """Return what clients show that know no edits."""
    shown = {"msgtype": new["msgtype"], "body": f"* {new['body']}"}
    if "formatted_body" in new:
        shown |= {"format": HTML_FORMAT, "formatted_body": f"* {new['formatted_body']}"}
    return shown


def _said(draft: Draft) -> dict[str, Any]:
    body, html = _written(draft)
    said = {"msgtype": f"m.{draft.kind.value}", "body": body}
    return said | {"format": HTML_FORMAT, "formatted_body": html} if html else said


def _written(draft: Draft) -> tuple[str, str | None]:
    """Return a draft in plain text, and formatted where that adds something."""
    body, found = draft.body, _pieces(draft)
    if found is None:
        raise TooLarge(
            "The message has too many formatted parts.",
            fields={"body.body": f"at most {MOST_TAGS} tags and {MOST_CHARACTERS} characters"},
        )
    if draft.format is Format.HTML:
        body = in_words(found)
        if not is_visible(body):
            raise BadRequest(
                "The message has no text.", fields={"body.body": "holds nothing that can be shown"}
            )
    found = with_pills(found, draft.mentioned, draft.slugs)
    if not adds(found, body):
        return body, None
    return body, for_matrix(written(_alone(found)))


def _pieces(draft: Draft) -> list[Token] | None:
    match draft.format:
        case Format.HTML:
            return pieces(draft.body)
        case Format.MARKDOWN:
            html = rendered(draft.body)
            found = None if html is None else pieces(html)
            return None if found is None else with_spoilers(_without_line_ends(found))
        case _:
            return _lines(draft.body) if draft.mentioned else [draft.body]


def _lines(body: str) -> list[Token]:
    found: list[Token] = []
    for place, one in enumerate(body.split("\n")):
        found += [Start("br", {}), one] if place else [one]
    return found


def _without_line_ends(found: list[Token]) -> list[Token]:
    """Leave out the line ends that the Markdown library writes between blocks."""
    return [one for one in found if one != "\n"]


def _alone(found: list[Token]) -> list[Token]:
    """Take a single paragraph out of its element, as other clients send it."""
    paragraphs = found.count(Start("p", {}))
    if paragraphs == 1 and found[0] == Start("p", {}) and found[-1] == End("p"):
        return found[1:-1]
    return found


def _mentions(people: list[Mxid], *, room: bool) -> dict[str, Any]:
    mentions: dict[str, Any] = {"user_ids": people} if people else {}
    return mentions | {"room": True} if room else mentions


def _check(body: str) -> None:
    problem = None
    if not is_visible(body):
        problem = "must hold something to read"
    elif "\x00" in body:
        problem = "must not hold a null character"
    elif not _is_unicode(body):
        problem = "holds half of a surrogate pair"
    if problem:
        raise BadRequest("This text cannot be sent.", fields={"body.body": problem})


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
