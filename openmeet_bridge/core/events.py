"""Matrix events as they come from the homeserver (application service API v1, client format)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from .ids import EventId, Mxid, RoomId

MESSAGE = "m.room.message"
MEMBER = "m.room.member"
REDACTION = "m.room.redaction"
CREATE = "m.room.create"
POWER_LEVELS = "m.room.power_levels"
TOMBSTONE = "m.room.tombstone"
HISTORY_VISIBILITY = "m.room.history_visibility"
SPACE_CHILD = "m.space.child"
SPACE_PARENT = "m.space.parent"
CLIENT_TXN_KEY = "org.openmeet.txn_id"
"""Key in the content of what was sent through the bridge: the browser's own id of it."""

_SENT = frozenset({MESSAGE, "m.reaction", REDACTION})
"""Types that are sent through the bridge."""

NUDGE = "org.openmeet.nudge"
"""Type of the bot's event that makes a restarted homeserver push what it has kept back."""

PORTAL_KEY = "org.openmeet.portal"
"""Key in the content of ``m.room.create``: which portal the bot made the room for."""

SPACE_KEY = "org.openmeet.space"
"""Key in the content of ``m.room.create``: which space the bot made the room to be."""

KEPT_STATE = frozenset(
    {
        CREATE,
        POWER_LEVELS,
        "m.room.name",
        "m.room.topic",
        "m.room.avatar",
        "m.room.canonical_alias",
        "m.room.join_rules",
        HISTORY_VISIBILITY,
        "m.room.encryption",
        "m.room.guest_access",
        TOMBSTONE,
        SPACE_CHILD,
        SPACE_PARENT,
        "m.bridge",
        "uk.half-shot.bridge",
    }
)
"""State that is kept as a room's present state (members have a table of their own)."""

MAX_NAME_BYTES = 255
"""Longest identifier, type or state key (client-server API, "Size limits")."""

COUNTED = frozenset({MESSAGE, "m.room.encrypted", "m.sticker", "m.poll.start"})
"""Types that make a room unread."""


class Event(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One event of a room. ``content`` stays the bytes in which it came."""

    event_id: EventId
    room_id: RoomId = RoomId("")
    """Left out by ``/sync``, where the room is named around the events."""
    type: str
    sender: Mxid
    origin_server_ts: int
    content: msgspec.Raw
    state_key: str | None = None
    redacts: EventId | None = None
    unsigned: msgspec.Raw = msgspec.Raw(b"{}")

    @property
    def is_state(self) -> bool:
        """Whether this is a state event: the key decides, never the type."""
        return self.state_key is not None


class Ephemeral(msgspec.Struct, frozen=True, gc=False):
    """Typing, receipts or presence. The latter is somebody's, and no room's."""

    type: str
    content: msgspec.Raw
    room_id: RoomId | None = None
    sender: Mxid | None = None


class MemberContent(msgspec.Struct, frozen=True):
    """What the bridge reads of ``m.room.member``.

    The texts may be anything: a kick must count even where its display name is a number.
    """

    membership: Literal["join", "leave", "invite", "ban", "knock"]
    displayname: Any = None
    avatar_url: Any = None
    reason: Any = None

    @property
    def name(self) -> str | None:
        """The display name, where there is a usable one."""
        return text_or_none(self.displayname)

    @property
    def avatar(self) -> str | None:
        """The avatar's ``mxc://`` address, where there is a usable one."""
        return text_or_none(self.avatar_url)


class _RedactionContent(msgspec.Struct, frozen=True):
    redacts: EventId | None = None


class _TxnContent(msgspec.Struct, frozen=True, rename={"txn_id": CLIENT_TXN_KEY}):
    txn_id: str | None = None


class PortalContent(msgspec.Struct, frozen=True):
    """The mark that the bot leaves in ``m.room.create``."""

    tenant: str
    kind: str
    slug: str


class _CreateContent(msgspec.Struct, frozen=True, rename={"portal": PORTAL_KEY}):
    portal: PortalContent | None = None


class _Because(msgspec.Struct, frozen=True):
    event_id: EventId


class _Unsigned(msgspec.Struct, frozen=True):
    redacted_because: _Because | None = None


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What is raised by a content that is not what it should be, or is nested without end.

How deep is too deep depends on who asks: what one could decode, another may not.
"""


def name_problem(text: str) -> str | None:
    """Return why a text cannot be an identifier that the database keeps and finds again."""
    if "\x00" in text:
        return "holds a null character"
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "holds half of a surrogate pair"
    return f"is longer than {MAX_NAME_BYTES} bytes" if size > MAX_NAME_BYTES else None


def text_or_none(value: object) -> str | None:
    """Return a text that PostgreSQL can hold and a person can read, else None."""
    if not isinstance(value, str) or not value.strip():
        return None
    return value.replace("\x00", "").encode("utf-8", "replace").decode() or None


MEMBER_CONTENT = msgspec.json.Decoder(MemberContent)
_redaction = msgspec.json.Decoder(_RedactionContent)
_txn = msgspec.json.Decoder(_TxnContent)
_create = msgspec.json.Decoder(_CreateContent)
_unsigned = msgspec.json.Decoder(_Unsigned)


def member_content(event: Event) -> MemberContent:
    """Return the content of a member event.

    Raises:
        msgspec.DecodeError: The content is not that of a member event.
        RecursionError: It is nested too deeply to say.
    """
    return MEMBER_CONTENT.decode(event.content)


def redacted_event(event: Event) -> EventId | None:
    """Return which event a redaction blanks: in ``content`` since room version 11, else beside."""
    if event.type != REDACTION:
        return None
    try:
        target = _redaction.decode(event.content).redacts or event.redacts
    except UNREADABLE:
        target = event.redacts
    return target if target and name_problem(target) is None else None


def client_txn_id(event: Event) -> str | None:
    """Return the id under which something was sent through the bridge.

    Of a message or an edit it is the browser's own, of the rest the bridge's.
    """
    if event.type not in _SENT or CLIENT_TXN_KEY.encode() not in bytes(event.content):
        return None
    try:
        txn_id = _txn.decode(event.content).txn_id
    except UNREADABLE:
        return None
    return txn_id if txn_id and name_problem(txn_id) is None else None


def portal_mark(event: Event) -> PortalContent | None:
    """Return which portal a room was created for; the caller must have checked the sender."""
    try:
        return _create.decode(event.content).portal
    except UNREADABLE:
        return None


def is_counted(event: Event) -> bool:
    """Whether the event, where it is a line of a timeline, makes its room unread: a message."""
    return not event.is_state and event.type in COUNTED


def blanked_by(event: Event) -> EventId | None:
    """Return what had redacted an event before it came: its content went with it."""
    if b"redacted_because" not in bytes(event.unsigned):
        return None
    try:
        because = _unsigned.decode(event.unsigned).redacted_because
    except UNREADABLE:
        return None
    return because.event_id if because and name_problem(because.event_id) is None else None


def is_soft_failed(event: Event) -> bool:
    """Whether the homeserver marked the event as one that clients must not see."""
    return b"io.element.synapse.soft_failed" in bytes(event.unsigned)
