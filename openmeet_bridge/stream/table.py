"""The table of streams: whose they are, and which rooms they follow."""

from __future__ import annotations

from collections.abc import Callable

from ..core.ids import Mxid, RoomId, TenantId
from ..telemetry import STREAMS
from .audience import Audience
from .subscriber import Phase, Subscriber

NOBODY = Audience()


class Table:
    """All open streams of this process.

    Args:
        slots: Into so many parts the streams are divided for heartbeats.

    Attributes:
        moved: Called with a user who has one stream more, or one less.
        begun: Called with a room (``!…``) that has its first reader here, or a user (``@…``) who
            has a first stream.
        over: Called with a room or a user that has none any more.
        left: Called with each stream that is out of the table.
    """

    moved: Callable[[Mxid], None]
    begun: Callable[[str], None]
    over: Callable[[str], None]
    left: Callable[[Subscriber], None]

    def __init__(self, slots: int) -> None:
        self._rooms: dict[RoomId, Audience] = {}
        self._users: dict[Mxid, tuple[Subscriber, ...]] = {}
        self._slots: list[set[Subscriber]] = [set() for _ in range(slots)]
        self._entered = 0
        self._count = 0
        self.moved = self.begun = self.over = lambda _: None
        self.left = lambda _: None

    @property
    def count(self) -> int:
        """How many streams are open."""
        return self._count

    def streams_of(self, mxid: Mxid) -> int:
        """Return how many streams a user has open."""
        return len(self._users.get(mxid, ()))

    def tenant_of(self, mxid: Mxid) -> TenantId | None:
        """Return the tenant of a user who has streams open."""
        return next((one.tenant for one in self._users.get(mxid, ())), None)

    def users(self) -> list[Mxid]:
        """Return who has streams open."""
        return list(self._users)

    def has_readers(self, room_id: RoomId) -> bool:
        """Whether anybody here follows a room."""
        return room_id in self._rooms

    def readers(self, room_id: RoomId) -> int:
        """Return how many streams follow a room."""
        return len(self._rooms.get(room_id, NOBODY))

    def people(self, room_id: RoomId) -> set[Mxid]:
        """Return whose streams follow a room."""
        return {one.mxid for one in self._rooms.get(room_id, NOBODY)}

    def enter(self, subscriber: Subscriber) -> None:
        """Add a stream whose rooms are not known yet: its own comings and goings are noted."""
        # Most have one stream, for which a set would be four times as large.
        streams = self._users.get(subscriber.mxid, ())
        self._users[subscriber.mxid] = (*streams, subscriber)
        if not streams:
            self.begun(subscriber.mxid)
        subscriber.number = self._entered
        subscriber.slot = self._entered % len(self._slots)
        self._entered += 1
        self._count += 1
        self._slots[subscriber.slot].add(subscriber)
        STREAMS.labels(subscriber.wire.name).inc()
        self.moved(subscriber.mxid)

    def leave(self, subscriber: Subscriber) -> None:
        """Take a stream out of the table. Harmless when it is out already."""
        if subscriber.phase is Phase.CLOSED:
            return
        for room_id in list(subscriber.rooms):
            self._unfollow(subscriber, room_id)
        subscriber.phase = Phase.CLOSED
        subscriber.parked = ()
        subscriber.owed = None
        streams = tuple(one for one in self._users[subscriber.mxid] if one is not subscriber)
        if streams:
            self._users[subscriber.mxid] = streams
        else:
            del self._users[subscriber.mxid]
            self.over(subscriber.mxid)
        self._slots[subscriber.slot].discard(subscriber)
        self._count -= 1
        STREAMS.labels(subscriber.wire.name).dec()
        self.left(subscriber)
        subscriber.ended()
        self.moved(subscriber.mxid)

    def _follow(self, subscriber: Subscriber, room_id: RoomId) -> None:
        audience = self._rooms.get(room_id)
        if audience is None:
            audience = self._rooms[room_id] = Audience()
            self.begun(room_id)
        audience.add(subscriber)

    def _unfollow(self, subscriber: Subscriber, room_id: RoomId) -> None:
        subscriber.rooms.discard(room_id)
        audience = self._rooms.get(room_id)
        if audience is not None:
            audience.discard(subscriber)
            if not audience:
                del self._rooms[room_id]
                self.over(room_id)
