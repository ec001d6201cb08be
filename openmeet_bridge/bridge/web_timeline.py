"""Pages of a room as OpenMeet's web app reads them: messages only, the newest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..core.cursor import parse_order
from ..core.entry import Entry
from ..core.errors import Forbidden, InvalidParam, NotFound, Unavailable
from ..core.ids import Mxid, RoomId, TenantId
from ..core.web_message import WebMessage, is_message, web_message
from .own_echoes import OwnEchoes
from .pages import Place
from .timeline import Timeline

MOST_MESSAGES: Final = 200
"""Of one page."""

_TURNS = 8
_SCANNED = 200
_NEWEST = "7fffffffffffffff"
"""An order above all others: where a page begins that has not got anywhere yet."""


@dataclass(frozen=True, slots=True)
class WebPage:
    """Messages of a room, newest first.

    Attributes:
        end: Where the next page begins, opaque; empty at the beginning of the history.
    """

    room_id: RoomId
    messages: list[WebMessage]
    end: str


class WebTimeline:
    """Reads rooms for people in the web app.

    Args:
        timeline: Reads rooms; it asks the log, each time, whether they are in them.
        echoes: Waits until the log has what the reader has just said.
    """

    def __init__(self, timeline: Timeline, echoes: OwnEchoes | None = None) -> None:
        self._timeline = timeline
        self._echoes = echoes

    async def page(
        self, tenant: TenantId, mxid: Mxid, room_id: RoomId, *, limit: int, before: str | None
    ) -> WebPage:
        """Return a page of what was said in a room, as it reads now.

        What only happened (people came, the topic changed) and what was deleted is passed over,
        and the page filled with what is older. Only where there is much of that between two
        messages it has fewer than ``limit`` though there are more; ``end`` leads on all the same.

        Args:
            tenant: Whose room.
            mxid: Who reads.
            room_id: The room.
            limit: Messages; cut to 1 … :data:`MOST_MESSAGES`.
            before: ``end`` of the page that is newer.

        Raises:
            Forbidden: They are in no such room.
            InvalidParam: ``before`` is the end of no page.
            Unavailable: The database is away, or there is nothing to show without the homeserver.
        """
        if before is not None and parse_order(before) is None:
            raise InvalidParam(
                "This is no place in a room.", fields={"query.from": "is the end of no page"}
            )
        if before is None and self._echoes is not None:
            await self._echoes.wait(tenant, mxid, room_id)
        wanted = max(1, min(limit, MOST_MESSAGES))
        # One more than asked says whether there is more.
        found, end = await self._messages(tenant, mxid, room_id, wanted + 1, before)
        if len(found) > wanted:
            found, end = found[:wanted], found[wanted - 1].order
        return WebPage(room_id, [web_message(entry) for entry in found], end)

    async def _messages(
        self, tenant: TenantId, mxid: Mxid, room_id: RoomId, wanted: int, before: str | None
    ) -> tuple[list[Entry], str]:
        """Return messages, newest first, and up to where was looked; empty: to the beginning."""
        found: list[Entry] = []
        for turn in range(_TURNS):
            size = max(wanted - len(found), _SCANNED if turn else 0)
            try:
                page = await self._timeline.page(
                    tenant, mxid, room_id, Place(before=before), limit=size
                )
            except NotFound as error:
                raise Forbidden("You are not in this room.") from error
            except Unavailable:
                if not found:
                    raise
                break  # what there is can be shown; what is older, when it is asked for again
            found += [entry for entry in reversed(page.entries) if is_message(entry)]
            if page.entries:
                before = page.entries[0].order
            if not page.has_before:
                return found, ""
            if len(found) >= wanted:
                break
        return found, before or _NEWEST
