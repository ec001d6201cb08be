"""Ingest: what the homeserver sends becomes entries of the log and the projections beside it.

There is one way in. A batch is written in one SQL transaction, and only then does the caller
answer; whatever happened before is undone as a whole, and whatever comes twice is kept once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import msgspec
import structlog

from ..core.cursor import SORT_KEY_STEP
from ..core.events import (
    CREATE,
    HISTORY_VISIBILITY,
    KEPT_STATE,
    MEMBER,
    Event,
    is_soft_failed,
    portal_mark,
)
from ..core.ids import EventId, Mxid, PortalKind, PortalRef, Position, RoomId, TenantId
from ..core.naming import Naming
from ..core.placing import place
from ..storage import directory, event_log, outbox, quarantine, rooms, visibility
from ..storage.database import UNKEEPABLE, Connection, Database
from ..storage.event_log import Found, Row
from ..telemetry import INGESTED, QUARANTINED
from .counting import Counting
from .drift import Drift
from .memberships import Memberships
from .relating import Relating

log = structlog.get_logger(__name__)

PUSH = "push"
REPAIR = "repair"

Source = str
Confirmed = list[outbox.Sent]
Read = list[tuple[RoomId, Mxid]]
Grown = Callable[[Position, Collection[str]], None]


class Ingest:
    """Appends events to the log.

    Args:
        database: Where the log is.
        naming: Tells the bot, whose rooms are portals.
        grown: Called after each commit with the new end of the log, and whom that concerns: rooms,
            and users who came or went. With nobody named, it concerns everybody.
        confirmed: Called after each commit with the sends whose echo came in.
        drifted: Called after each commit that wanted jobs, because somebody changed a room.
        read: Called after each commit with those who have read further by what they said.
    """

    def __init__(
        self,
        database: Database,
        naming: Naming,
        grown: Grown,
        confirmed: Callable[[Confirmed], None],
        drifted: Callable[[], None] = lambda: None,
        read: Callable[[Read], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._naming = naming
        self._grown = grown
        self._confirmed = confirmed
        self._drifted = drifted
        self._read = read

    async def push(
        self, txn_id: str, events: Sequence[Event], bad: Sequence[tuple[bytes, str]]
    ) -> int:
        """Append what a transaction brought; return how many events were new.

        Args:
            txn_id: The transaction's id; a hint for people, duplicates are told by event id.
            events: The events, in the order in which they came.
            bad: Events that could not be read, ``(raw, reason)``: set aside.

        Raises:
            Unavailable: The database is away and nothing was kept.
        """
        visible = [event for event in events if not is_soft_failed(event)]
        try:
            return await self._append(txn_id, visible, bad)
        except (*UNKEEPABLE, RecursionError) as error:
            # One event that cannot be kept must not stop the others, nor all that comes after:
            # the homeserver would send this transaction again for ever.
            log.error("transaction.split", txn_id=txn_id, error=str(error))
            return await self._append_singly(txn_id, visible, bad)

    async def _append_singly(
        self, txn_id: str, events: Sequence[Event], bad: Sequence[tuple[bytes, str]]
    ) -> int:
        new = await self._append(txn_id, [], bad)
        for event in events:
            try:
                new += await self._append(txn_id, [event], ())
            except (*UNKEEPABLE, RecursionError) as error:
                reason = f"{type(error).__name__}: {error}"
                new += await self._append(txn_id, [], [(msgspec.json.encode(event), reason)])
        return new

    async def _append(
        self, txn_id: str, events: Sequence[Event], bad: Sequence[tuple[bytes, str]]
    ) -> int:
        async with self._database.transaction() as connection:
            batch = await _Batch.begin(connection, self._naming, PUSH)
            if bad:
                await quarantine.put(connection, txn_id, bad)
            for event in await batch.unknown(events):
                batch.add(event)
            await batch.commit()
        QUARANTINED.inc(len(bad))
        self._announce(batch)
        return len(batch.rows)

    async def repair(self, room_id: RoomId, span: Sequence[Event], fetched_at: Position) -> int:
        """Put a span of a room, fetched from the homeserver in true order, into the log.

        Args:
            room_id: The room.
            span: Everything that happened in the room from some moment up to the present.
            fetched_at: The end of the log just before the span was fetched: what came later
                than that and is not part of the span stands behind it.

        Returns:
            How many entries were added or put in their right place.

        Raises:
            Unavailable: The database is away and nothing was kept.
        """
        by_id = {event.event_id: event for event in span if not is_soft_failed(event)}
        if await self._is_whole(room_id, list(by_id)):
            return 0
        async with self._database.transaction() as connection:
            batch = await _Batch.begin(connection, self._naming, REPAIR)
            keys = await event_log.sort_keys(connection, room_id, list(by_id))
            lower, ceiling = await event_log.bounds(connection, room_id, list(by_id), fetched_at)
            placed = place(list(by_id), keys, lower, ceiling)
            await batch.unknown([by_id[event_id] for event_id in placed if event_id not in keys])
            for event_id, key in placed.items():
                if event_id in keys:
                    batch.move(by_id[event_id], key)
                else:
                    batch.add(by_id[event_id], key)
            await batch.commit()
        self._announce(batch)
        return len(placed)

    async def _is_whole(self, room_id: RoomId, span: Sequence[EventId]) -> bool:
        """Whether the log has a span in its true order: then nobody need be kept from appending."""
        async with self._database.connection() as connection:
            keys = await event_log.sort_keys(connection, room_id, span)
        ordered = [keys.get(event_id, 0) for event_id in span]
        return len(keys) == len(span) and ordered == sorted(ordered)

    def _announce(self, batch: _Batch) -> None:
        INGESTED.labels(source=batch.source).inc(len(batch.rows))
        if batch.confirmed:
            self._confirmed(batch.confirmed)
        if batch.position > batch.began:
            self._grown(batch.position, batch.topics)
        if batch.drifted:
            self._drifted()
        if batch.counting.read:
            self._read(batch.counting.read)


class _Batch:
    """Entries on their way into the log, inside one SQL transaction."""

    def __init__(
        self, connection: Connection, naming: Naming, source: Source, position: Position
    ) -> None:
        self.source = source
        self.began = self.position = position
        self.rows: list[Row] = []
        self.moves: list[tuple[EventId, Position, int]] = []
        self.confirmed: Confirmed = []
        self.drifted = False
        self.counting = Counting(naming.bot)
        self._topics: set[str] = set()
        self._adopted = False
        self._connection = connection
        self._naming = naming
        self._drift = Drift(naming.bot)
        self._found: dict[EventId, Found] = {}
        self._members = Memberships()
        self._relating = Relating()
        self._state: dict[tuple[RoomId, str, str], rooms.State] = {}
        self._moved_state: set[tuple[RoomId, str, str]] = set()

    @classmethod
    async def begin(cls, connection: Connection, naming: Naming, source: Source) -> _Batch:
        """Start a batch: from here to the end of the transaction nobody else appends."""
        return cls(connection, naming, source, await event_log.lock(connection))

    async def unknown(self, events: Sequence[Event]) -> list[Event]:
        """Return the events that the log does not have, each once, and load what they touch."""
        unique = {event.event_id: event for event in events}
        if not unique:
            return []
        await self._bind_portals(events)
        pairs = [(event.event_id, event.room_id) for event in unique.values()]
        self._found = await event_log.look_up(self._connection, pairs)
        new = [event for event_id, event in unique.items() if not self._found[event_id].known]
        await self._members.load(self._connection, new)
        await self._relating.load(self._connection, new)
        return new

    async def _bind_portals(self, events: Sequence[Event]) -> None:
        # The room's very first event names its portal. Only the bot's word counts: anybody can
        # make a room with such a mark.
        for event in events:
            if event.type != CREATE or event.sender != self._naming.bot:
                continue
            mark = portal_mark(event)
            if mark and mark.kind in PortalKind.__members__.values():
                ref = PortalRef(TenantId(mark.tenant), PortalKind(mark.kind), mark.slug)
                # The portal may have got another name while its room was made.
                ref = await directory.heir(self._connection, ref, self._naming.alias(ref))
                if await rooms.bind(self._connection, event.room_id, ref):
                    # What overtook the first event, or outlived it, has waited for this.
                    end = await event_log.adopt(self._connection, event.room_id, ref.tenant)
                    # Who came in meanwhile is not known here.
                    self._adopted = self._adopted or end > self.position
                    self.position = end

    @property
    def topics(self) -> Collection[str]:
        """Whom this batch concerns; nobody named means everybody."""
        return () if self._adopted else self._topics

    def add(self, event: Event, sort_key: int | None = None) -> None:
        """Append an event; without a sort key it comes last in its room."""
        self.position = Position(self.position + 1)
        key = self.position * SORT_KEY_STEP if sort_key is None else sort_key
        found = self._found[event.event_id]
        part = self._relating.add(event, self.position, found)
        effect = self._members.apply(event, self.position, key)
        row = part.row(event, found, self.position, key, effect=effect, source=self.source)
        self.rows.append(row)
        self.counting.add(event, row)
        self._concern(event)
        self._note_state(row)

    def move(self, event: Event, sort_key: int | None) -> None:
        """Put an entry that the log has already in its right place."""
        self.position = Position(self.position + 1)
        key = self.position * SORT_KEY_STEP if sort_key is None else sort_key
        self.moves.append((event.event_id, self.position, key))
        self.counting.move(event)
        self._concern(event)
        if event.state_key is not None:
            self._moved_state.add((event.room_id, event.type, event.state_key))
            self._drift.see(event.room_id, event.type, event.state_key, event.sender, 0)

    async def commit(self) -> None:
        """Write the rows and everything that follows from them."""
        if self.moves:
            await event_log.move(self._connection, self.moves)
        if self.rows:
            await event_log.insert(self._connection, self.rows, self.position)
            await self._project()
        if self._moved_state:
            self.position = await self._members.settle_moved(
                self._connection, self._moved_state, self.position
            )
        if self.moves:
            await event_log.advance(self._connection, self.position)
        await self.counting.write(self._connection, self._relating.redacted, self._members.rooms)
        self.drifted = await self._drift.want_jobs(self._connection)

    async def _project(self) -> None:
        await self._relating.write(self._connection)
        if self._members.changed:
            await rooms.save_members(self._connection, list(self._members.changed.values()))
        if self._state:
            await rooms.save_state(self._connection, list(self._state.values()))
            told = [room for room, kind, _ in self._state if kind in (CREATE, HISTORY_VISIBILITY)]
            if told:
                await visibility.note(self._connection, told)
        echoes = [row for row in self.rows if row.client_txn_id is not None]
        if echoes:
            await self._confirm(echoes)

    async def _confirm(self, echoes: Sequence[Row]) -> None:
        self.confirmed = await outbox.confirm(
            self._connection, [(row.sender, row.client_txn_id, row.event_id) for row in echoes]
        )

    def _concern(self, event: Event) -> None:
        self._topics.add(event.room_id)
        if event.type == MEMBER and event.state_key is not None:
            # Somebody who comes in may have a stream where nobody else reads this room.
            self._topics.add(event.state_key)

    def _note_state(self, row: Row) -> None:
        if row.state_key is None:
            return
        self._drift.see(row.room_id, row.type, row.state_key, row.sender, row.effect)
        if row.type not in KEPT_STATE:
            return
        key = (row.room_id, row.type, row.state_key)
        present = self._state.get(key)
        if present is None or present.sort_key < row.sort_key:
            self._state[key] = rooms.State(*key, row.sender, row.sort_key, row.content)
