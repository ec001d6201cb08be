"""Older history for tests: none that may be asked for, or an old room at a homeserver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from openmeet_bridge.bridge.history import History
from openmeet_bridge.core.ids import RoomId
from openmeet_bridge.matrix.answers import ContextAnswer, MessagesAnswer
from openmeet_bridge.matrix.errors import HomeserverUnavailable, Refused
from openmeet_bridge.matrix.homeserver import Homeserver
from openmeet_bridge.storage.database import Database

from .house import NAMING


class Untouched(History):
    """History of rooms that the log has from their beginning: nobody may ask for more."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, cast("Homeserver", None), NAMING.bot)


class OldRoom:
    """A homeserver with one room, in true order, the oldest event first.

    Attributes:
        calls: How often it was asked for what.
        away: Whether it does not answer.
        forgetful: Whether it does not know its own tokens any more.
    """

    def __init__(self, events: Sequence[dict[str, Any]], *, visibility: str = "shared") -> None:
        self.events = list(events)
        self.visibility = visibility
        self.calls: list[str] = []
        self.away = False
        self.forgetful = False

    def history(self, database: Database, piece: int) -> History:
        """As the bridge sees it."""
        return History(database, cast("Homeserver", self), NAMING.bot, piece=piece)

    async def context(self, room_id: RoomId, event_id: str, user_id: str) -> ContextAnswer:
        """Where an event stands."""
        self._asked("context")
        for index, event in enumerate(self.events):
            if event["event_id"] == event_id:
                content = {"history_visibility": self.visibility}
                state = [{"type": "m.room.history_visibility", "content": content}]
                return ContextAnswer(str(index), [_raw(one) for one in state])
        raise Refused(404, "M_NOT_FOUND", "Event not found.")

    async def messages(
        self, room_id: RoomId, user_id: str, dir: str, from_: str, limit: int
    ) -> MessagesAnswer:
        """A piece, the newest event first."""
        self._asked("messages")
        if self.forgetful:
            self.forgetful = False
            raise Refused(400, "M_UNKNOWN", "Invalid stream token")
        stop = int(from_)
        begin = max(0, stop - limit)
        chunk = [_raw(event) for event in reversed(self.events[begin:stop])]
        return MessagesAnswer(from_, str(begin) if begin else None, chunk)

    def _asked(self, what: str) -> None:
        self.calls.append(what)
        if self.away:
            raise HomeserverUnavailable("no answer")


def _raw(event: dict[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(event))
