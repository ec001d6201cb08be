"""What WebSocket clients send: frames as they come off the socket, put together to messages.

RFC 6455, section 5, for tens of thousands of clients that send next to nothing: between messages
an inbox holds no buffer, and the one short frame that a read usually brings is read in one step.
"""

from __future__ import annotations

import zlib
from typing import Final, NamedTuple, TypeAlias

import msgspec

from .deflate import ws_inflated

_CONTINUATION = 0x0
_TEXT = 0x1
_BINARY = 0x2
_CLOSE = 0x8
_PING = 0x9
_PONG = 0xA
_OPCODES = frozenset({_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG})

_FINAL = 0x80
_DEFLATED = 0x40  # RSV1, as permessage-deflate uses it (RFC 7692, section 6)
_RESERVED = 0x70
_MASKED = 0x80

PROTOCOL_ERROR: Final = 1002
UNSUPPORTED: Final = 1003
NOT_UTF_8: Final = 1007
TOO_BIG: Final = 1009

_GIVEN_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})
"""Close codes that may be sent of those that are not an application's own (IANA's registry)."""


class WsProtocolError(Exception):
    """The client broke the protocol, or sent what is not taken: nothing more is read from it.

    Args:
        code: What to close the connection with (RFC 6455, section 7.4.1).
        reason: What was wrong, for who wrote the client.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Text(msgspec.Struct, frozen=True, gc=False):
    """A whole text message."""

    text: str


class Ping(msgspec.Struct, frozen=True, gc=False):
    """The client wants a pong with the same payload."""

    payload: bytes


class Pong(msgspec.Struct, frozen=True, gc=False):
    """The client is there."""

    payload: bytes


class Close(msgspec.Struct, frozen=True, gc=False):
    """The client closes; with None it did not say why."""

    code: int | None


Received: TypeAlias = Text | Ping | Pong | Close


class _Frame(NamedTuple):
    """The head of a frame; `start`: where its payload begins, after the key that masks it."""

    first: int
    length: int
    start: int

    @property
    def opcode(self) -> int:
        return self.first & 0x0F


class _Partial:
    """What an inbox holds while a frame or a message is not whole."""

    __slots__ = ("bytes", "deflated", "message")

    def __init__(self) -> None:
        self.bytes = bytearray()
        self.message: bytearray | None = None
        self.deflated = False


_OVER: Final = _Partial()
"""In the place of what waits: nothing is read any more."""


class WsInbox:
    """Reads one client.

    It never holds more than one message, the head of a frame, and one control frame.

    Args:
        most: Bytes that a message may have, as it comes and when it is inflated.
        deflate: Whether permessage-deflate was agreed on, with ``client_no_context_takeover``.
    """

    __slots__ = ("_deflate", "_most", "_partial")

    def __init__(self, most: int, *, deflate: bool = False) -> None:
        self._most = most
        self._deflate = deflate
        self._partial: _Partial | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing waits for its end, so that a new inbox would do as well."""
        return self._partial is None

    def feed(self, data: bytes) -> list[Received]:
        """Take what a read brought; return the messages and control frames that are whole with it.

        After a `Close`, or an error, whatever else comes is thrown away. The messages that came
        in one read with an error are lost, as the connection is.

        Raises:
            WsProtocolError: 1002: a frame that no client may send here; 1003: a binary message;
                1007: text that is not UTF-8, or cannot be inflated; 1009: more bytes than allowed.
        """
        partial = self._partial
        if partial is None:
            if (received := only_frame(data, self._most)) is not None:
                return [received]
            partial = self._partial = _Partial()
        elif partial is _OVER:
            return []
        return self._read(partial, data)

    def _read(self, partial: _Partial, data: bytes) -> list[Received]:
        frames = partial.bytes
        frames += data
        self._partial = _OVER  # should one of the frames be wrong, or the last
        received: list[Received] = []
        at = 0
        while (frame := self._head(partial, at)) is not None:
            after = frame.start + frame.length
            if len(frames) < after:
                break
            if (one := self._take(partial, frame)) is not None:
                received.append(one)
                if isinstance(one, Close):
                    return received
            at = after
        del frames[:at]
        self._partial = None if not frames and partial.message is None else partial
        return received

    def _head(self, partial: _Partial, at: int) -> _Frame | None:
        """Return the head of the frame that begins here, if it is there and fits here."""
        frames = partial.bytes
        if len(frames) - at < 2:
            return None
        first, second = frames[at], frames[at + 1]
        self._check(partial, first, second)
        length, start = second & 0x7F, at + 2
        if length > 125:
            start += 2 if length == 126 else 8
            if len(frames) < start:
                return None
            length = int.from_bytes(frames[at + 2 : start], "big")
            _check_length(length, start - at)
        if not first & 0x08:
            self._check_size(partial, length)
        return _Frame(first, length, start + 4)

    def _check(self, partial: _Partial, first: int, second: int) -> None:
        """Refuse a frame for its first two bytes (RFC 6455, sections 5.1, 5.2, 5.4, 5.5)."""
        opcode = first & 0x0F
        if opcode not in _OPCODES:
            raise WsProtocolError(PROTOCOL_ERROR, "unknown opcode")
        begins = opcode in (_TEXT, _BINARY)
        # Only the first frame of a message says that it is compressed (RFC 7692, section 6.1).
        allowed = _DEFLATED if self._deflate and begins else 0
        if first & _RESERVED & ~allowed:
            raise WsProtocolError(PROTOCOL_ERROR, "reserved bit")
        if not second & _MASKED:
            raise WsProtocolError(PROTOCOL_ERROR, "frame without a mask")
        if opcode & 0x08:
            if not first & _FINAL or second & 0x7F > 125:
                raise WsProtocolError(PROTOCOL_ERROR, "control frame too long or in pieces")
        elif begins is not (partial.message is None):
            raise WsProtocolError(PROTOCOL_ERROR, "message within a message, or none to go on with")
        elif opcode == _BINARY:
            raise WsProtocolError(UNSUPPORTED, "binary message")

    def _check_size(self, partial: _Partial, length: int) -> None:
        if length + len(partial.message or b"") > self._most:
            raise WsProtocolError(TOO_BIG, f"message of more than {self._most} bytes")

    def _take(self, partial: _Partial, frame: _Frame) -> Received | None:
        """Return what a whole frame says: None while its message has more of them to come."""
        payload = _unmasked(partial.bytes, frame.start, frame.length)
        if frame.first & 0x08:
            return _control(frame.opcode, payload)
        if partial.message is None:
            partial.deflated = bool(frame.first & _DEFLATED)
            if frame.first & _FINAL:
                return self._text(payload, deflated=partial.deflated)
            partial.message = bytearray()
        partial.message += payload
        if not frame.first & _FINAL:
            return None
        message, partial.message = partial.message, None
        return self._text(message, deflated=partial.deflated)

    def _text(self, message: bytes | bytearray, *, deflated: bool) -> Text:
        if deflated:
            try:
                message = ws_inflated(message, self._most)
            except zlib.error as wrong:
                raise WsProtocolError(NOT_UTF_8, "message cannot be inflated") from wrong
            if len(message) > self._most:
                raise WsProtocolError(TOO_BIG, f"message of more than {self._most} bytes")
        try:
            return Text(message.decode())
        except UnicodeDecodeError as wrong:
            raise WsProtocolError(NOT_UTF_8, "text that is not UTF-8") from wrong


