"""Relations while a batch goes into the log: which lines its edits, reactions, redactions change.

Whatever comes first, the outcome is the same: a relation is noted whether its target is known or
not, and what it amounts to is decided where the line is read.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..core.events import Event, redacted_event
from ..core.ids import EventId, Position, RoomId
from ..core.relations import Relation, RelationKind, changed_event, relation
from ..storage import relations
from ..storage.database import Connection
from ..storage.relations import RelationRow


class Relating:
    """What the events of a batch do to one another and to what the log has."""

    def __init__(self) -> None:
        self._abouts: dict[EventId, EventId] = {}
        self._rows: list[RelationRow] = []
        self._redacted: list[tuple[RoomId, EventId]] = []
        self._touched: list[tuple[RoomId, EventId, Position]] = []
        self._edited: set[EventId] = set()

    async def load(self, connection: Connection, events: Sequence[Event]) -> None:
        """Read what these events change."""
        targets = [(one.room_id, target) for one in events if (target := changed_event(one))]
        if targets:
            self._abouts.update(await relations.abouts(connection, targets))

    def add(
        self, event: Event, position: Position, *, redacted: bool, related: bool
    ) -> EventId | None:
        """Note what an event does; return the event whose line it changes.

        Args:
            event: The event.
            position: Its place in the log.
            redacted: Its redaction came before it.
            related: Something that changes it came before it.
        """
        found = relation(event)
        if found is not None:
            return self._relate(event, found, position, redacted=redacted)
        target = redacted_event(event)
        if target is None:
            if redacted and related:
                self._edited.add(event.event_id)
            return None
        # To redact a reaction is to change what was reacted to.
        about = self._abouts.get(target, target)
        self._redacted.append((event.room_id, target))
        self._touched += [(event.room_id, one, position) for one in {about, target}]
        self._edited.update((about, target))
        return about

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

    async def write(self, connection: Connection) -> None:
        """Write what was noted. The batch's own entries are in the log already."""
        if self._rows:
            await relations.insert(connection, self._rows)
        if self._redacted:
            await relations.redact(connection, self._redacted)
        if self._touched:
            await relations.touch(connection, self._touched)
        if self._edited:
            await relations.blank_edits(connection, sorted(self._edited))
