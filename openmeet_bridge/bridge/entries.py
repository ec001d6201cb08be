"""Entries: a single line of a timeline, and what stands behind it."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.entry import Entry, Reaction
from ..core.errors import NotFound
from ..core.ids import EventId, Mxid, RoomId, TenantId
from ..storage import lines, relations, room_list, rooms
from ..storage.database import Connection, Database
from ..storage.lines import Line
from . import reading, showing
from .pages import Place
from .timeline import Timeline

MOST_VERSIONS = 100
MOST_PEOPLE = 1000


@dataclass(frozen=True, slots=True)
class Version:
    """What a message said, from some moment on."""

    event_id: EventId
    timestamp: int
    text: str
    html: str | None


class Entries:
    """Reads single entries for people. Each call asks the log whether they may.

    Args:
        database: The log.
        timeline: Reads what may be older than the log.
    """

    def __init__(self, database: Database, timeline: Timeline) -> None:
        self._database = database
        self._timeline = timeline

    async def entry(
        self, tenant: TenantId, mxid: Mxid, room_id: RoomId, event_id: EventId
    ) -> Entry:
        """Return an entry as it is now.

        Raises:
            NotFound: They are in no such room, or it has no such entry for them.
            Unavailable: The database is away, or the homeserver, which may have it.
        """
        async with self._database.connection() as connection:
            line = await _line(connection, tenant, mxid, room_id, event_id)
            if line is not None:
                return (await showing.entries(connection, [line]))[0]
        try:
            # It may be older than the log.
            place = Place(around=event_id)
            page = await self._timeline.page(tenant, mxid, room_id, place, limit=1)
        except NotFound:
            raise _nothing() from None
        found = [entry for entry in page.entries if entry.event_id == event_id]
        if not found:
            raise _nothing()
        return found[0]

    async def versions(
        self, tenant: TenantId, mxid: Mxid, room_id: RoomId, event_id: EventId
    ) -> list[Version]:
        """Return what an entry said first, and the newest of its edits, oldest first.

        Of what was deleted there is nothing.

        Raises:
            NotFound: They are in no such room, or it has no such entry for them.
        """
        async with self._database.connection() as connection:
            line = await _known(connection, tenant, mxid, room_id, event_id)
            if line.redacted_by is not None:
                return []
            edits = await relations.edits(connection, room_id, event_id, MOST_VERSIONS - 1)
        versions = [_version(line, line.event_id, line.timestamp, None)]
        return versions + [
            _version(line, one.event_id, one.timestamp, one.content) for one in edits
        ]

    async def reactions(
        self, tenant: TenantId, mxid: Mxid, room_id: RoomId, event_id: EventId
    ) -> list[Reaction]:
        """Return the reactions to an entry, with everybody who reacted.

        Raises:
            NotFound: They are in no such room, or it has no such entry for them.
        """
        async with self._database.connection() as connection:
            line = await _known(connection, tenant, mxid, room_id, event_id)
            if line.redacted_by is not None:
                return []
            place = [(room_id, event_id)]
            rows = (await relations.reactions(connection, place, MOST_PEOPLE)).get(event_id, [])
            wanted = sorted({(room_id, mxid) for row in rows for mxid in row.senders})
            people = await room_list.people_of(connection, wanted)
        return [
            Reaction(row.key, row.count, [people[room_id, mxid] for mxid in row.senders])
            for row in rows
        ]


async def _line(
    connection: Connection, tenant: TenantId, mxid: Mxid, room_id: RoomId, event_id: EventId
) -> Line | None:
    """Return a line that somebody may read; None where the log has none for them."""
    if not await rooms.is_joined(connection, tenant, room_id, mxid):
        raise NotFound("You are in no such room.")
    line = (await lines.by_id(connection, [(room_id, event_id)])).get((room_id, event_id))
    if line is None or line.tenant != tenant:
        return None
    part = await reading.readable(connection, room_id, mxid)
    return line if line.sort_key in part else None


async def _known(
    connection: Connection, tenant: TenantId, mxid: Mxid, room_id: RoomId, event_id: EventId
) -> Line:
    """Return a line that somebody may read; raise where the log has none for them."""
    line = await _line(connection, tenant, mxid, room_id, event_id)
    if line is None:
        raise _nothing()
    return line


def _version(line: Line, event_id: EventId, timestamp: int, edit: bytes | None) -> Version:
    shown = showing.show_line(line, edit)
    return Version(event_id, timestamp, shown.text, shown.html)


def _nothing() -> NotFound:
    return NotFound("The room has no such entry for you.", fields={"path.event_id": "unknown"})
