"""What one process says to another over the bus: an envelope around wake-ups and signals.

Every message begins with who says it, in a fixed number of bytes, so that a process lets its own
words pass without reading them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from ..core.ids import Position

VERSION: Final = 1
"""Part of the channels' names: processes that would not understand each other do not meet."""
SENDER_BYTES: Final = 8


class Wakeup(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """The log was committed up to a position.

    Attributes:
        topics: Whom it concerns, of those whose lane it is said on; nobody named means everybody.
    """

    position: Position
    topics: Sequence[str] = ()


class Word(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Something that is not in the log."""

    topic: str
    payload: bytes


class Beat(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """What a process says to itself, with the time by its own clock, in seconds."""

    said_at: float


Message = Wakeup | Word | Beat

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final[msgspec.msgpack.Decoder[Message]] = msgspec.msgpack.Decoder(Message)


def encode(sender: bytes, message: Message) -> bytes:
    """Write a message.

    Args:
        sender: Who says it, :data:`SENDER_BYTES` long.
        message: What is said.
    """
    return sender + _ENCODER.encode(message)


def decode(data: bytes) -> Message:
    """Read a message.

    Raises:
        msgspec.DecodeError: Nobody of ours has written this.
    """
    return _DECODER.decode(memoryview(data)[SENDER_BYTES:])
