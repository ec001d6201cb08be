"""A reading: an open stream, and all that has come over it, with the time of each arrival."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from .trouble import NETWORK, Trouble, from_network

T = TypeVar("T")

HEARTBEATS: Final = frozenset({"heartbeat", ":", "ping"})
"""Types of what says only that the stream is alive: of the streams, the web app's, Socket.IO's."""

HELLOS: Final = frozenset({"hello", "connection_confirmed"})

_MOST_FRAMES = 100_000


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame.

    Attributes:
        type: Its type.
        data: What it carries.
        cursor: Its place, where it has one.
        at: When it came, in seconds of a clock that never goes back.
        piece: With which piece it came: frames of one number arrived together.
    """

    type: str
    data: Mapping[str, Any]
    cursor: str | None
    at: float
    piece: int


@dataclass
class Reading:
    """An open stream.

    Attributes:
        wire: Its kind.
        headers: Of the answer with which it began.
        promised: Seconds between two heartbeats, where that was said before the first frame.
        began: When it was asked for.
        frames: All that has come.
        flaws: What has come and is not as documented.
        ended: How it has ended; None while it is open.
        ended_at: When.
    """

    wire: str
    headers: Mapping[str, str] = field(default_factory=dict)
    promised: float | None = None
    began: float = field(default_factory=time.monotonic)
    frames: list[Frame] = field(default_factory=list)
    flaws: list[str] = field(default_factory=list)
    ended: str | None = None
    ended_at: float = 0.0
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _piece: int = 0

    @property
    def hello(self) -> Frame | None:
        """The first frame of a stream."""
        return next((frame for frame in self.frames if frame.type in HELLOS), None)

    @property
    def heartbeat(self) -> float | None:
        """Seconds between two heartbeats, as the stream itself promises them."""
        hello = self.hello
        said = hello.data.get("heartbeat_ms") if hello else None
        return said / 1000 if isinstance(said, int) and said > 0 else self.promised

    @property
    def cursor(self) -> str | None:
        """The last cursor that has come."""
        return next((one.cursor for one in reversed(self.frames) if one.cursor), None)

    def of(self, *types: str) -> list[Frame]:
        """Return the frames of some types."""
        return [frame for frame in self.frames if frame.type in types]

    def messages(self, event_ids: Collection[str]) -> list[str]:
        """Return which of some messages have come as new ones, as often as they have."""
        fresh = self.of("timeline", "m.room.message")
        found = [str(frame.data.get("event_id")) for frame in fresh]
        return [event_id for event_id in found if event_id in event_ids]

    def next_piece(self) -> None:
        """Note that something has arrived."""
        self._piece += 1

    def add(self, type: str, data: object, cursor: object = None) -> None:
        """Note a frame of the piece that has arrived.

        Raises:
            Trouble: There were too many to keep them all.
        """
        if len(self.frames) >= _MOST_FRAMES:
            raise Trouble("more came than can be kept")
        if not isinstance(data, dict):
            self.flaws.append(f"the data of {type} is no object")
            data = {}
        place = cursor if isinstance(cursor, str) else None
        self.frames.append(Frame(type, data, place, time.monotonic(), self._piece))
        self._news.set()

    def touch(self) -> None:
        """Wake who waits, after something has come that is no frame."""
        self._news.set()

    def end(self, how: str) -> None:
        """Note the end; the first word on it stands."""
        if self.ended is None:
            self.ended, self.ended_at = how, time.monotonic()
        self._news.set()

    async def until(self, found: Callable[[], T | None], seconds: float) -> T | None:
        """Wait until something is found in what has come.

        Returns:
            It; None where it did not come in time, or the stream has ended without it.
        """
        deadline = time.monotonic() + seconds
        while (here := found()) is None and self.ended is None:
            self._news.clear()
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    await self._news.wait()
            except TimeoutError:
                return found()
        return here if here is not None else found()

    async def greeted(self, seconds: float) -> Frame | None:
        """Wait for the first frame of the stream."""
        return await self.until(lambda: self.hello, seconds)

    async def quiet(self, seconds: float, most: float) -> None:
        """Wait until nothing but heartbeats has come for a while, and no longer than some time."""
        deadline = time.monotonic() + most
        while self.ended is None and time.monotonic() < deadline:
            last = max((one.at for one in self.frames if one.type not in HEARTBEATS), default=0.0)
            rest = max(last, self.began) + seconds - time.monotonic()
            if rest <= 0:
                return
            await asyncio.sleep(min(rest, 0.1))


@asynccontextmanager
async def reading(record: Reading, work: Callable[[], Awaitable[str]]) -> AsyncIterator[Reading]:
    """Read a stream beside the block.

    Args:
        record: Takes what comes.
        work: Reads to the end; returns how that came.
    """

    async def read() -> None:
        try:
            record.end(await work())
        except NETWORK as error:
            record.end(str(from_network(error)))
        except Trouble as error:
            record.end(str(error))

    task = asyncio.create_task(read())
    try:
        yield record
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
