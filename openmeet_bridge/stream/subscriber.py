"""A subscriber: one open stream of one user."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import Enum, auto
from typing import Protocol

from ..core.entry import Person
from ..core.ids import Mxid, Position, RoomId, TenantId
from .frames import Frame, Wire
from .reasons import CloseReason


class Sink(Protocol):
    """The socket below a stream, as far as the hub needs it."""

    def write(self, data: bytes) -> None:
        """Hand bytes to the socket without waiting."""

    def buffered(self) -> int:
        """Return how many bytes wait because the reader is slower than the writer."""

    async def drain(self) -> None:
        """Wait until the reader has caught up enough for more."""


class Phase(Enum):
    """Where a stream stands between its opening and its end."""

    ENTERING = auto()  # its rooms are not known yet
    REPLAYING = auto()  # what it missed is being written; what happens meanwhile is parked
    LIVE = auto()
    CLOSED = auto()


class Subscriber:
    """One open stream.

    Attributes:
        rooms: The rooms whose entries it gets.
        floor: Position up to which entries reach it by replay, and never live.
        parked: Frames that came during replay, ``(position or None, frame)``.
        effects: Own comings and goings seen while entering, ``(position, room, joined)``.
        moves: How many own comings and goings have been seen.
    """

    __slots__ = (
        "closed",
        "effects",
        "floor",
        "moves",
        "mxid",
        "number",
        "parked",
        "person",
        "phase",
        "reason",
        "rooms",
        "sink",
        "slot",
        "tenant",
        "wire",
    )

    def __init__(self, tenant: TenantId, person: Person, sink: Sink, wire: Wire) -> None:
        self.tenant = tenant
        self.person = person
        self.mxid: Mxid = person.mxid
        self.sink = sink
        self.wire = wire
        self.phase = Phase.ENTERING
        self.rooms: set[RoomId] = set()
        self.floor = Position(0)
        self.parked: list[tuple[Position | None, Frame]] = []
        self.effects: list[tuple[Position, RoomId, bool]] = []
        self.moves = 0
        self.closed = asyncio.Event()
        self.reason: CloseReason | None = None
        self.number = 0
        self.slot = 0

    def write(self, frames: Sequence[Frame]) -> None:
        """Write frames to the socket, as one write."""
        if frames and self.phase is not Phase.CLOSED:
            self.sink.write(self.wire.join(frames))
