"""Readers of streams: what a browser sees, frame by frame, over SSE and over WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec

SECONDS = 60.0


@dataclass(frozen=True)
class Frame:
    """One frame. ``data`` is decoded; ``cursor`` is None for frames without a place."""

    type: str
    data: dict[str, Any]
    cursor: str | None


Wanted = Callable[[Frame], bool]


@dataclass
class Stream:
    """An open stream and everything that came over it.

    Attributes:
        frames: All frames, in order.
        ended: Whether the server has closed it.
        status: HTTP status of the answer.
    """

    frames: list[Frame] = field(default_factory=list)
    ended: bool = False
    status: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def cursor(self) -> str | None:
        """The last cursor that came: from here a client goes on."""
        cursors = (
            frame.cursor or (frame.data["cursor"] if frame.type == "hello" else None)
            for frame in reversed(self.frames)
        )
        return next((cursor for cursor in cursors if cursor), None)

    def of(self, type: str, **data: Any) -> list[Frame]:
        """The frames of a type whose data holds these values."""
        return [frame for frame in self.frames if _matches(frame, type, data)]

    def entries(self, room_id: str | None = None) -> list[dict[str, Any]]:
        """The timeline entries that came, of one room or of all, repeated ones included."""
        return [
            frame.data
            for frame in self.of("timeline")
            if room_id is None or frame.data["room_id"] == room_id
        ]

    def bodies(self, room_id: str | None = None) -> list[str]:
        """The texts of the messages that came."""
        return [entry["text"] for entry in self.entries(room_id) if entry["kind"] == "text"]

    async def wait(self, type: str, *, seconds: float = SECONDS, **data: Any) -> Frame:
        """Waits until a frame of a type with these values has come; returns the first."""
        await self.until(
            lambda stream: bool(stream.of(type, **data)), f"{type} {data}", seconds=seconds
        )
        return self.of(type, **data)[0]

    async def message(self, body: str, *, seconds: float = SECONDS) -> dict[str, Any]:
        """Waits until a message with this text has come; returns its entry."""
        await self.until(lambda stream: body in stream.bodies(), f"message {body}", seconds=seconds)
        return next(entry for entry in self.entries() if entry["text"] == body)

    async def until(
        self, holds: Callable[[Stream], bool], what: str, *, seconds: float = SECONDS
    ) -> None:
        """Waits until something holds of what has come.

        Raises:
            AssertionError: It does not in time; says what came last.
        """
        try:
            async with asyncio.timeout(seconds):
                while not holds(self):
                    assert not self.ended, f"the stream ended without: {what}"
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{what} did not come; last: {self.frames[-5:]}") from None

    def add(self, frame: Frame) -> None:
        """Notes a frame."""
        self.frames.append(frame)
        self._news.set()

    def end(self) -> None:
        """Notes the end."""
        self.ended = True
        self._news.set()


@contextlib.asynccontextmanager
async def sse(
    session: aiohttp.ClientSession,
    url: str,
    *,
    headers: Mapping[str, str] = {},
    params: Mapping[str, str] = {},
    path: str = "/api/v1/stream",
) -> AsyncIterator[Stream]:
    """Opens a stream of server-sent events and reads it for the length of the block."""
    timeout = aiohttp.ClientTimeout(total=None)
    stream = Stream()
    async with session.get(
        f"{url}{path}", headers=headers, params=params, timeout=timeout
    ) as answer:
        stream.status = answer.status
        async with _reading(stream, _read_sse(answer, stream)):
            yield stream


@contextlib.asynccontextmanager
async def websocket(
    session: aiohttp.ClientSession,
    url: str,
    *,
    headers: Mapping[str, str] = {},
    params: Mapping[str, str] = {},
) -> AsyncIterator[Stream]:
    """Opens ``/api/v1/ws`` and reads it for the length of the block."""
    stream = Stream(status=101)
    try:
        socket = await session.ws_connect(f"{url}/api/v1/ws", headers=headers, params=params)
    except aiohttp.WSServerHandshakeError as refusal:
        stream.status = refusal.status
        stream.end()
        yield stream
        return
    async with socket, _reading(stream, _read_ws(socket, stream)):
        yield stream


@contextlib.asynccontextmanager
async def _reading(stream: Stream, work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    task.add_done_callback(lambda _: stream.end())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _read_sse(answer: aiohttp.ClientResponse, stream: Stream) -> None:
    """Parses ``text/event-stream`` (HTML, "Server-sent events"), as strictly as a browser."""
    if answer.status != 200:
        return
    event, cursor, lines = "message", None, list[str]()
    with contextlib.suppress(aiohttp.ClientError):
        async for raw in answer.content:
            line = raw.decode().removesuffix("\n")
            name, _, value = line.partition(": ")
            if not line:
                if lines:
                    data = msgspec.json.decode("\n".join(lines).encode(), type=dict[str, Any])
                    stream.add(Frame(event, data, cursor))
                event, cursor, lines = "message", None, []
            elif name == "event":
                event = value
            elif name == "id":
                cursor = value
            elif name == "data":
                lines.append(value)
            else:
                known = name == "retry" or line.startswith(":")
                assert known, f"not a field of an event stream: {line!r}"


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    data: dict[str, Any]
    cursor: str | None = None


async def _read_ws(socket: aiohttp.ClientWebSocketResponse, stream: Stream) -> None:
    async for message in socket:
        assert message.type is aiohttp.WSMsgType.TEXT
        frame = msgspec.json.decode(message.data, type=_Message)
        stream.add(Frame(frame.type, frame.data, frame.cursor))


def _matches(frame: Frame, type: str, data: Mapping[str, Any]) -> bool:
    return frame.type == type and all(frame.data.get(key) == data[key] for key in data)
