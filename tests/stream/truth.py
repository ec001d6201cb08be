"""What was logged when, and who might see it: the measure for what readers get."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from openmeet_bridge.core.ids import EventId, Mxid, Position, RoomId, TenantId


class Version(NamedTuple):
    """An entry as it was at one position; an entry that is moved has one more.

    Attributes:
        who: Whose coming or going it was, where it was one.
        joined: Whether they came.
    """

    position: Position
    event_id: EventId
    room_id: RoomId
    who: Mxid | None = None
    joined: bool = False


class Truth:
    """The history of a log, made from what each commit has added.

    Args:
        tenants: To which tenant each room belongs.
        head: The end of the log before the first commit.
    """

    def __init__(self, tenants: Mapping[RoomId, TenantId], head: Position) -> None:
        self.tenants = tenants
        self.head = head
        self.versions: dict[Position, Version] = {}
        self.audience: dict[Position, frozenset[Mxid]] = {}
        self.current: dict[EventId, Version] = {}
        self._members: dict[RoomId, frozenset[Mxid]] = dict.fromkeys(tenants, frozenset())

    def observe(self, versions: Iterable[Version], head: Position) -> None:
        """Add what a commit has brought, in the order of positions."""
        for version in versions:
            assert version.position > self.head, "nothing appears below what could be read before"
            self.head = version.position
            members = self._members[version.room_id]
            if version.who is not None:
                members = members | {version.who} if version.joined else members - {version.who}
                self._members[version.room_id] = members
            self.versions[version.position] = self.current[version.event_id] = version
            self.audience[version.position] = members
        assert head >= self.head
        self.head = head

    def members(self, room_id: RoomId) -> frozenset[Mxid]:
        """Return who is in a room."""
        return self._members[room_id]

    def joined_at(self, tenant: TenantId, mxid: Mxid, position: Position) -> set[RoomId]:
        """Return in which rooms of a tenant somebody was at a position."""
        rooms: set[RoomId] = set()
        for version in self.versions.values():
            if version.position <= position and version.who == mxid:
                (rooms.add if version.joined else rooms.discard)(version.room_id)
        return {room_id for room_id in rooms if self.tenants[room_id] == tenant}

    def owed(self, tenant: TenantId, mxid: Mxid, base: Position) -> dict[Position, EventId]:
        """Return what must have come over somebody's stream that began at a position.

        That is what stands in their rooms, since the stream began or since they are in: what was
        before is read by page, and what belongs to an earlier stay is gone with it.
        """
        owed = {}
        since = self._since(mxid)
        for room_id in self.joined_at(tenant, mxid, self.head):
            for version in self.current.values():
                first = version.position >= since[room_id]
                if version.room_id == room_id and version.position > base and first:
                    owed[version.position] = version.event_id
        return owed

    def seen_since(self, tenant: TenantId, position: Position) -> int:
        """Return how many entries of a tenant were logged after a position."""
        return sum(
            version.position > position and self.tenants[version.room_id] == tenant
            for version in self.current.values()
        )

    def _since(self, mxid: Mxid) -> dict[RoomId, Position]:
        return {
            version.room_id: version.position
            for version in self.versions.values()
            if version.who == mxid and version.joined
        }
