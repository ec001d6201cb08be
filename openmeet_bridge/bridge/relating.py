"""Relations while a batch goes into the log: which lines its edits, reactions, redactions change.

Whatever comes first, the outcome is the same: a relation is noted whether its target is known or
not, and what it amounts to is decided where the line is read.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from ..core.events import (
    HISTORY_VISIBILITY,
    Event,
    blanked_by,
    client_txn_id,
    is_counted,
    redacted_event,
)
from ..core.ids import EventId, Position, RoomId
from ..core.relations import Relation, RelationKind, changed_event, is_line, relation
from ..storage import event_log, relations
from ..storage.database import Connection
from ..storage.event_log import Found, Row
from ..storage.relations import RelationRow
from . import counting


class Part(NamedTuple):
    """What an event is to its room's timeline.

    Attributes:
        line: Whether it is a line itself.
        about: The event whose line it changes.
        redacted_by: What has redacted it before it came.
        content: What may be kept of its content.
    """

    line: bool
    about: EventId | None
    redacted_by: EventId | None
    content: bytes

    def row(
        self,
        event: Event,
        known: Found,
        position: Position,
        sort_key: int,
        *,
        effect: int,
        source: str,
    ) -> Row:
        """Return the event as a row of the log.

        Args:
            event: The event.
            known: What had been heard of it before it came.
            position: Its place in the log.
            sort_key: Its place in its room.
            effect: 1 when somebody comes in by it, -1 when somebody goes out.
            source: How it came.
        """
        return Row(
            position=position,
            event_id=event.event_id,
            room_id=event.room_id,
            tenant=known.tenant,
            sort_key=sort_key,
            type=event.type,
            sender=event.sender,
            state_key=event.state_key,
            timestamp=event.origin_server_ts,
            content=self.content,
            client_txn_id=client_txn_id(event),
            counted=self.line and is_counted(event) and self.redacted_by is None,
            effect=effect,
            redacted_by=self.redacted_by,
            source=source,
            line=self.line,
            about=self.about,
            related=known.related,
        )


class Relating:
    """What the events of a batch do to one another and to what the log has."""

    def __init__(self) -> None:
        self._abouts: dict[EventId, EventId] = {}
        self._rows: list[RelationRow] = []
        self._redactions: dict[tuple[RoomId, EventId], Event] = {}
        self._touched: list[tuple[RoomId, EventId, Position]] = []
        self._edited: set[EventId] = set()

    @property
    def redacted(self) -> Collection[tuple[RoomId, EventId]]:
        """What the batch redacts."""
        return self._redactions.keys()

    async def load(self, connection: Connection, events: Sequence[Event]) -> None:
        """Read what these events change."""
        targets = [(one.room_id, target) for one in events if (target := changed_event(one))]
        if targets:
            self._abouts.update(await relations.abouts(connection, targets))

    def add(self, event: Event, position: Position, known: Found) -> Part:
        """Note what an event does.

        Args:
            event: The event.
            position: Its place in the log.
            known: What had been heard of it before it came.
        """
        blanked = blanked_by(event)
        redacted_by = known.redaction or blanked
        found, target = relation(event), redacted_event(event)
        about = None
        if found is not None:
            about = self._relate(event, found, position, redacted=redacted_by is not None)
        elif target is not None:
            about = self._redact(event, target, position)
        if redacted_by and known.related:
            self._edited.add(event.event_id)
        # What came blank is what its homeserver goes on to keep of it: of power levels, most.
        keep = redacted_by is None or blanked is not None or event.type == HISTORY_VISIBILITY
        content = bytes(event.content) if keep else b"{}"
        return Part(is_line(event), about, redacted_by, content)

    def _relate(
        self, event: Event, found: Relation, position: Position, *, redacted: bool
    ) -> EventId:
        self._rows.append(
            RelationRow(
                event.event_id,
                event.room_id,
                found.target,
                found.kind.value,
                found.key,
                event.sender,
                event.origin_server_ts,
                redacted,
            )
        )
        self._abouts[event.event_id] = found.target
        self._touched.append((event.room_id, found.target, position))
        if found.kind is RelationKind.EDIT:
            self._edited.add(found.target)
        return found.target

    def _redact(self, event: Event, target: EventId, position: Position) -> EventId:
        earlier = self._redactions.setdefault((event.room_id, target), event)
        if _moment(event) < _moment(earlier):
            self._redactions[event.room_id, target] = event
        # To redact a reaction is to change what was reacted to.
        about = self._abouts[event.event_id] = self._abouts.get(target, target)
        self._touched += [(event.room_id, one, position) for one in {about, target}]
        self._edited.update((about, target))
        return about

    async def write(self, connection: Connection) -> None:
        """Write what was noted. The batch's own entries are in the log already."""
        if self._rows:
            await relations.insert(connection, self._rows)
        if self._redactions:
            targets = [(*place, by.event_id) for place, by in self._redactions.items()]
            if await event_log.redact(connection, targets) < len(targets):
                await event_log.expect_redactions(connection, targets)
            await relations.redact(connection, list(self._redactions))
        if self._touched:
            await relations.touch(connection, self._touched)
        if self._edited:
            await relations.blank_edits(connection, sorted(self._edited))


async def redact(
    connection: Connection, room_id: RoomId, target: EventId, redaction: EventId
) -> None:
    """Blank an event of the log now, before its redaction comes in."""
    await event_log.lock(connection)  # counts change, and only who appends may change them
    await event_log.redact(connection, [(room_id, target, redaction)])
    await relations.redact(connection, [(room_id, target)])
    await relations.blank_edits(connection, [target])
    await counting.recount(connection, [room_id])


def _moment(event: Event) -> tuple[int, EventId]:
    # Who was the first to delete something is told by what the events say, not by how they came.
    return event.origin_server_ts, event.event_id
