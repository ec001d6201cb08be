"""Frames in the words of OpenMeet's web app: Matrix events, as its ``matrix-event`` carries them.

Server-sent events and Socket.IO say the same here; how they write it is each wire's own.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from ..core.entry import Entry, Receipt
from ..core.ids import Mxid, RoomId
from ..core.web_message import is_message, web_message
from .frames import Bye, Frame, Hello, Reset, RoomRemoved, SendFailed, Typing

MESSAGE: Final = "m.room.message"
CHANGED: Final = "m.room.message.changed"
REDACTION: Final = "m.room.redaction"
MEMBER: Final = "m.room.member"
TYPING: Final = "m.typing"
RECEIPT: Final = "m.receipt"
CONFIRMED: Final = "connection_confirmed"
SEND_FAILED: Final = "send.failed"
RESET: Final = "reset"
BYE: Final = "bye"

EVENTS: Final = (
    CONFIRMED, MESSAGE, CHANGED, REDACTION, MEMBER, TYPING, RECEIPT, SEND_FAILED, RESET, BYE,
)  # fmt: skip
"""Every type that :func:`translated` may return."""

_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_DIGITS = 7
_MEMBER_ACTS = {"left": "leave", "removed": "leave", "banned": "ban"}

_encode = msgspec.json.Encoder().encode


def translated(frame: Frame, now: Callable[[], float] = time.time) -> tuple[tuple[str, bytes], ...]:
    """Return what a frame is for the web app: none, or Matrix events to be sent in this order.

    Each is ``(type, data)``; ``data`` is one JSON object, whose ``type`` is the same. It carries
    ``_broadcastId``: for a line of a timeline the same whenever and over whatever wire it is sent,
    and no other's. What has a place in the log carries ``_cursor``, to go on after it. Times are
    in milliseconds. The caller keeps the result where a frame has many readers (``Frame.other``).

    Args:
        frame: What the hub delivers.
        now: Seconds since the epoch: what is not in the log has no time of its own.
    """
    found = _event(frame, round(now() * 1000))
    if found is None:
        return ()
    kind, data = found
    return ((kind, data),)


def broadcast_id(frame: Frame, now_ms: int) -> str:
    """Return the ``_broadcastId`` of a frame: ``<ms>-<7 characters of base 36>``.

    That of a line of a timeline is made from the place in the log: no two have the same, and none
    has two.
    """
    entry = frame.source
    if isinstance(entry, Entry) and frame.cursor is not None:
        return f"{entry.timestamp}-{_base36(frame.cursor.position)}"
    return f"{now_ms}-{_base36(secrets.randbelow(36**_DIGITS))}"


def _event(frame: Frame, now_ms: int) -> tuple[str, bytes] | None:
    match frame.source:
        case Entry() as entry:
            event = _changed(entry) if frame.type == "timeline.changed" else _said(entry)
        case Typing(room_id, users):
            event = _typing(room_id, [one.mxid for one in users], now_ms)
        case Receipt() as mark:
            event = _receipt(mark)
        case RoomRemoved(room_id, reason):
            event = _removed(frame.reader, room_id, reason, now_ms)
        case Hello() as hello:
            event = _confirmed(hello, now_ms)
        case SendFailed() | Reset() | Bye() as own:
            event = {"type": frame.type, **msgspec.to_builtins(own), "timestamp": now_ms}
        case _:
            event = None
    return None if event is None else _sealed(event, frame, now_ms)


def _sealed(
    event: Mapping[str, Any] | msgspec.Struct, frame: Frame, now_ms: int
) -> tuple[str, bytes]:
    """Return the type and the JSON of an event, with what tells it from all others."""
    kind: str = event["type"] if isinstance(event, Mapping) else event.type  # type: ignore[attr-defined]
    mark: dict[str, Any] = {"_broadcastId": broadcast_id(frame, now_ms), "_broadcastTime": now_ms}
    if frame.cursor is not None:
        mark["_cursor"] = str(frame.cursor)
    return kind, b"%b,%b" % (_encode(event)[:-1], _encode(mark)[1:])


def _said(entry: Entry) -> Mapping[str, Any] | msgspec.Struct | None:
    if is_message(entry):
        return web_message(entry)
    if entry.type == MEMBER and entry.membership is not None and entry.subject is not None:
        return {
            "type": MEMBER,
            "room_id": entry.room_id,
            "event_id": entry.event_id,
            "sender": entry.sender.mxid,
            "sender_name": entry.sender.name,
            "state_key": entry.subject.mxid,
            "content": {"membership": entry.membership, "displayname": entry.subject.name},
            "origin_server_ts": entry.timestamp,
            "timestamp": entry.timestamp,
        }
    return None


def _changed(entry: Entry) -> Mapping[str, Any] | msgspec.Struct | None:
    if is_message(entry):
        return msgspec.structs.replace(web_message(entry), type=CHANGED)
    gone = entry.deletion
    if gone is None:
        return None
    event: dict[str, Any] = {
        "type": REDACTION,
        "room_id": entry.room_id,
        # The id of the redaction itself is not kept: what matters is which message is gone.
        "redacts": entry.event_id,
        "content": {"redacts": entry.event_id},
    }
    if gone.reason is not None:
        event["content"]["reason"] = gone.reason
    if gone.by is not None:
        event |= {"sender": gone.by.mxid, "sender_name": gone.by.name}
    if gone.timestamp is not None:
        event |= {"origin_server_ts": gone.timestamp, "timestamp": gone.timestamp}
    return event


def _typing(room_id: RoomId, users: list[Mxid], now_ms: int) -> Mapping[str, Any]:
    # Three names for one list: what the app reads, what its backend wrote, and what Matrix has.
    return {
        "type": TYPING,
        "room_id": room_id,
        "typing": users,
        "user_ids": users,
        "content": {"user_ids": users},
        "timestamp": now_ms,
    }


def _receipt(mark: Receipt) -> Mapping[str, Any]:
    read = {mark.event_id: {"m.read": {mark.user.mxid: {"ts": mark.timestamp}}}}
    return {
        "type": RECEIPT,
        "room_id": mark.room_id,
        "content": read,
        "timestamp": mark.timestamp,
    }


def _removed(
    reader: Mxid | None, room_id: RoomId, reason: str, now_ms: int
) -> Mapping[str, Any] | None:
    if reader is None:
        return None
    return {
        "type": MEMBER,
        "room_id": room_id,
        "sender": reader,
        "state_key": reader,
        "content": {"membership": _MEMBER_ACTS.get(reason, "leave")},
        "timestamp": now_ms,
    }


def _confirmed(hello: Hello, now_ms: int) -> Mapping[str, Any]:
    return {
        "type": CONFIRMED,
        "timestamp": now_ms,
        "message": "Connection established successfully",
        "hasMatrixCredentials": True,
        "matrixUserId": hello.user.mxid,
    }


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _BASE36[digit] + digits
    return digits.rjust(_DIGITS, "0")
