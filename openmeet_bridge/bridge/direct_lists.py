"""Lists of direct chats: with whom somebody talks alone in OpenMeet's web app, and what is new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..core.directory import User
from ..core.entry import Entry
from ..core.ids import Mxid, PortalRef, RoomId, TenantId
from ..core.visibility import EVERYTHING
from ..core.web_message import WebMessage, is_message, web_message
from ..storage import direct_list, lines, unread
from ..storage.database import Connection, Database
from ..storage.direct_list import ListedDirect
from ..storage.lines import Line
from ..storage.unread import Unread
from . import reading, showing
from .web_timeline import WebTimeline

MOST_CHATS: Final = 200
MOST_UNREAD: Final = 20
"""Messages of each chat in the list; its count says of how many."""
MOST_WITH_UNREAD: Final = 50
"""Chats of the list, the most recently active, that come with messages."""
MOST_OPENED: Final = 100
"""Messages of the chat that is opened."""

_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class DirectChat:
    """A direct chat as one of the two sees it.

    Attributes:
        other: The other one; None where the directory has them no more.
        messages: Oldest first.
        unread_count: Messages that are not read, at most 100.
    """

    ref: PortalRef
    room_id: RoomId
    other: User | None
    messages: list[WebMessage]
    unread_count: int


class DirectLists:
    """Reads people's direct chats.

    Args:
        database: The log and the directory.
        timeline: Reads rooms.
    """

    def __init__(self, database: Database, timeline: WebTimeline) -> None:
        self._database = database
        self._timeline = timeline

    async def chats(self, user: User, mxid: Mxid) -> list[DirectChat]:
        """Return somebody's direct chats, the most recently active first, with what is unread."""
        async with self._database.snapshot() as connection:
            listed = await _listed(connection, user, mxid, MOST_CHATS)
            counts = await _counts(connection, mxid, listed)
            newest = [counts[one.room_id] for one in listed][:MOST_WITH_UNREAD]
            found = await _unread_lines(connection, user.tenant, mxid, newest)
            shown: list[Entry] = []
            for start in range(0, len(found), _AT_ONCE):  # streams go on in between
                shown += await showing.entries(connection, found[start : start + _AT_ONCE])
        messages: dict[RoomId, list[WebMessage]] = {}
        for entry in shown:
            if is_message(entry):
                messages.setdefault(entry.room_id, []).append(web_message(entry))
        return [_chat(one, counts, messages.get(one.room_id, [])) for one in listed]

    async def chat(self, user: User, mxid: Mxid, ref: PortalRef) -> DirectChat | None:
        """Return one of them with its newest messages; None where they are not in its room.

        Raises:
            Unavailable: There is nothing to show without the homeserver.
        """
        async with self._database.snapshot() as connection:
            listed = await _listed(connection, user, mxid, 1, ref)
            counts = await _counts(connection, mxid, listed)
        if not listed:
            return None
        room_id = listed[0].room_id
        page = await self._timeline.page(user.tenant, mxid, room_id, limit=MOST_OPENED, before=None)
        return _chat(listed[0], counts, page.messages[::-1])


async def _listed(
    connection: Connection, user: User, mxid: Mxid, limit: int, only: PortalRef | None = None
) -> list[ListedDirect]:
    return await direct_list.directs_of(connection, user.tenant, user.slug, mxid, limit, only)


async def _counts(
    connection: Connection, mxid: Mxid, listed: Sequence[ListedDirect]
) -> dict[RoomId, Unread]:
    return await unread.of(connection, mxid, {one.room_id: one.since_key for one in listed})


async def _unread_lines(
    connection: Connection, tenant: TenantId, mxid: Mxid, counts: Sequence[Unread]
) -> list[Line]:
    """Return the first unread messages of each room, oldest first."""
    places = [(one.room_id, one.read_key) for one in counts if one.unread_count]
    wanted = await direct_list.first_above(connection, tenant, places, MOST_UNREAD)
    parts = await reading.readable_of(connection, [room_id for room_id, _ in places], mxid)
    found = (await lines.by_id(connection, wanted)).values()
    return sorted(
        (line for line in found if line.sort_key in parts.get(line.room_id, EVERYTHING)),
        key=lambda line: line.sort_key,
    )


def _chat(
    one: ListedDirect, counts: Mapping[RoomId, Unread], messages: list[WebMessage]
) -> DirectChat:
    count = counts[one.room_id].unread_count
    return DirectChat(one.ref, one.room_id, one.other, messages, count)
