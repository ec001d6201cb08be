"""Mentions while a batch goes into the log: whom its messages mean to reach."""

from __future__ import annotations

import structlog

from ..core.events import Event
from ..core.ids import EventId, Mxid, RoomId
from ..core.mentioning import NOBODY, Mentioned, mentioned
from ..storage import mentions
from ..storage.database import Connection
from .powers import levels_in

log = structlog.get_logger(__name__)


class Mentioning:
    """The mentions of a batch. Who may not reach everybody at once, does not."""

    def __init__(self) -> None:
        self._found: list[tuple[Event, Mentioned]] = []

    def add(self, event: Event) -> None:
        """Note whom a message means to reach."""
        try:
            found = mentioned(event.type, bytes(event.content))
        except Exception:
            # Whatever a stranger put into a room: it must not keep the log from all others.
            log.exception("mentions.crashed", room=event.room_id, event_id=event.event_id)
            return
        if found != NOBODY:
            self._found.append((event, found))

    async def write(self, connection: Connection) -> None:
        """Write what was noted. The batch's own entries, members and state are there already."""
        if not self._found:
            return
        reaching = await self._reaching(connection)
        meant: list[tuple[EventId, Mxid]] = []
        for event, found in self._found:
            everybody = found.room and (event.room_id, event.sender) in reaching
            people = (mentions.EVERYBODY,) if everybody else found.people
            meant += [(event.event_id, one) for one in people if one != event.sender]
        await mentions.insert(connection, meant)

    async def _reaching(self, connection: Connection) -> set[tuple[RoomId, Mxid]]:
        """Return who may reach everybody, of those who mean to."""
        asked = {(event.room_id, event.sender) for event, found in self._found if found.room}
        levels = {one: await levels_in(connection, one) for one in {room for room, _ in asked}}
        return {(room, one) for room, one in asked if levels[room].may_mention_room(one)}
