"""The hub: the table of subscribers in one process, and the way of entries to them.

Everything here happens on the event loop between two awaits, so a batch reaches all subscribers
in one state of the table. No subscriber has a task or a queue of its own: the sweep writes to its
socket, and who falls too far behind is cut off and comes back with a cursor.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set

from ..core.entry import LogEntry
from ..core.ids import Mxid, Position, RoomId, TenantId
from ..telemetry import STREAMS_CLOSED
from .audience import Audience
from .change import Change
from .frames import Frame, bye, cursor_at, heartbeat, own_frame, room_frames, room_removed
from .milestones import Milestones
from .reasons import CloseReason
from .recent import Recent
from .shares import Share, of_each, of_one_room, of_rooms
from .subscriber import Phase, Subscriber
from .sweep import SLICE, Sweep
from .table import NOBODY, Table

Outgoing = defaultdict[Subscriber, list[Frame]]

_AFTER_ALL = Position((1 << 63) - 1)


class Hub(Table):
    """All open streams of this process, and what they get.

    Args:
        epoch: The log's epoch, part of every cursor.
        position: The end of the log when the hub starts: live begins after it.
        buffer_bytes: How far a reader may fall behind before it is cut off.
        behind_seconds: How long it may.
        parked_frames: How many frames may wait for one reader's replay to end.
        heartbeat: Seconds between two heartbeats of a stream.

    Attributes:
        dispatched: Called with each piece of the log, after it was delivered.
        greeting: Called with a stream's rooms when it becomes live, for what is true in them now
            and is not in the log.
        behind: Called when somebody waits for more of the log than has been delivered.
    """

    dispatched: Callable[[Sequence[LogEntry]], None]
    greeting: Callable[[Collection[RoomId]], Sequence[Frame]]
    behind: Callable[[], None]

    def __init__(
        self,
        epoch: str,
        position: Position,
        *,
        buffer_bytes: int = 1 << 20,
        behind_seconds: float = 30.0,
        parked_frames: int = 2000,
        heartbeat: float = 20.0,
    ) -> None:
        super().__init__(slots=max(1, round(heartbeat)))
        self.epoch = epoch
        self.position = position
        self.heartbeat = heartbeat
        self._parked_frames = parked_frames
        self._behind_seconds = behind_seconds
        self._sweep = Sweep(self._too_slow, buffer_bytes)
        self.recent = Recent(position)
        self._milestones = Milestones()
        self.closing = False
        self.behind = lambda: None
        self.dispatched = lambda _: None
        self.greeting = lambda _: ()

    # Coming and going

    def attach(
        self, subscriber: Subscriber, rooms: Iterable[RoomId], known_at: Position
    ) -> Position:
        """Let a stream follow its rooms, as they were read from the log at ``known_at``.

        Returns:
            The position up to which the stream must be replayed; later entries come live.
        """
        subscriber.rooms = set(rooms)
        for position, room_id, joined in subscriber.effects:
            if position > known_at:
                (subscriber.rooms.add if joined else subscriber.rooms.discard)(room_id)
        subscriber.rooms = set(filter(subscriber.wants, subscriber.rooms))
        subscriber.effects = ()
        subscriber.phase = Phase.REPLAYING
        for room_id in subscriber.rooms:
            self._follow(subscriber, room_id)
        subscriber.floor = max(known_at, self.position)
        return subscriber.floor

    async def go_live(self, subscriber: Subscriber) -> None:
        """End a stream's replay: what was parked is written, and all else comes directly."""
        await self.reached(subscriber.floor)
        if subscriber.phase is not Phase.REPLAYING:
            return
        parked, subscriber.parked = subscriber.parked, ()
        written = [frame for _, frame in parked]
        greeting = self.greeting(subscriber.rooms)
        if greeting and written:
            # What has become true since the stream came was parked, and is not said twice.
            told = {frame.data for frame in written}
            greeting = [one for one in greeting if one.data not in told]
        subscriber.write([*written, *greeting])
        subscriber.phase = Phase.LIVE
        for room_id in subscriber.rooms:
            self._rooms[room_id].promote(subscriber)

    def follow(self, subscriber: Subscriber, rooms: Iterable[RoomId], moves: int) -> bool:
        """Let a live stream follow rooms again that it has given up.

        Args:
            subscriber: The stream.
            rooms: Rooms in which its user is, as they were read from the log; what was read is
                delivered.
            moves: How many comings and goings the stream had seen before they were read.

        Returns:
            Whether that is still so. Where the user has come or gone meanwhile, nothing is done.
        """
        if subscriber.moves != moves:
            return False
        if subscriber.phase is Phase.LIVE:
            new = [one for one in rooms if one not in subscriber.rooms]
            for room_id in new:
                subscriber.rooms.add(room_id)
                self._follow(subscriber, room_id)
            if new:
                self._flush({subscriber: self.greeting(new)})
        return True

    def change(self, subscriber: Subscriber, change: Change, rooms: Set[RoomId]) -> None:
        """Let a live stream bring other rooms or kinds of frames from here on, and say so.

        Args:
            subscriber: The stream.
            change: What it brings.
            rooms: The rooms in which its user is, of those that it wants.
        """
        self._sweep.settle(subscriber)
        if subscriber.phase is not Phase.LIVE:
            return
        for room_id in subscriber.rooms - rooms:
            self._unfollow(subscriber, room_id)
        kept = [self._rooms[room_id] for room_id in subscriber.rooms]
        for audience in kept:
            audience.discard(subscriber)
        subscriber.wire, subscriber.wanted = change.wire, change.rooms
        for audience in kept:
            audience.add(subscriber)
        new = rooms - subscriber.rooms
        subscriber.rooms |= new
        for room_id in new:
            self._follow(subscriber, room_id)
        answer = change.answer(subscriber.rooms, cursor_at(self.epoch, self.position))
        self._flush({subscriber: [answer, *self.greeting(new)]})

    def unfollow(self, subscriber: Subscriber, room_id: RoomId) -> None:
        """Let a live stream give up a room, until it follows it again or its user comes anew."""
        if subscriber.phase is Phase.LIVE:
            self._unfollow(subscriber, room_id)

    def close(self, subscriber: Subscriber, reason: CloseReason) -> None:
        """End a stream and tell its reader why."""
        if subscriber.phase is Phase.CLOSED:
            return
        subscriber.reason = reason
        self._sweep.settle(subscriber)
        subscriber.write([bye(reason)])
        STREAMS_CLOSED.labels(reason.value).inc()
        self.leave(subscriber)

    def close_oldest(self, mxid: Mxid, reason: CloseReason) -> None:
        """End the stream that a user has had open the longest."""
        oldest = min(self._users.get(mxid, ()), key=lambda one: one.number, default=None)
        if oldest is not None:
            self.close(oldest, reason)

    def close_user(self, mxid: Mxid, reason: CloseReason) -> None:
        """End all streams of a user."""
        for subscriber in list(self._users.get(mxid, ())):
            self.close(subscriber, reason)

    def _too_slow(self, subscriber: Subscriber) -> None:
        self.close(subscriber, CloseReason.SLOW_READER)

    def expel(self, mxid: Mxid, room_id: RoomId) -> None:
        """Let a user's streams follow a room no longer, before the log shows the user out."""
        outgoing: Outgoing = defaultdict(list)
        for subscriber in self._users.get(mxid, ()):
            subscriber.moves += 1
            if subscriber.phase is Phase.ENTERING:
                # Whatever is read of the rooms now may be older than this.
                subscriber.note(_AFTER_ALL, room_id, False)
            elif room_id in subscriber.rooms:
                self._unfollow(subscriber, room_id)
                self._offer(subscriber, None, room_removed(mxid, room_id, "removed"), outgoing)
        self._flush(outgoing)

    def close_all(self, reason: CloseReason) -> None:
        """End all streams, and take no more."""
        self.closing = True
        for mxid in list(self._users):
            self.close_user(mxid, reason)

    # Delivery

    def dispatch(self, batch: Sequence[LogEntry], position: Position) -> None:
        """Deliver a piece of the log that follows what was delivered before.

        Args:
            batch: Entries in log order.
            position: The end of the piece: everything up to it is in the batch, or concerns
                nobody.
        """
        self.recent.add(batch)
        if any(map(self._is_particular, batch)):
            outgoing: Outgoing = defaultdict(list)
            for logged in batch:
                self._route(logged, outgoing)
            self.position = position
            self._flush(outgoing)
        else:
            self.position = position
            self._broadcast(batch)
        self._milestones.passed(position)
        self.dispatched(batch)

    async def keep_up(self) -> None:
        """Wait, if there is too much under way, until it has reached its readers."""
        await self._sweep.keep_up()

    def to_room(self, room_id: RoomId, frame: Frame) -> None:
        """Deliver a frame that is not in the log (typing, receipts) to those in a room."""
        audience = self._rooms.get(room_id)
        if audience is None:
            return
        self._park(audience.waiting, None, (frame,))
        self._send(of_one_room(audience, (frame,)))

    def to_rooms(
        self, tenant: TenantId, room_ids: Iterable[RoomId], frame: Frame, but: Iterable[RoomId] = ()
    ) -> int:
        """Deliver a frame that is not in the log once to each stream of several rooms.

        Args:
            tenant: Whose streams: a room that another tenant got by mistake makes no leak.
            room_ids: Their rooms.
            frame: The frame.
            but: Who follows one of these is left out.

        Returns:
            How many streams got it.
        """
        concerned = {one for room in room_ids for one in self._rooms.get(room, NOBODY)}
        concerned.difference_update(*(self._rooms.get(one, NOBODY) for one in but))
        outgoing: Outgoing = defaultdict(list)
        for subscriber in concerned:
            if subscriber.tenant == tenant:
                self._offer(subscriber, None, frame, outgoing)
        self._flush(outgoing)
        return len(outgoing)

    def to_user(self, mxid: Mxid, frame: Frame) -> None:
        """Deliver a frame that is not in the log to one user's streams."""
        outgoing: Outgoing = defaultdict(list)
        for subscriber in self._users.get(mxid, ()):
            if subscriber.phase is not Phase.ENTERING:
                self._offer(subscriber, None, frame, outgoing)
        self._flush(outgoing)

    def tell(self, subscriber: Subscriber, frame: Frame) -> None:
        """Deliver a frame to one stream, once its rooms are known."""
        if subscriber.phase in (Phase.REPLAYING, Phase.LIVE):
            outgoing: Outgoing = defaultdict(list)
            self._offer(subscriber, None, frame, outgoing)
            self._flush(outgoing)

    async def beat(self) -> None:
        """Send heartbeats for ever: each second to one slot of the streams."""
        slot = 0
        pause = self.heartbeat / len(self._slots)
        while True:
            await asyncio.sleep(pause)
            slot = (slot + 1) % len(self._slots)
            frames = (heartbeat(cursor_at(self.epoch, self.position)),)
            streams = list(self._slots[slot])
            live = [one for one in streams if one.phase is Phase.LIVE]
            self._sweep.send(of_each(dict.fromkeys(live, frames)))
            self._cut_behind(streams)

    def _cut_behind(self, streams: Iterable[Subscriber]) -> None:
        """End those who have not caught up for too long, however little it is."""
        since = time.monotonic() - self._behind_seconds
        for one in streams:
            if 0 < one.sink.behind_since < since:
                self._too_slow(one)

    def _is_particular(self, logged: LogEntry) -> bool:
        """Whether an entry is not simply for all in its room."""
        effect = logged.effect
        return logged.readers is not None or (
            effect is not None and effect.user.mxid in self._users
        )

    def _broadcast(self, batch: Sequence[LogEntry]) -> None:
        """Deliver entries each of which is for all in its room, and changes nobody's rooms."""
        news: dict[RoomId, tuple[Audience, list[tuple[int, Frame]]]] = {}
        for number, logged in enumerate(batch):
            audience = self._rooms.get(logged.entry.room_id)
            if audience is not None:
                frames = list(room_frames(logged, cursor_at(self.epoch, logged.position)))
                _, known = news.setdefault(logged.entry.room_id, (audience, []))
                known += [(number, frame) for frame in frames]
                self._park(audience.waiting, logged.position, frames)
        # Small rooms first: they do not wait for large ones.
        self._send(of_rooms(sorted(news.values(), key=lambda one: len(one[0]))))

    def _route(self, logged: LogEntry, outgoing: Outgoing) -> None:
        cursor = cursor_at(self.epoch, logged.position)
        own = self._note_effect(logged)
        if own:
            frame = own_frame(logged, cursor)
            for subscriber in own:
                if frame is not None:
                    self._offer(subscriber, logged.position, frame, outgoing)
        room = self._rooms.get(logged.entry.room_id)
        if room:
            frames = list(room_frames(logged, cursor))
            for subscriber in room if logged.readers is None else _among(room, logged.readers):
                for frame in frames:
                    self._offer(subscriber, logged.position, frame, outgoing)

    def _note_effect(self, logged: LogEntry) -> list[Subscriber]:
        """Follow or unfollow the room for the person who came in or went out; return streams."""
        effect, room_id = logged.effect, logged.entry.room_id
        if effect is None:
            return []
        concerned = []
        for subscriber in self._users.get(effect.user.mxid, ()):
            if subscriber.tenant != logged.tenant:
                continue
            subscriber.moves += 1
            if subscriber.phase is Phase.ENTERING:
                subscriber.note(logged.position, room_id, effect.joined)
            elif logged.position > subscriber.floor:
                if not effect.joined:
                    self._unfollow(subscriber, room_id)
                elif subscriber.wants(room_id):
                    subscriber.rooms.add(room_id)
                    self._follow(subscriber, room_id)
                concerned.append(subscriber)
        return concerned

    def _offer(
        self, subscriber: Subscriber, position: Position | None, frame: Frame, outgoing: Outgoing
    ) -> None:
        if subscriber.phase is Phase.LIVE:
            outgoing[subscriber].append(frame)
        elif position is None or position > subscriber.floor:
            subscriber.park(position, (frame,))
            outgoing.setdefault(subscriber, [])  # looked at once, when its limit is checked

    def _flush(self, outgoing: Mapping[Subscriber, Sequence[Frame]]) -> None:
        """Write to everybody; equal frames on one kind of wire are joined once."""
        self._cut_parked([one for one, frames in outgoing.items() if not frames])
        self._send(of_each({one: frames for one, frames in outgoing.items() if frames}))

    def _send(self, shares: list[Share]) -> None:
        urgent = 0
        for share in shares:
            if urgent + len(share.readers) > SLICE:
                break
            urgent += len(share.readers)
        self._sweep.send(shares, urgent)

    def _park(
        self, waiting: Collection[Subscriber], position: Position | None, frames: Sequence[Frame]
    ) -> None:
        for subscriber in waiting:
            if position is None or position > subscriber.floor:
                subscriber.park(position, frames)
        if waiting:
            self._cut_parked(list(waiting))

    def _cut_parked(self, waiting: Iterable[Subscriber]) -> None:
        for subscriber in waiting:
            if len(subscriber.parked) > self._parked_frames:
                self._too_slow(subscriber)

    async def reached(self, position: Position) -> None:
        """Wait until everything up to a position has been delivered."""
        if self.position < position:
            self.behind()
            await self._milestones.wait(position)


def _among(room: Iterable[Subscriber], readers: frozenset[Mxid]) -> list[Subscriber]:
    return [subscriber for subscriber in room if subscriber.mxid in readers]
