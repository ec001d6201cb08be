"""Showing: from lines of the log to entries as a browser gets them.

A page, a replay and a live stream all come this way: an entry is what the log makes of it at the
moment of reading, never what a reader has made of what came before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import structlog

from ..core.content import decoded
from ..core.cursor import order_text
from ..core.entry import (
    Deletion,
    Edited,
    Entry,
    LogEntry,
    MembershipEffect,
    Mentions,
    Person,
    Quote,
    Reaction,
    fallback_name,
)
from ..core.events import MEMBER, MEMBER_CONTENT, UNREADABLE, MemberContent
from ..core.ids import EventId, Mxid, RoomId, UserSlug
from ..core.showing import Names, Shown, deleted, show
from ..core.words import line as line_of
from ..storage import former_members, lines, relations, room_list
from ..storage.database import Connection
from ..storage.lines import Line
from ..storage.relations import EditRow, ReactionRow, RedactionRow
from . import reading

log = structlog.get_logger(__name__)

MOST_PEOPLE = 30
"""As many are named of those who reacted with one key."""

MOST_QUOTED = 200
"""Letters of a quote."""

MOST_REASON = 500
"""Letters of why something was done; the bridge's own are no longer."""

Place = tuple[RoomId, EventId]


async def entries(connection: Connection, found: Sequence[Line]) -> list[Entry]:
    """Return lines as they are to be shown now, in the order given."""
    return await _Sheet(found).entries(connection) if found else []


async def log_entries(connection: Connection, found: Sequence[Line]) -> list[LogEntry]:
    """Return lines as streams route them, in the order given."""
    shown = await entries(connection, found)
    readers = await reading.readers(connection, found)
    return [
        LogEntry(line.place, line.tenant, entry, _effect(line, entry.subject), line.changed, only)
        for line, entry, only in zip(found, shown, readers, strict=True)
    ]


class _Sheet:
    """Lines that are shown together, and all that has to be looked up for them."""

    def __init__(self, found: Sequence[Line]) -> None:
        self._lines = found
        self._edits: dict[EventId, EditRow] = {}
        self._reactions: Mapping[EventId, Sequence[ReactionRow]] = {}
        self._redactions: Mapping[EventId, RedactionRow] = {}
        self._quoted: Mapping[Place, Line] = {}
        self._former: Mapping[EventId, bytes] = {}
        self._people: Mapping[tuple[RoomId, Mxid], Person] = {}

    async def entries(self, connection: Connection) -> list[Entry]:
        await self._load_changes(connection)
        shown = [self._show(line) for line in self._lines]
        await self._load_quoted(connection, shown)
        await self._load_people(connection, shown)
        return list(map(self._entry, self._lines, shown))

    async def _load_changes(self, connection: Connection) -> None:
        related = _places(line for line in self._lines if line.related)
        if related:
            self._edits = await relations.newest_edits(connection, related)
            self._reactions = await relations.reactions(connection, related, MOST_PEOPLE)
        blanked = [line.redacted_by for line in self._lines if line.redacted_by]
        if blanked:
            self._redactions = await relations.redactions(connection, blanked)
        # Who came in or went out did just that; of all else it depends on what was before.
        unclear = [one for one in self._lines if one.type == MEMBER and one.state_key]
        if unclear := [one for one in unclear if not one.effect]:
            self._former = await former_members.contents(connection, unclear)

    async def _load_quoted(self, connection: Connection, shown: Sequence[Shown]) -> None:
        wanted = {
            (line.room_id, event_id)
            for line, one in zip(self._lines, shown, strict=True)
            for event_id in (one.reply_to, one.thread)
            if event_id is not None
        }
        if not wanted:
            return
        found = await lines.by_id(connection, sorted(wanted))
        shared = await reading.for_everybody(connection, found.values())
        self._quoted = {
            place: line
            for (place, line), everybody in zip(found.items(), shared, strict=True)
            if everybody
        }
        related = _places(line for line in self._quoted.values() if line.related)
        if related:
            self._edits |= await relations.newest_edits(connection, related)

    async def _load_people(self, connection: Connection, shown: Sequence[Shown]) -> None:
        wanted = {
            (line.room_id, mxid)
            for line, one in zip(self._lines, shown, strict=True)
            for mxid in (*one.mentioned, *self._acting(line))
        }
        if wanted:
            self._people = await room_list.people_of(connection, sorted(wanted))

    def _acting(self, line: Line) -> list[Mxid]:
        """Return who has reacted to a line or deleted it."""
        if not line.related and line.redacted_by is None:
            return []
        acting = [one for row in self._reactions.get(line.event_id, ()) for one in row.senders]
        redaction = self._redactions.get(line.redacted_by) if line.redacted_by else None
        return [*acting, redaction.sender] if redaction else acting

    def _show(self, line: Line) -> Shown:
        edit = self._edits.get(line.event_id)
        return show_line(line, edit.content if edit else None, self._former.get(line.event_id))

    def _entry(self, line: Line, shown: Shown) -> Entry:
        edit = self._edits.get(line.event_id)
        return Entry(
            event_id=line.event_id,
            room_id=line.room_id,
            order=order_text(line.sort_key),
            revision=line.revision,
            type=line.type,
            kind=shown.kind,
            sender=_sender(line),
            timestamp=line.timestamp,
            text=shown.text,
            html=shown.html,
            state_key=line.state_key,
            client_txn_id=line.client_txn_id,
            subject=_subject(line) if line.state_key else None,
            membership=shown.membership,
            media=shown.media,
            place=shown.place,
            poll=shown.poll,
            mentions=self._mentions(line.room_id, shown),
            reply_to=self._quote(line.room_id, shown.reply_to) if shown.reply_to else None,
            thread=self._quote(line.room_id, shown.thread) if shown.thread else None,
            edited=Edited(edit.event_id, edit.timestamp, edit.count) if edit else None,
            reactions=self._reacted(line) if line.related else [],
            deletion=self._deletion(line) if line.redacted_by is not None else None,
        )

    def _mentions(self, room_id: RoomId, shown: Shown) -> Mentions | None:
        if not shown.mentioned and not shown.mentions_room:
            return None
        people = [self._people[room_id, mxid] for mxid in shown.mentioned]
        return Mentions(people, shown.mentions_room)

    def _quote(self, room_id: RoomId, event_id: EventId | None) -> Quote | None:
        if event_id is None:
            return None
        line = self._quoted.get((room_id, event_id))
        if line is None:
            return Quote(event_id)
        shown = self._show(line)
        text = " ".join(shown.open_text[: 2 * MOST_QUOTED].split())[:MOST_QUOTED]
        return Quote(event_id, _sender(line), shown.kind, text)

    def _reacted(self, line: Line) -> list[Reaction]:
        if line.redacted_by is not None:
            return []
        return [
            Reaction(row.key, row.count, [self._people[line.room_id, one] for one in row.senders])
            for row in self._reactions.get(line.event_id, ())
        ]

    def _deletion(self, line: Line) -> Deletion | None:
        if line.redacted_by is None:
            return None
        row = self._redactions.get(line.redacted_by)
        if row is None or row.room_id != line.room_id:
            return Deletion()
        return Deletion(self._people[line.room_id, row.sender], row.timestamp, _reason(row.content))


