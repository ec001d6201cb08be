"""A client with a stream, which checks each frame that it gets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection

from openmeet_bridge.bridge.streams import Streams
from openmeet_bridge.core.cursor import Cursor
from openmeet_bridge.core.entry import Person
from openmeet_bridge.core.errors import Unavailable
from openmeet_bridge.core.ids import EventId, Mxid, Position, RoomId, TenantId
from openmeet_bridge.stream import frames
from openmeet_bridge.stream.change import Change
from openmeet_bridge.stream.frames import CHOICE, SSE, WS, Frame
from openmeet_bridge.stream.hub import Hub
from openmeet_bridge.stream.subscriber import Phase, Subscriber
from openmeet_bridge.stream.wires import filtered

from ..support.sinks import MemorySink
from .gate import Gate
from .parsers import Received, SseParser, WsParser
from .truth import Truth, Version


class PipeSink(MemorySink):
    """A socket: what was written and not read yet waits in it."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.unread = b""
        self.broken = False

    def write(self, data: bytes) -> None:
        """Take bytes."""
        assert not self.broken, "nothing is written to a stream that has ended"
        self.unread += data

    def buffered(self) -> int:
        """Return how much waits."""
        return len(self.unread)

    async def drain(self) -> None:
        """Stand still, as a socket may at any time."""
        await self._gate.stop()


class Connection:
    """One stream of a client, opened as the edge does it.

    Args:
        subscriber: The stream.
        sink: Its socket.
        opening: The task that opens it. ``changing`` is the one that changes what it brings.
        slow: Whether its reader reads only when told to.
    """

    def __init__(
        self, subscriber: Subscriber, sink: PipeSink, opening: asyncio.Task[None], slow: bool
    ) -> None:
        self.subscriber = subscriber
        self.sink = sink
        self.opening = opening
        self.changing: asyncio.Task[None] | None = None
        self.slow = slow
        self.parser = SseParser() if subscriber.wire.name == "sse" else WsParser()
        self.greeted = False
        self.ended = False
        self.announced: Received | None = None


