"""What a reader makes of a stream's bytes, however they are cut into pieces.

Written from the standards and not from the code under test: HTML ("Server-sent events",
interpreting an event stream), RFC 6455 section 5.2 (frames).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol


class Received(NamedTuple):
    """One frame, as a client has it."""

    type: str
    data: Any
    cursor: str | None


class Parser(Protocol):
    """Turns pieces of a stream into frames."""

    def feed(self, data: bytes) -> list[Received]:
        """Take the next bytes; return the frames that are whole with them."""


class SseParser:
    """Server-sent events in a body that ends with its connection."""

    def __init__(self) -> None:
        self._events = EventParser()

    def feed(self, data: bytes) -> list[Received]:
        """Take the next bytes; return the frames that are whole with them."""
        return list(self._events.feed(data))


class EventParser:
    """The event stream of HTML's EventSource."""

    def __init__(self) -> None:
        self._rest = b""
        self._type = ""
        self._data: list[str] = []
        self._last_id: str | None = None
        self.retry: int | None = None

    def feed(self, data: bytes) -> Iterator[Received]:
        """Take the next bytes; return the events that are whole with them."""
        lines = (self._rest + data).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if line:
                self._field(line.decode())
            else:
                yield from self._dispatch()

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._type = value
        elif name == "data":
            self._data.append(value)
        elif name == "id":
            self._last_id = value
        elif name == "retry":
            self.retry = int(value)
        else:
            assert not name, f"no such field: {line!r}"

    def _dispatch(self) -> Iterator[Received]:
        if self._data:
            yield Received(self._type, json.loads("\n".join(self._data)), self._last_id)
        # EventSource keeps the id for reconnecting; here each frame is asked for its own.
        self._type, self._data, self._last_id = "", [], None


class WsParser:
    """WebSocket text frames from a server."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Received]:
        """Take the next bytes; return the frames that are whole with them."""
        self._buffer += data
        return list(self._frames())

    def _frames(self) -> Iterator[Received]:
        while (payload := self._payload()) is not None:
            value = json.loads(payload)
            assert set(value) <= {"type", "data", "cursor"}
            yield Received(value["type"], value["data"], value.get("cursor"))

    def _payload(self) -> bytes | None:
        if len(self._buffer) < 2:
            return None
        assert self._buffer[0] == 0x81, "a whole text frame without extensions"
        short = self._buffer[1]
        assert short < 0x80, "a server never masks"
        start = {126: 4, 127: 10}.get(short, 2)
        if len(self._buffer) < start:
            return None
        length = short if start == 2 else int.from_bytes(self._buffer[2:start], "big")
        if len(self._buffer) < start + length:
            return None
        payload, self._buffer = self._buffer[start : start + length], self._buffer[start + length :]
        return payload
