"""Streams driven at random: no gap, no double, nothing for those who are not in a room."""

from __future__ import annotations

import asyncio

from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from openmeet_bridge.core.ids import Mxid, Position, RoomId

from .machine import A, B, StreamMachine, exploring, some
from .memory_log import MemoryLog
from .truth import Truth


class InMemory(StreamMachine):
    """The real hub, streams and feed over a log in memory."""

    users = {Mxid("@a_1:test"): A, Mxid("@a_2:test"): A, Mxid("@b_1:test"): B}

    def __init__(self) -> None:
        super().__init__()
        tenants = {RoomId("!a1"): A, RoomId("!a2"): A, RoomId("!b1"): B}
        self.rooms = list(tenants)
        self.memory = MemoryLog(tenants, Position(5))
        self.build(self.memory, "0badcafe", Truth(tenants, Position(5)))

    @rule(room=some, user=some)
    def somebody_comes_or_goes(self, room: int, user: int) -> None:
        """Even into a room of another tenant, of which they must get nothing."""
        room_id, mxid = self.rooms[room % 3], self._user(user)
        self.memory.append(room_id, mxid, joined=not self.memory.is_in(room_id, mxid))
        self._committed()

    @rule(room=some, times=st.integers(1, 4))
    def messages_come(self, room: int, times: int) -> None:
        """Several in one commit."""
        for _ in range(times):
            self.memory.append(self.rooms[room % 3])
        self._committed()

    @rule(which=some)
    def an_entry_moves(self, which: int) -> None:
        """To its right place, found by repair."""
        self.memory.move(which)
        self._committed()

    @rule(room=some, user=some)
    def a_membership_is_overturned(self, room: int, user: int) -> None:
        """Repair finds that somebody's going came before their coming, or the reverse."""
        self.memory.overturn(self.rooms[room % 3], self._user(user))
        self._committed()

    @rule(room=some, user=some)
    def somebody_changes_their_name(self, room: int, user: int) -> None:
        """A member event that changes nothing."""
        room_id, mxid = self.rooms[room % 3], self._user(user)
        self.memory.append(room_id, mxid, joined=self.memory.is_in(room_id, mxid))
        self._committed()

    async def finish_writing(self) -> None:
        """One message more in each room: who wrongly follows it is found out."""
        for room_id in self.rooms:
            self.memory.append(room_id)
        self.truth.observe(self.memory.versions(self.truth.head), self.memory.head)

    def _committed(self) -> None:
        self.truth.observe(self.memory.versions(self.truth.head), self.memory.head)
        self.run(asyncio.sleep(0))


def test_streams_over_a_log_in_memory() -> None:
    run_state_machine_as_test(InMemory, settings=exploring(150, 50))
