"""Messages as OpenMeet's web app knows them: the Matrix event, in both of its naming styles.

The app puts a body that is not Markdown into its page as markup, so a body must not hold any: what
could open a tag is written as a character reference, which both of its ways of showing undo.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from .entry import Entry
from .ids import EventId, Mxid, RoomId

MESSAGE: Final = "m.room.message"

_SAID = {"text": "m.text", "emote": "m.emote", "notice": "m.notice"}
_TOLD = frozenset({"image", "video", "audio", "file", "sticker", "location", "poll", "call"})
_TOLD_AS = "m.notice"
_REFERENCE = re.compile(r"&(?=#?\w+;)")


class WebMessage(msgspec.Struct, frozen=True):
    """A message for the web app (its ``MatrixMessage``), in both naming styles that it reads.

    Times are in milliseconds. ``content`` has ``msgtype`` and ``body``, and in ``reactions``, where
    there are any, the Matrix ids of those who have reacted, by key.
    """

    type: str
    event_id: EventId
    room_id: RoomId
    sender: Mxid
    sender_name: str
    content: dict[str, Any]
    origin_server_ts: int
    eventId: EventId
    roomId: RoomId
    timestamp: int


def is_message(entry: Entry) -> bool:
    """Whether the web app shows an entry: what somebody said, and nothing that only happened."""
    return entry.kind in _SAID or entry.kind in _TOLD or entry.kind == "encrypted"


def web_message(entry: Entry) -> WebMessage:
    """Return an entry as a message of the web app."""
    return WebMessage(
        type=MESSAGE,
        event_id=entry.event_id,
        room_id=entry.room_id,
        sender=entry.sender.mxid,
        sender_name=entry.sender.name,
        content=_content(entry),
        origin_server_ts=entry.timestamp,
        eventId=entry.event_id,
        roomId=entry.room_id,
        timestamp=entry.timestamp,
    )


def _content(entry: Entry) -> dict[str, Any]:
    content: dict[str, Any] = {
        "msgtype": _SAID.get(entry.kind, _TOLD_AS),
        "body": harmless(_body(entry)),
    }
    if entry.reactions:
        content["reactions"] = {
            one.key: [person.mxid for person in one.people] for one in entry.reactions
        }
    return content


def _body(entry: Entry) -> str:
    # The app shows what begins so as something that somebody does.
    return f"* {entry.sender.name} {entry.text}" if entry.kind == "emote" else entry.text


def harmless(text: str) -> str:
    """Return a text in which no markup can begin, and which shows as it was.

    Only what could be a tag or a character reference is touched, so that nearly every text stays
    as it is, Markdown's quotes among them.
    """
    if "<" not in text and "&" not in text:
        return text
    return _REFERENCE.sub("&amp;", text).replace("<", "&lt;")
