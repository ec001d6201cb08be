"""``text/event-stream``, read as a browser reads it (HTML, "Server-sent events")."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .trouble import Broken

COMMENT: Final = ":"
"""The type of what is no event: a line that begins with a colon."""

_LONGEST_LINE = 1 << 22
_MOST_LINES = 10_000


@dataclass(frozen=True, slots=True)
class Event:
    """One event, or a comment.

    Attributes:
        type: Its name; :data:`COMMENT` for a comment.
        data: What it carries.
        id: The id that its own block gives; None where it gives none.
    """

    type: str
    data: str
    id: str | None


class EventStream:
    """Reads a stream piece by piece, wherever the pieces are cut.

    Attributes:
        last_id: The id that a browser would send as ``Last-Event-ID`` now.
        retry_ms: How long a browser would wait before it comes back, where the stream says so.
    """

    def __init__(self) -> None:
        self.last_id = ""
        self.retry_ms: int | None = None
        # "-sig": one byte order mark at the beginning is no part of the stream.
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._line = ""
        self._after_return = False
        self._type = ""
        self._data: list[str] = []
        self._id: str | None = None

    def feed(self, data: bytes) -> Iterator[Event]:
        """Yield what a piece of the stream completes.

        Raises:
            Broken: A line or an event has no end.
        """
        *lines, self._line = self._split(self._line + self._new(data))
        if len(self._line) > _LONGEST_LINE:
            raise Broken("the stream has a line without an end")
        for line in lines:
            if line.startswith(":"):
                yield Event(COMMENT, line[1:], None)
            elif line:
                self._field(line)
            else:
                yield from self._dispatch()

    def _new(self, data: bytes) -> str:
        text = self._decoder.decode(data)
        if self._after_return and text:
            # The other half of a line end that was cut in two.
            text = text.removeprefix("\n")
            self._after_return = False
        self._after_return = self._after_return or text.endswith("\r")
        return text

    def _split(self, text: str) -> list[str]:
        return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
            if len(self._data) > _MOST_LINES:
                raise Broken("the stream has an event without an end")
        elif name == "event":
            self._type = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry_ms = int(value[:9])

    def _dispatch(self) -> Iterator[Event]:
        if self._id is not None:
            self.last_id = self._id
        if self._data:
            yield Event(self._type or "message", "\n".join(self._data), self._id)
        self._type, self._data, self._id = "", [], None
