"""A subscriber: one open stream of one user."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum, auto
from typing import Protocol

from ..core.entry import Person
from ..core.ids import Mxid, Position, RoomId, TenantId
from .frames import Frame, Wire
from .reasons import CloseReason


class Sink(Protocol):
    """The socket below a stream, as far as the hub needs it."""

    @property
    def fd(self) -> int:
        """A descriptor to which bytes may be written at once, or -1: then they go by ``write``."""

    @property
    def behind_since(self) -> float:
        """Since when bytes wait, in seconds of the monotonic clock; 0 where none do."""

    def write(self, data: bytes) -> None:
        """Hand bytes to the socket without waiting."""

    def keep(self, data: bytes, sent: int) -> None:
        """Keep what the descriptor has not taken of what was written to it."""

    def fail(self) -> None:
        """Note that the descriptor takes nothing any more."""

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
        wanted: Rooms of which it wants to hear, whether or not its user is in them; None: of all.
        floor: Position up to which entries reach it by replay, and never live.
        parked: Frames that came during replay, ``(position or None, frame)``.
        effects: Own comings and goings seen while entering, ``(position, room, joined)``.
        owed: Frames that are on their way to it.
        moves: How many own comings and goings have been seen.
        due: All that are looked at in the same second whether they must end; it is among them.
        ends_at: When it ends whatever happens, in seconds of the monotonic clock.
        ends_for: Why it does then.
        address: From where it comes; None where that does not count.
        ended: Called once, when the stream is out of the table; ``reason`` says why, where the
            bridge has ended it.
    """

    __slots__ = (
        "address",
        "due",
        "effects",
        "ended",
        "ends_at",
        "ends_for",
        "floor",
        "moves",
        "mxid",
        "number",
        "owed",
        "parked",
        "person",
        "phase",
        "reason",
        "rooms",
        "sink",
        "slot",
        "tenant",
        "wanted",
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
        self.wanted: frozenset[RoomId] | None = None
        self.floor = Position(0)
        # For most there is never anything in these, and lists would be kept for all.
        self.parked: list[tuple[Position | None, Frame]] | tuple[()] = ()
        self.effects: list[tuple[Position, RoomId, bool]] | tuple[()] = ()
        self.moves = 0
        self.ended: Callable[[], None] = _nothing
        self.reason: CloseReason | None = None
        self.owed: Sequence[Frame] | None = None
        self.due: set[Subscriber] | None = None
        self.ends_at = 0.0
        self.ends_for = CloseReason.TOKEN_EXPIRED
        self.address: str | None = None
        self.number = 0
        self.slot = 0

    def wants(self, room_id: RoomId) -> bool:
        """Whether it wants to hear of a room in which its user is."""
        return self.wanted is None or room_id in self.wanted

    def park(self, position: Position | None, frames: Iterable[Frame]) -> None:
        """Keep frames that come during its replay; their position, where they have one."""
        if isinstance(self.parked, tuple):
            self.parked = []
        self.parked += [(position, frame) for frame in frames]

    def note(self, position: Position, room_id: RoomId, joined: bool) -> None:
        """Note a coming or going of its user's that is seen before its rooms are known."""
        if isinstance(self.effects, tuple):
            self.effects = []
        self.effects.append((position, room_id, joined))

    def write(self, frames: Sequence[Frame]) -> None:
        """Write frames to the socket, as one write; nothing where its wire leaves them all out."""
        if self.phase is not Phase.CLOSED and (data := self.wire.join(frames)):
            self.sink.write(data)


def _nothing() -> None:
    """Nobody waits for the end."""