def show_line(line: Line, edit: bytes | None, former: bytes | None = None) -> Shown:
    """Return what a line shows with the content of an edit, if any.

    Args:
        line: The line.
        edit: The content of the edit.
        former: Of a membership: the content of the one before.
    """
    if line.redacted_by is not None and line.state_key is None:
        return deleted()
    subject = _subject(line)
    names = Names(
        _sender(line).name, subject.name if subject else None, line.sender == line.state_key
    )
    try:
        return show(
            line.type,
            line.state_key,
            line.content,
            names,
            effect=line.effect,
            edit=edit,
            previous=former,
        )
    except Exception:
        # Whatever a stranger put into a room: it must not stop the streams of everybody.
        log.exception("show.crashed", room=line.room_id, event_id=line.event_id)
        return Shown("unknown", "This cannot be shown here")


def _places(found: Iterable[Line]) -> list[Place]:
    # Each once: a line stands twice among those that came and changed.
    return list({(line.room_id, line.event_id): None for line in found})


def _sender(line: Line) -> Person:
    name = line.sender_name or fallback_name(line.sender)
    slug = UserSlug(line.sender_slug) if line.sender_slug else None
    return _person(line.sender, name, line.sender_avatar, slug)


def _subject(line: Line) -> Person | None:
    if line.type != MEMBER or not line.state_key:
        return None
    mxid = Mxid(line.state_key)
    name = line.subject_name or _member_content(line).name or fallback_name(mxid)
    slug = UserSlug(line.subject_slug) if line.subject_slug else None
    return _person(mxid, name, line.subject_avatar, slug)


# The same people say most of what is shown, and each line asks for its sender more than once.
_person = lru_cache(maxsize=4096)(Person)


def _effect(line: Line, subject: Person | None) -> MembershipEffect | None:
    if not line.effect or subject is None or line.changed:
        return None
    content, joined = _member_content(line), line.effect > 0
    # A coming that turned out to be overtaken by a going says so itself: its content is no help.
    overturned = joined != (content.membership == "join")
    return MembershipEffect(
        user=subject,
        joined=joined,
        membership="leave" if overturned else content.membership,
        by_self=line.sender == subject.mxid and not overturned,
        reason=None if overturned else line_of(content.reason, MOST_REASON),
        room_kind=line.room_kind or "",
        room_name=line.room_name or "",
    )


def _member_content(line: Line) -> MemberContent:
    try:
        return MEMBER_CONTENT.decode(line.content)
    except UNREADABLE:  # redacted since; what it did is known all the same
        return MemberContent(membership="join" if line.effect > 0 else "leave")


def _reason(content: bytes) -> str | None:
    return line_of(decoded(content).get("reason"), MOST_REASON)