def only_frame(data: bytes, most: int) -> Received | None:
    """Return what a read says that is one short, whole, plain frame; None: it needs a closer look.

    That is nearly every read that a client causes. It may be asked wherever an idle inbox would
    be: what is idle need not be there.

    Args:
        data: What the read brought.
        most: Bytes that a message may have.
    """
    length = len(data) - 6
    if not 0 <= length <= 125 or data[1] != _MASKED | length:
        return None
    first = data[0]
    if first == _FINAL | _TEXT and length <= most:
        try:
            return Text(_unmasked(data, 6, length).decode())
        except UnicodeDecodeError:
            return None
    if first == _FINAL | _PING:
        return Ping(_unmasked(data, 6, length))
    if first == _FINAL | _PONG:
        return Pong(_unmasked(data, 6, length))
    return None


def _unmasked(frames: bytes | bytearray, start: int, length: int) -> bytes:
    """Return a payload without its mask, which are the four bytes before it (section 5.3)."""
    key = frames[start - 4 : start]
    mask = int.from_bytes((key * (length // 4 + 1))[:length], "little")
    masked = int.from_bytes(frames[start : start + length], "little")
    return (masked ^ mask).to_bytes(length, "little")


def _check_length(length: int, size: int) -> None:
    """Refuse a length that says what fewer bytes could (section 5.2); `size` is the head's."""
    if length < (126 if size == 4 else 1 << 16) or length >> 63:
        raise WsProtocolError(PROTOCOL_ERROR, "length not in its shortest form")


def _control(opcode: int, payload: bytes) -> Received:
    if opcode == _PING:
        return Ping(payload)
    if opcode == _PONG:
        return Pong(payload)
    return _close(payload)


def _close(payload: bytes) -> Close:
    """Return what a close frame says (sections 5.5.1, 7.4)."""
    if not payload:
        return Close(None)
    code = int.from_bytes(payload[:2], "big")  # of a single byte: below all codes
    if code not in _GIVEN_CODES and not 3000 <= code <= 4999:
        raise WsProtocolError(PROTOCOL_ERROR, "close code that may not be sent")
    try:
        payload[2:].decode()
    except UnicodeDecodeError as wrong:
        raise WsProtocolError(NOT_UTF_8, "close reason that is not UTF-8") from wrong
    return Close(code)
