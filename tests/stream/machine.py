"""The rules by which streams are driven at random; what the log is made of is the heirs' matter.

Each rule is one step of the outside world: a client comes, goes, reads; the feed reads the log;
what stands still inside an opening stream goes on by one step. After each, all that can move has
moved, so a failing example is the same each time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from openmeet_bridge import bridge
from openmeet_bridge.bridge.streams import Streams
from openmeet_bridge.core.entry import Person
from openmeet_bridge.core.ids import Mxid, RoomId, TenantId
from openmeet_bridge.stream import frames
from openmeet_bridge.stream.bus import LocalBus
from openmeet_bridge.stream.feed import Feed
from openmeet_bridge.stream.hub import Hub
from openmeet_bridge.stream.reasons import CloseReason

from .gate import Gate, GatedLog, WholeLog
from .reader import Reader
from .truth import Truth

T = TypeVar("T")

A, B = TenantId("a"), TenantId("b")

some = st.integers(0, 99)
wires = st.sampled_from(["sse", "ws", "sse", "ws-"])
choices = st.sampled_from([None, None, None, [0], [1], [0, 1], []])
rarely = st.sampled_from([*[False] * 7, True])
beginnings = st.sampled_from(
    [*["rooms"] * 6, *["now"] * 3, "", "x", "1-00000000-1", "1-EPOCH-fffffffff", "2-EPOCH-1"]
)


def exploring(examples: int, steps: int) -> settings:
    """Return how much is tried: the same each time.

    The environment variable STREAM_FUZZ asks for so many times more, and for something else each
    time; what it finds is printed as the steps that lead to it.
    """
    more = int(os.environ.get("STREAM_FUZZ", "0"))
    return settings(
        max_examples=examples * max(1, more),
        stateful_step_count=steps,
        derandomize=not more,
        database=None,
        deadline=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )


class StreamMachine(RuleBasedStateMachine):
    """Clients, streams, hub and feed over a log that stands still at will."""

    users: dict[Mxid, TenantId]
    replay_entries = 12

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.gate = Gate()
        self.readers: list[Reader] = []
        self.feeding: asyncio.Task[bool] | None = None
        self.person = Person(Mxid("@typist:test"), "Typist", None, None)

    def build(self, log: WholeLog, epoch: str, truth: Truth) -> None:
        """Begin with a log; its heir has made it."""
        self.log, self.epoch, self.truth = log, epoch, truth
        self._start_bridge()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something, and let everything move that can."""
        return self.loop.run_until_complete(self._run(work))

    async def _run(self, work: Coroutine[Any, Any, T]) -> T:
        result = await work
        await self._settle()
        return result

    async def _settle(self) -> None:
        await self.gate.settle()
        if self.feeding is not None and self.feeding.done():
            self.feeding.result()
            self.feeding = None
        for reader in self.readers:
            connection = reader.connection
            if connection is None:
                continue
            if connection.opening.done():
                connection.opening.result()
            if not connection.slow:
                reader.read()

    def _start_bridge(self) -> None:
        self.hub = Hub(self.epoch, self.truth.head, buffer_bytes=3000, parked_frames=8)
        gated = GatedLog(self.log, self.gate)
        self.streams = Streams(gated, self.hub, replay_entries=self.replay_entries, chunk=2)
        self.feed = Feed(gated.after, self.hub, LocalBus(), batch=3)
        # Nothing here ends because of the time: what stands still goes on by a rule.
        bridge.streams._DELIVERY = 1e6
        self._feed_at_once = Feed(self.log.after, self.hub, LocalBus(), batch=3)

    # Clients

    @initialize(wire=wires)
    def two_clients_are_here(self, wire: str) -> None:
        """And follow their rooms; two others have been here, and may come back."""
        for user, choice in ((0, None), (1, None), (0, [0]), (1, None)):
            reader = self._reader(user, wire, None, choice)
            reader.begin_with_rooms(self.epoch)
            if len(self.readers) <= 2:
                self._connect(reader, slow=False)
        self.all_is_calm()

    @rule(user=some, wire=wires, slow=st.booleans(), beginning=beginnings, choice=choices)
    def a_client_comes(
        self, user: int, wire: str, slow: bool, beginning: str, choice: list[int] | None
    ) -> None:
        """With the cursor of its list of rooms, or without one, or with one that is of no use."""
        text = None if beginning in ("rooms", "now") else beginning.replace("EPOCH", self.epoch)
        reader = self._reader(user, wire, text, choice)
        if beginning == "rooms":
            reader.begin_with_rooms(self.epoch)
        self._connect(reader, slow)

    @precondition(lambda self: self._gone)
    @rule(which=some, slow=st.booleans())
    def a_client_comes_back(self, which: int, slow: bool) -> None:
        """With the last cursor that it has received."""
        self._connect(_pick(self._gone, which), slow)

    @precondition(lambda self: self._here)
    @rule(which=some, part=some)
    def a_client_goes(self, which: int, part: int) -> None:
        """Part of what is on its way still reaches it. So do those whose stream was ended."""
        reader = _pick(self._here, which)
        self._read_part(reader, part)
        self.run(reader.hang_up(self.hub))

    @precondition(lambda self: self._slow)
    @rule(which=some, part=some)
    def a_slow_client_reads(self, which: int, part: int) -> None:
        """Some of what waits, cut anywhere."""
        self._read_part(_pick(self._slow, which), part)

    @precondition(lambda self: self._here)
    @rule(which=some, choice=choices)
    def a_client_wants_otherwise(self, which: int, choice: list[int] | None) -> None:
        """Of other rooms, if its stream is live."""
        reader = _pick(self._here, which)

        async def change() -> None:
            reader.change(self.streams, self._rooms(choice))

        self.run(change())

    # The bridge

    @precondition(lambda self: self.gate.waiting)
    @rule(which=some, times=st.sampled_from([1, 1, 1, 3]))
    def something_goes_on(self, which: int, times: int) -> None:
        """By some steps."""
        for _ in range(times):
            self.gate.release(which)
            self.run(asyncio.sleep(0))

    @precondition(lambda self: self.feeding is None)
    @rule()
    def the_feed_wakes(self) -> None:
        """It stands still before it has read, and again before it delivers."""
        self.feeding = self.loop.create_task(self.feed.step())
        self.run(asyncio.sleep(0))

    @precondition(lambda self: self.feeding is None)
    @rule()
    def the_feed_delivers(self) -> None:
        """All there is, at once; and that somebody types, which is not in the log."""
        for room_id in self.truth.tenants:
            self.hub.to_room(room_id, frames.typing(room_id, [self.person]))
        self.run(self._catch_up())

    @precondition(lambda self: self._here)
    @rule(user=some, reason=st.sampled_from(list(CloseReason)), all_of_them=rarely)
    def streams_end(self, user: int, reason: CloseReason, all_of_them: bool) -> None:
        """Those of a user, which the client need not notice at once; or the bridge restarts."""
        if not all_of_them:
            self.hub.close_user(self._user(user), reason)
            self.run(asyncio.sleep(0))
            return
        self.hub.close_all(CloseReason.SHUTDOWN)
        self.run(self._hang_all_up())
        self._start_bridge()

    @precondition(lambda self: self.gate.waiting or self.hub.position < self.truth.head)
    @rule()
    def all_is_calm(self) -> None:
        """Nothing stands still: everybody who reads along must have everything."""
        self.run(self._calm_down())
        for reader in self.readers:
            connection = reader.connection
            if connection is not None and not reader.closed:
                reader.read()
                reader.check_complete()
        self.gate.open = False

    # The end

    def teardown(self) -> None:
        """Whoever has been here comes back, and must have everything; then all go."""
        try:
            self.run(self._finish())
        finally:
            self.loop.run_until_complete(self._abandon())
            self.loop.close()

    async def finish_commit(self) -> None:
        """End what is just being written; an heir's matter."""

    async def finish_writing(self) -> None:
        """Bring the log to its end; an heir's matter."""

    async def close(self) -> None:
        """Give back what an heir has opened."""

    async def _finish(self) -> None:
        await self.finish_commit()
        self.gate.release_all()
        await self._settle()
        await self.finish_writing()
        await self._calm_down()
        for reader in self.readers:
            if reader.closed:
                reader.read()
                await reader.hang_up(self.hub)
            if reader.connection is None:
                reader.connect(self.hub, self.streams, self.gate, slow=False)
        await self._calm_down()
        for reader in self.readers:
            reader.read()
            reader.check_complete()
        await self._hang_all_up()
        assert self.hub.count == 0
        assert not any(map(self.hub.has_readers, self.truth.tenants))

    async def _calm_down(self) -> None:
        await self.finish_commit()
        self.gate.release_all()
        await self._settle()
        await self._catch_up()
        await self._settle()

    async def _catch_up(self) -> None:
        while self.hub.position < self.truth.head:
            await self._feed_at_once.step()

    async def _hang_all_up(self) -> None:
        for reader in self.readers:
            if reader.connection is not None:
                await reader.hang_up(self.hub)
        if self.feeding is not None:
            self.feeding.cancel()
            await asyncio.gather(self.feeding, return_exceptions=True)
            self.feeding = None

    async def _abandon(self) -> None:
        """End what a failed example has left behind."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self.close()

    # Ways to them

    @property
    def _here(self) -> list[Reader]:
        return [reader for reader in self.readers if reader.connection is not None]

    @property
    def _gone(self) -> list[Reader]:
        return [reader for reader in self.readers if reader.connection is None]

    @property
    def _slow(self) -> list[Reader]:
        return [one for one in self._here if one.connection and one.connection.slow]

    def _user(self, index: int) -> Mxid:
        return _pick(list(self.users), index)

    def _rooms(self, choice: list[int] | None) -> frozenset[RoomId] | None:
        rooms = list(self.truth.tenants)
        return None if choice is None else frozenset(rooms[one] for one in choice)

    def _reader(self, user: int, wire: str, cursor: str | None, choice: list[int] | None) -> Reader:
        mxid, wanted = self._user(user), self._rooms(choice)
        tenant, limit = self.users[mxid], self.replay_entries
        reader = Reader(self.truth, tenant, mxid, wire, cursor, limit, wanted)
        self.readers.append(reader)
        return reader

    def _connect(self, reader: Reader, slow: bool) -> None:
        async def connect() -> None:
            reader.connect(self.hub, self.streams, self.gate, slow=slow)

        self.run(connect())

    def _read_part(self, reader: Reader, part: int) -> None:
        connection = reader.connection
        assert connection is not None
        reader.read(connection.sink.buffered() * part // 99)


def _pick(things: Sequence[T], index: int) -> T:
    return things[index % len(things)]
