"""The log as streams read it.

Which lines there are, and their revisions, is read first and at one moment; what is shown of them
after that. What changes in between makes an entry show more than its revision says, never less,
and comes itself with a higher one. So this needs no snapshot, and its two round trips.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..core.entry import LogEntry
from ..core.ids import EventId, Mxid, Position, RoomId, TenantId
from ..storage import lines, rooms
from ..storage.database import Database, certain
from ..storage.lines import Line
from . import showing
from .together import Together

_Someone = tuple[TenantId, Mxid]

Missed = tuple[LogEntry, bool]
"""An entry, and whether it may be read as part of its room (or only be known as one's own)."""


@dataclass(frozen=True, slots=True)
class Standing:
    """In which rooms somebody is, and up to which position of the log that is so."""

    position: Position
    rooms: frozenset[RoomId]


class LogView:
    """Reads the log for streams and for the feed.

    Args:
        database: Where the log is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._standings = Together(self._read_standings)

    async def standing(self, tenant: TenantId, mxid: Mxid) -> Standing:
        """Return in which rooms of a tenant somebody is now.

        Raises:
            Unavailable: The database is away.
        """
        return certain(await self._standings.get((tenant, mxid)), "everybody stands somewhere")

    async def _read_standings(self, people: Sequence[_Someone]) -> Mapping[_Someone, Standing]:
        async with self._database.connection() as connection:
            found = await rooms.standings(connection, people)
        standings = [Standing(position, frozenset(joined)) for position, joined in found]
        return dict(zip(people, standings, strict=True))

    async def missed(
        self,
        tenant: TenantId,
        mxid: Mxid,
        after: Position,
        up_to: Position,
        limit: int,
        wanted: Collection[RoomId] | None = None,
    ) -> list[Missed]:
        """Return what somebody missed between two positions, in log order; see ``for_replay``.

        Raises:
            Unavailable: The database is away.
        """
        async with self._database.connection() as connection:
            found = await lines.for_replay(connection, tenant, mxid, after, up_to, limit, wanted)
            if len(found) < limit:  # else the caller must know that there is more
                kept = _without_repeats([line for line, _ in found])
                places = {line.place for line in kept}
                found = [one for one in found if one[0].place in places]
            shown = await showing.log_entries(connection, [line for line, _ in found])
        return [(entry, readable) for entry, (_, readable) in zip(shown, found, strict=True)]

    async def after(self, position: Position, limit: int) -> tuple[list[LogEntry], Position]:
        """Return entries after a position, and up to where that is everything there is.

        Raises:
            Unavailable: The database is away.
        """
        async with self._database.connection() as connection:
            found, end = await lines.after(connection, position, limit)
            return await showing.log_entries(connection, _without_repeats(found)), end


def _without_repeats(found: list[Line]) -> list[Line]:
    """Leave out changes of a line that another change follows: the line is shown as it is now."""
    last: dict[EventId, Position] = {line.event_id: line.place for line in found if line.changed}
    return [line for line in found if not line.changed or last[line.event_id] == line.place]
