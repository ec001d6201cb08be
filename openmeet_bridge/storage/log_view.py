"""The log as streams read it, always at one moment of the database."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.entry import LogEntry
from ..core.ids import Mxid, Position, RoomId, TenantId
from . import entries, event_log, rooms
from .database import Database
from .entries import Missed


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

    async def standing(self, tenant: TenantId, mxid: Mxid) -> Standing:
        """Return in which rooms of a tenant somebody is now.

        Raises:
            Unavailable: The database is away.
        """
        async with self._database.snapshot() as connection:
            head = await event_log.head(connection)
            joined = await rooms.joined_rooms(connection, tenant, mxid)
        return Standing(head.position, frozenset(joined))

    async def missed(
        self, tenant: TenantId, mxid: Mxid, after: Position, up_to: Position, limit: int
    ) -> list[Missed]:
        """Return what somebody missed between two positions, in log order; see ``for_replay``.

        Raises:
            Unavailable: The database is away.
        """
        async with self._database.connection() as connection:
            return await entries.for_replay(connection, tenant, mxid, after, up_to, limit)

    async def after(self, position: Position, limit: int) -> tuple[list[LogEntry], Position]:
        """Return entries after a position, and up to where that is everything there is.

        Raises:
            Unavailable: The database is away.
        """
        async with self._database.connection() as connection:
            return await entries.after(connection, position, limit)
