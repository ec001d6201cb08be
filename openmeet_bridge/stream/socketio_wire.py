"""Socket.IO: frames as its packets, in WebSocket frames that all readers of a namespace share.

A packet is ``42/matrix,["matrix-event",{…}]``: the Engine.IO type 4 (message), the Socket.IO type 2
(event), the namespace unless it is the default one, and the arguments as JSON (Engine.IO 4 and
Socket.IO 5, "Packet encoding"). What is in the JSON is encoded, so that no content ends a packet:
neither a quote nor the record separator between the packets of a poll can stand in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from .frames import Frame, Hello, ws_text
from .web_app_frames import MESSAGE, translated

MATRIX: Final = "/matrix"
DEFAULT: Final = "/"

EVENT: Final = "matrix-event"
"""What carries everything, by its ``type``."""

TWIN: Final = "matrix-message"
"""What carries a message a second time, under other names."""

_CONFIRMATION = "WebSocket connection established successfully"

_encode = msgspec.json.Encoder().encode


class _Message(msgspec.Struct, rename="camel"):
    """A message under the names that its twin has."""

    room_id: str
    sender: str
    content: msgspec.Raw
    event_id: str
    timestamp: int
    broadcast_id: str = msgspec.field(name="_broadcastId")


_twin = msgspec.json.Decoder(_Message).decode


class SocketIoWire:
    """Frames as the events of one namespace, in unmasked WebSocket text frames.

    Args:
        namespace: ``/matrix``, or the default one, ``/``.
        now: Seconds since the epoch, for ``_broadcastTime``.
    """

    name = "socketio"

    def __init__(self, namespace: str = MATRIX, now: Callable[[], float] = time.time) -> None:
        self.namespace = namespace
        self._now = now

    def join(self, frames: Sequence[Frame]) -> bytes:
        """Return the frames one after another; nothing for what the web app is not told."""
        return b"".join([self._written(frame) for frame in frames])

    def _written(self, frame: Frame) -> bytes:
        written = frame.other.get(self)
        if written is None:
            written = frame.other[self] = b"".join(map(ws_text, self._packets(frame)))
        return written

    def _packets(self, frame: Frame) -> Iterator[bytes]:
        for kind, data in translated(frame, self._now):
            if isinstance(frame.source, Hello):
                yield self.event(EVENT, _confirmed(data))
                continue
            yield self.event(EVENT, data)
            if kind == MESSAGE:
                yield self.event(TWIN, _encode(_twin(data)))

    def event(self, name: str, data: bytes) -> bytes:
        """Return an event with one argument, which is JSON, as an Engine.IO packet."""
        return b"42%b[%b,%b]" % (self._place, _encode(name), data)

    def answer(self, ack_id: int, data: bytes) -> bytes:
        """Return the answer to an event of the client's, which is JSON, as an Engine.IO packet."""
        return b"43%b%d[%b]" % (self._place, ack_id, data)

    @property
    def _place(self) -> bytes:
        return b"" if self.namespace == DEFAULT else self.namespace.encode() + b","


SOCKETIO = SocketIoWire()
SOCKETIO_DEFAULT = SocketIoWire(DEFAULT)


def packets(data: bytes) -> Iterator[bytes]:
    """Return the texts of unmasked WebSocket text frames (RFC 6455, section 5.2), all whole."""
    start = 0
    while start < len(data):
        length = data[start + 1]
        start += 2
        wide = {126: 2, 127: 8}.get(length, 0)
        if wide:
            length = int.from_bytes(data[start : start + wide], "big")
            start += wide
        yield data[start : start + length]
        start += length


def _confirmed(data: bytes) -> bytes:
    return b'%b,"message":%b}' % (data[:-1], _encode(_CONFIRMATION))
