"""Streams driven at random: no gap, no double, nothing for those who are not in a room."""

from __future__ import annotations

import asyncio

from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from openmeet_bridge.core.ids import Mxid, Position, RoomId

from .machine import A, B, StreamMachine, exploring, some
from .memory_log import MemoryLog
from .truth import Truth


ACTIONS = ("message",) * 4 + ("come or go",) * 4 + ("change of name", "move", "overturn")
actions = st.sampled_from(ACTIONS)


class InMemory(StreamMachine):
    """The real hub, streams and feed over a log in memory."""

    users = {Mxid("@a_1:test"): A, Mxid("@a_2:test"): A, Mxid("@b_1:test"): B}

    def __init__(self) -> None:
        super().__init__()
        tenants = {RoomId("!a1"): A, RoomId("!a2"): A, RoomId("!b1"): B}
        self.rooms = list(tenants)
        self.memory = MemoryLog(tenants, Position(5))
        for mxid, tenant in self.users.items():
            for room_id in tenants:
                if tenants[room_id] == tenant:
                    self.memory.append(room_id, mxid, joined=True)
        truth = Truth(tenants, Position(5))
        truth.observe(self.memory.versions(Position(5)), self.memory.head)
        self.build(self.memory, "0badcafe", truth)

    @rule(what=st.lists(st.tuples(actions, some, some), min_size=1, max_size=5))
    def the_log_grows(self, what: list[tuple[str, int, int]]) -> None:
        """By one commit. People come even into rooms of another tenant: they must get nothing."""
        for action, room, user in what:
            room_id, mxid = self.rooms[room % 3], self._user(user)
            inside = self.memory.is_in(room_id, mxid)
            match action:
                case "message":
                    self.memory.append(room_id)
                case "come or go":
                    self.memory.append(room_id, mxid, joined=not inside)
                case "change of name":
                    self.memory.append(room_id, mxid, joined=inside)
                case "move":
                    self.memory.move(user)
                case "overturn":
                    self.memory.overturn(room_id, mxid)
        self.truth.observe(self.memory.versions(self.truth.head), self.memory.head)
        self.run(asyncio.sleep(0))

    async def finish_writing(self) -> None:
        """One message more in each room: who wrongly follows it is found out."""
        for room_id in self.rooms:
            self.memory.append(room_id)
        self.truth.observe(self.memory.versions(self.truth.head), self.memory.head)


def test_streams_over_a_log_in_memory() -> None:
    run_state_machine_as_test(InMemory, settings=exploring(150, 50))