class Reader:
    """A client: keeps its cursor over all its streams, as a browser does.

    Args:
        truth: What it must get.
        tenant: Its user's tenant.
        mxid: Its user.
        wire: Over what it reads: ``sse`` or ``ws``; ``sse-`` and ``ws-`` leave typing out.
        cursor: Where it begins; None for now. Anything else than a cursor asks for a reset.
        replay_entries: From how many missed entries on a reset is right.
        wanted: Of which rooms it wants to hear; None: of all.
    """

    def __init__(
        self,
        truth: Truth,
        tenant: TenantId,
        mxid: Mxid,
        wire: str,
        cursor: str | None,
        replay_entries: int,
        wanted: frozenset[RoomId] | None = None,
    ) -> None:
        self.tenant = tenant
        self.mxid = mxid
        self.connection: Connection | None = None
        self._truth = truth
        self._quiet = wire.endswith("-")
        types = CHOICE - {"typing"} if self._quiet else None
        self._wire = filtered(SSE if wire.startswith("sse") else WS, types)
        self._wanted = wanted
        self._wanted_from: dict[RoomId, Position] = {}
        self._replay_entries = replay_entries
        self._cursor = cursor
        self._begun = False
        self._resumed_at: Position | None = None
        self._base = self._last = Position(0)
        self._rooms: set[RoomId] = set()
        self._got: dict[Position, EventId] = {}

    def begin_with_rooms(self, epoch: str) -> None:
        """Fetch the list of rooms, to go on from its cursor."""
        self._cursor = str(Cursor(epoch, self._truth.head))
        self._begin(self._truth.head)

    def connect(self, hub: Hub, streams: Streams, gate: Gate, *, slow: bool) -> None:
        """Open a stream from where the last one ended."""
        sink = PipeSink(gate)
        person = Person(self.mxid, "Somebody", None, None)
        subscriber = Subscriber(self.tenant, person, sink, self._wire)
        subscriber.wanted = self._wanted
        hub.enter(subscriber)
        opening = asyncio.get_running_loop().create_task(streams.open(subscriber, self._cursor))
        self._resumed_at = self._last if self._begun else None
        self.connection = Connection(subscriber, sink, opening, slow)

    def change(self, streams: Streams, wanted: frozenset[RoomId] | None) -> None:
        """Want to hear of other rooms, where the stream can do that now."""
        connection = self.connection
        assert connection is not None
        if connection.subscriber.phase is not Phase.LIVE or connection.changing is not None:
            return

        def answer(_: Collection[RoomId], cursor: Cursor) -> Frame:
            rooms = None if wanted is None else sorted(wanted)
            return frames.subscribed(None, rooms, None, cursor)

        change = Change(wanted, self._wire, answer)
        work = self._change(streams, connection, change)
        connection.changing = asyncio.get_running_loop().create_task(work)

    async def _change(self, streams: Streams, connection: Connection, change: Change) -> None:
        # Whoever comes and goes too fast is told so; then nothing changes.
        with contextlib.suppress(Unavailable):
            await streams.change(connection.subscriber, change)
        connection.changing = None

    def read(self, size: int | None = None) -> None:
        """Read what waits, or its first bytes."""
        connection = self.connection
        assert connection is not None
        sink = connection.sink
        data, sink.unread = sink.unread[:size], b"" if size is None else sink.unread[size:]
        for frame in connection.parser.feed(data):
            self._take(connection, frame)

    async def hang_up(self, hub: Hub) -> None:
        """End the stream; what was not read is lost."""
        connection, self.connection = self.connection, None
        assert connection is not None
        if connection.changing is not None:
            connection.changing.cancel()
            await asyncio.gather(connection.changing, return_exceptions=True)
        connection.opening.cancel()
        (result,) = await asyncio.gather(connection.opening, return_exceptions=True)
        if not isinstance(result, asyncio.CancelledError) and result is not None:
            raise result
        hub.leave(connection.subscriber)
        connection.sink.broken = True

    @property
    def closed(self) -> bool:
        """Whether the bridge has ended the stream."""
        return self.connection is not None and self.connection.subscriber.phase is Phase.CLOSED

    def check_complete(self) -> None:
        """Check that nothing is missing; for a live stream of which everything was read."""
        assert self.connection is not None
        assert self.connection.subscriber.phase is Phase.LIVE
        assert self._rooms == self._truth.joined_at(self.tenant, self.mxid, self._truth.head)
        owed = self._truth.owed(self.tenant, self.mxid, self._base)
        missing = {
            at: event
            for at, event in owed.items()
            if self._got.get(at) != event and self._wants(self._truth.versions[at])
        }
        assert not missing, f"{self.mxid} misses {missing}"

    # Frames

    def _take(self, connection: Connection, frame: Received) -> None:
        assert not connection.ended, "nothing follows the last frame"
        first = frame.type in ("hello", "bye")  # bye: closed while it was being opened
        assert connection.greeted or first, "hello comes first"
        announced, connection.announced = connection.announced, None
        assert announced is None or frame.type == "timeline"
        match frame.type:
            case "hello":
                self._hello(connection, frame)
            case "reset":
                self._reset(frame)
            case "membership":
                connection.announced = frame
            case "timeline":
                self._timeline(frame, announced)
            case "room.added":
                assert self._truth.tenants[frame.data["room_id"]] == self.tenant
                self._rooms.add(frame.data["room_id"])
            case "room.removed":
                self._removed(frame)
            case "typing":
                assert not self._quiet
                assert frame.data["room_id"] in self._rooms
                assert self._wanted is None or frame.data["room_id"] in self._wanted
            case "subscribed":
                self._subscribed(frame)
            case "bye":
                connection.ended = True
            case other:
                assert other == "heartbeat"

    def _hello(self, connection: Connection, frame: Received) -> None:
        assert not connection.greeted, "hello comes once"
        connection.greeted = True
        if self._cursor is None:
            self._cursor = frame.data["cursor"]
            self._begin(self._position(frame.data["cursor"]))
        assert frame.cursor in (None, self._cursor)

    def _reset(self, frame: Received) -> None:
        assert frame.cursor == frame.data["cursor"]
        if self._resumed_at is not None:
            missed = self._truth.seen_since(self.tenant, self._resumed_at)
            assert missed > self._replay_entries, "a reset without need"
        self._cursor = frame.cursor
        self._begin(self._position(frame.cursor))

    def _begin(self, position: Position) -> None:
        """Fetch everything: what is up to here is known, what comes after must come."""
        self._begun = True
        self._wanted_from = {}
        self._base = self._last = position
        self._got = {}
        self._rooms = self._truth.joined_at(self.tenant, self.mxid, position)

    def _timeline(self, frame: Received, announced: Received | None) -> None:
        position = self._advance(frame)
        version = self._truth.versions[position]
        assert frame.data["event_id"] == version.event_id
        assert frame.data["room_id"] == version.room_id
        assert self._truth.tenants[version.room_id] == self.tenant, "of another tenant"
        assert self.mxid in self._truth.audience[position], "logged when they were not in"
        assert self._wanted is None or version.room_id in self._wanted, "not asked for"
        if announced is not None:
            assert announced.data["user"]["mxid"] == version.who
            assert (announced.data["membership"] == "join") == version.joined
        assert (announced is None) == (version.who is None)
        self._got[position] = version.event_id

    def _subscribed(self, frame: Received) -> None:
        """Other rooms from here on: what is newly wanted must come, what is not may not."""
        position, rooms = self._position(frame.cursor), frame.data["rooms"]
        assert position >= self._last
        before, self._wanted = self._wanted, None if rooms is None else frozenset(rooms)
        for room_id in self._truth.tenants:
            if before is not None and room_id not in before:
                self._wanted_from[room_id] = position
        self._last, self._cursor = position, frame.cursor

    def _wants(self, version: Version) -> bool:
        known = self._wanted_from.get(version.room_id, self._base)
        wanted = self._wanted is None or version.room_id in self._wanted
        return wanted and version.position > known

    def _removed(self, frame: Received) -> None:
        version = self._truth.versions[self._advance(frame)]
        assert (version.who, version.joined) == (self.mxid, False)
        assert frame.data["room_id"] == version.room_id
        self._rooms.discard(version.room_id)

    def _advance(self, frame: Received) -> Position:
        position = self._position(frame.cursor)
        assert position > self._last, "doubled or out of order"
        self._last, self._cursor = position, frame.cursor
        return position

    def _position(self, text: str | None) -> Position:
        cursor = Cursor.parse(text or "")
        assert cursor is not None
        assert cursor.position <= self._truth.head
        return cursor.position
