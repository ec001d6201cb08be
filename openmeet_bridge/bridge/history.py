"""History that is older than the log: rooms that were there before the bridge.

It is fetched when somebody reads so far back, a piece at a time, and kept: the next one who reads
it causes no request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import structlog

from ..core.events import HISTORY_VISIBILITY, UNREADABLE, Event
from ..core.ids import Mxid, RoomId
from ..core.visibility import Visibility, visibility_of
from ..matrix.errors import Refused, TokenRefused
from ..matrix.homeserver import Homeserver
from ..matrix.transactions import decode_events
from ..storage import history, visibility
from ..storage.database import UNKEEPABLE, Connection, Database
from ..storage.history import Mark
from ..telemetry import INGESTED
from . import history_piece
from .turns import Turns

log = structlog.get_logger(__name__)

PIECE = 250
"""Most events of one request."""

_OLDEST = 5
"""As many of the oldest known events are looked up until the homeserver knows one."""


class _Before(msgspec.Struct):
    """What a state event says of what held before it."""

    prev_content: msgspec.Raw | None = None
    replaces_state: Any = None


class _State(msgspec.Struct):
    type: str
    content: msgspec.Raw


class History:
    """Fetches what is older than the log.

    Args:
        database: The log.
        homeserver: Has the rooms from their beginning.
        bot: Is in every room, and asks.
        piece: Most events of one request.
    """

    def __init__(
        self, database: Database, homeserver: Homeserver, bot: Mxid, *, piece: int = PIECE
    ) -> None:
        self._database = database
        self._homeserver = homeserver
        self._bot = bot
        self._piece = piece
        self._turns = Turns()

    async def extend(self, room_id: RoomId, seen: Mark) -> bool:
        """Fetch the next older piece of a room; return whether it makes sense to look again.

        Who asks while another one does so waits, and has what that one has fetched.

        Args:
            room_id: The room.
            seen: How far back the log went when that was too little.

        Raises:
            HomeserverError: The homeserver is away, or does not know us.
            Unavailable: The database is away.
        """
        async with self._turns.of(room_id):
            try:
                return await self._extend(room_id, seen)
            except TokenRefused:
                raise
            except Refused as error:
                # The bot was taken out of the room, it may be.
                log.warning("history.refused", room=room_id, error=str(error))
                return False

    async def _extend(self, room_id: RoomId, seen: Mark) -> bool:
        async with self._database.connection() as connection:
            mark = await history.get(connection, room_id)
        if mark != seen:
            return True
        if mark.token is None:
            mark = await self._begin(room_id, mark)
        if mark.complete:
            return False
        page = await self._page(room_id, mark)
        if page is None:  # The homeserver does not know its own token any more.
            async with self._database.connection() as connection:
                await history.put(connection, room_id, replace(mark, token=None))
            return True
        events, token = page
        if first := _first_change(events):
            mark = replace(mark, visibility=_held_before(first))
        complete = token is None or token == mark.token
        await self._keep(room_id, events, replace(mark, token=token, complete=complete))
        return True

    async def _begin(self, room_id: RoomId, before: Mark) -> Mark:
        """Find out where the log's oldest event stands at the homeserver.

        Args:
            room_id: The room.
            before: What is known, where the homeserver has lost its place since.
        """
        async with self._database.connection() as connection:
            oldest = await history.oldest(connection, room_id, _OLDEST)
        mark = None
        for event_id, sort_key in oldest:
            try:
                found = await self._homeserver.context(room_id, event_id, self._bot)
            except TokenRefused:
                raise
            except Refused as error:
                if error.status != 404:
                    raise
                continue
            mark = Mark(found.start, _held(found.state), before.began or sort_key)
            break
        if mark is None:
            # With nothing to go on from, what is there may be all that is left of the room.
            log.warning("history.no_beginning", room=room_id)
            mark = replace(before, complete=True)
        async with self._database.transaction() as connection:
            await _put(connection, room_id, mark)
        return mark

    async def _page(self, room_id: RoomId, mark: Mark) -> tuple[list[Event], str | None] | None:
        """Fetch the next piece, the oldest event first, and how it goes on."""
        try:
            page = await self._homeserver.messages(
                room_id, self._bot, "b", mark.token, limit=self._piece
            )
        except TokenRefused:
            raise
        except Refused as error:
            if error.status != 400:
                raise
            log.warning("history.place_lost", room=room_id, error=str(error))
            return None
        decoded = decode_events(page.chunk, room_id)
        for _, reason in decoded.bad:
            log.warning("history.unreadable", room=room_id, reason=reason)
        return decoded.events[::-1], page.end

    async def _keep(self, room_id: RoomId, events: Sequence[Event], mark: Mark) -> None:
        try:
            async with self._database.transaction() as connection:
                new = await history_piece.keep(connection, room_id, events, self._bot, mark.began)
                await _put(connection, room_id, mark)
        except (*UNKEEPABLE, RecursionError) as error:
            # One event that cannot be kept must not hide all that is older.
            log.error("history.split", room=room_id, error=str(error))
            new = await self._keep_singly(room_id, events, mark)
        INGESTED.labels(source=history_piece.HISTORY).inc(new)
        log.info("history.fetched", room=room_id, entries=new, complete=mark.complete)

    async def _keep_singly(self, room_id: RoomId, events: Sequence[Event], mark: Mark) -> int:
        new = 0
        for event in reversed(events):
            try:
                async with self._database.transaction() as connection:
                    new += await history_piece.keep(
                        connection, room_id, [event], self._bot, mark.began
                    )
            except (*UNKEEPABLE, RecursionError) as error:
                log.error("history.unkeepable", event=event.event_id, error=str(error))
        async with self._database.transaction() as connection:
            await _put(connection, room_id, mark)
        return new


async def _put(connection: Connection, room_id: RoomId, mark: Mark) -> None:
    await history.put(connection, room_id, mark)
    await visibility.note(connection, [room_id])


def _held(state: Sequence[msgspec.Raw]) -> Visibility:
    """Return the visibility that a room's state names; ``shared`` where it names none."""
    for raw in state:
        try:
            one = msgspec.json.decode(raw, type=_State)
        except UNREADABLE:
            continue
        if one.type == HISTORY_VISIBILITY:
            return visibility_of(bytes(one.content))
    return Visibility.SHARED


def _first_change(events: Sequence[Event]) -> Event | None:
    changes = (one for one in events if one.type == HISTORY_VISIBILITY and one.state_key == "")
    return next(changes, None)


def _held_before(change: Event) -> Visibility | None:
    """Return the visibility before a change of it, as far as the homeserver says."""
    try:
        before = msgspec.json.decode(change.unsigned, type=_Before)
    except UNREADABLE:
        return None
    if before.prev_content is not None:
        return visibility_of(bytes(before.prev_content))
    return Visibility.SHARED if before.replaces_state is None else None
