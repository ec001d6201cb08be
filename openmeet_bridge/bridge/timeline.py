"""Timeline: what a person may read, now. Each call asks the log whether they are in the room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import structlog

from ..core.cursor import order_text
from ..core.entry import Entry, Receipt
from ..core.errors import NotFound, Unavailable
from ..core.ids import Mxid, RoomId, TenantId
from ..matrix.errors import HomeserverError
from ..storage import history, room_list
from ..storage.database import Connection, Database
from ..storage.history import Mark
from . import reading, showing
from .history import History
from .pages import Found, Pages, Place

log = structlog.get_logger(__name__)

_PIECES = 4
"""So many pieces of older history one request may cause to be fetched."""

_RETRY_MS = 5000
_END = Place()


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of a room's timeline, oldest first."""

    entries: list[Entry]
    has_before: bool
    has_after: bool
    receipts: list[Receipt]


class _Wish(NamedTuple):
    """Who wants to read what."""

    tenant: TenantId
    mxid: Mxid
    room_id: RoomId
    place: Place
    limit: int


class Timeline:
    """Reads rooms for people.

    Args:
        database: The log and what was made of it.
        history: Fetches what is older than the log.
        page_limit: Most entries of one page.
    """

    def __init__(self, database: Database, history: History, *, page_limit: int = 200) -> None:
        self._database = database
        self._history = history
        self._page_limit = page_limit

    async def page(
        self, tenant: TenantId, mxid: Mxid, room_id: RoomId, place: Place = _END, *, limit: int
    ) -> Page:
        """Return a page of what somebody may read of a room's timeline.

        Where the log begins later than the room, what is older is fetched from the homeserver, a
        bounded piece of it for each call.

        Raises:
            InvalidParam: An order is none, or there is more than one place.
            NotFound: They are in no such room, or the entry is not in it, or not for them.
            Unavailable: The database is away, or there is nothing to show without the homeserver.
        """
        place.check()
        wish = _Wish(tenant, mxid, room_id, place, max(1, min(limit, self._page_limit)))
        async with self._database.connection() as connection:
            found, mark = await _look(connection, wish)
            if mark.complete:
                return await _shown(connection, wish, _usable(found), whole=True)
        return await self._with_older(wish)

    async def _with_older(self, wish: _Wish) -> Page:
        pieces, away = 0, None
        more = True  # than the log has, as far as the homeserver says
        while True:
            # All at one moment: else what somebody else has just fetched may be fetched again.
            async with self._database.snapshot() as connection:
                found, mark = await _look(connection, wish)
                whole = mark.complete or not more
                if whole or away or pieces == _PIECES:
                    return await _shown(connection, wish, _usable(found, away), whole=whole)
            pieces += 1
            try:
                more = await self._history.extend(wish.room_id, mark)
            except HomeserverError as error:
                log.warning("history.not_fetched", room=wish.room_id, error=str(error))
                away = error


async def _look(connection: Connection, wish: _Wish) -> tuple[Found | None, Mark]:
    """Read a page, and how far back the log goes, as far as that matters to the page."""
    tenant, mxid, room_id, place, limit = wish
    part = await reading.admitted(connection, tenant, room_id, mxid)
    if part is None:
        raise NotFound("You are in no such room.")
    found = await Pages(connection, tenant, room_id, part).read(place, limit)
    if found is not None and found.has_before:
        return found, Mark(complete=True)
    return found, await history.get(connection, room_id)


def _usable(found: Found | None, away: HomeserverError | None = None) -> Found:
    if away is not None and not (found and found.lines):
        raise Unavailable(
            "What is older must come from the homeserver, which does not answer. Try again.",
            retry_after_ms=_RETRY_MS,
        ) from away
    if found is None:
        raise NotFound(
            "The room's timeline has no such entry for you.",
            fields={"query.around": "no entry of the timeline"},
        )
    return found


async def _shown(connection: Connection, wish: _Wish, found: Found, *, whole: bool) -> Page:
    shown = await showing.entries(connection, found.lines)
    marks = [
        Receipt(wish.room_id, one.person, one.event_id, order_text(one.sort_key), one.timestamp)
        for one in await room_list.receipts(connection, wish.tenant, wish.room_id)
    ]
    return Page(shown, found.has_before or not whole, found.has_after, marks)
