"""What people by reference come to for one reader of a room into which others come as well.

Whoever comes knows nobody, so what a reader gets depends on who else reads in the same way. Here
somebody opens the room every minute, and closes it after ten.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from openmeet_bridge.core.entry import Person
from openmeet_bridge.core.ids import Mxid, TenantId
from openmeet_bridge.stream.audience import Audience
from openmeet_bridge.stream.frames import Frame
from openmeet_bridge.stream.people import ByReference
from openmeet_bridge.stream.shares import of_one_room
from openmeet_bridge.stream.subscriber import Phase, Subscriber

MINUTES = 60
"""As many parts of the frames pass in a minute each."""
STAYING = 10


class Unread:
    """A socket to which nothing is written: only what would be is counted."""

    fd = -1
    behind_since = 0.0

    def write(self, data: bytes) -> None:
        """Take nothing."""

    def keep(self, data: bytes, sent: int) -> None:
        """Keep nothing."""

    def fail(self) -> None:
        """Note nothing."""

    def buffered(self) -> int:
        """Return how much waits."""
        return 0

    async def drain(self) -> None:
        """Wait for nothing."""


class Room:
    """A room all of whose readers are on one wire.

    Args:
        wire: Their wire.

    Attributes:
        stayed: Bytes for the reader who is there from the first frame to the last.
        came: Bytes for those who come and go, together.
    """

    def __init__(self, wire: ByReference) -> None:
        self.stayed = self.came = 0
        self._wire = wire
        self._audience = Audience()
        self._first = self._reader()
        self._others = deque(self._reader() for _ in range(STAYING))

    def pass_by(self, hour: Sequence[Frame]) -> None:
        """Let an hour's frames come, and readers with them."""
        minute = 0
        for number, frame in enumerate(hour):
            while minute * len(hour) <= number * MINUTES:
                self._audience.discard(self._others.popleft())
                self._others.append(self._reader())
                minute += 1
            self._count(frame)

    def _count(self, frame: Frame) -> None:
        if frame.type == "presence":  # goes to each stream once, whatever rooms it shares
            data = self._wire.join((frame,))
            self.stayed += len(data)
            self.came += len(data) * len(self._others)
            return
        for share in of_one_room(self._audience, (frame,)):
            size = len(share.wire.join(share.frames))
            first = self._first in share.readers
            self.stayed += size * first
            self.came += size * (len(share.readers) - first)

    def _reader(self) -> Subscriber:
        person = Person(Mxid("@reader:matrix.openmeet.example"), "Reader", None, None)
        reader = Subscriber(TenantId("lake"), person, Unread(), self._wire)
        reader.phase = Phase.LIVE
        self._audience.add(reader)
        return reader


def sizes(hour: Sequence[Frame], wire: ByReference) -> tuple[int, int]:
    """Return the bytes for who stays for the hour, and for six in a row who stay ten minutes."""
    room = Room(wire)
    room.pass_by(hour)
    return room.stayed, room.came // STAYING
