"""Compression that readers share: what all of them get is compressed once, each frame by itself.

A compressor for every reader, which knows what it has sent before, would halve the bytes again; it
would also cost as much time for each delivery as the whole fan-out of an event, and more memory
than all else that a stream needs. So nothing here refers to a frame before it, and the bytes of a
compressed frame are the same for all readers, as those of a plain one are.
"""

from __future__ import annotations

import zlib
from typing import Final

WINDOW: Final = 12
"""Bits of the window that is compressed with: 4 KiB, which costs half the time of 32 KiB."""

_LEVEL = 6
_MEMORY = 5  # as small as frames are: a compressor clears its tables each time

_TAIL = b"\x00\x00\xff\xff"
"""The end of what is flushed: an empty stored block. WebSocket messages leave it out."""

_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # RFC 1952, section 2.3


def ws_deflated(text: bytes) -> bytes:
    """Return one unmasked WebSocket text frame with a compressed message (RFC 7692, section 7.2.1).

    A text that would not get smaller goes as it is: the extension leaves that to each message.
    """
    first, message = 0xC1, _deflated(text).removesuffix(_TAIL)
    if len(message) >= len(text):
        first, message = 0x81, text
    length = len(message)
    if length < 126:
        return bytes((first, length)) + message
    if length < 1 << 16:
        return bytes((first, 126)) + length.to_bytes(2, "big") + message
    return bytes((first, 127)) + length.to_bytes(8, "big") + message


def sse_gzip_header() -> bytes:
    """Return what a body with ``Content-Encoding: gzip`` begins with.

    What `sse_deflated` has made follows, in any number and order. The body has no end of its own:
    it is cut with the connection, as the body of a stream is.
    """
    return _GZIP_HEADER


def sse_deflated(block: bytes) -> bytes:
    """Return whole server-sent events as a piece of a compressed body, for any reader.

    It ends at a byte (an empty stored block, RFC 1951, section 3.2.4), so that pieces can follow
    one another, and a reader has all of it as soon as the piece is there.
    """
    return _deflated(block)


def ws_inflated(message: bytes | bytearray, most: int) -> bytes:
    """Return a message that a client compressed without anything of the ones before it.

    RFC 7692, section 7.2.2. No more is inflated than is needed to see that it is too much.

    Args:
        message: The payload of all its frames.
        most: Bytes that it may have. One more comes back where there are more.

    Raises:
        zlib.error: It is not compressed so.
    """
    reader = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = reader.decompress(bytes(message) + _TAIL, most + 1)
    # A message may end in a final block and an empty one (section 7.2.3.4); nothing else follows.
    if reader.eof and not (b"\x00" + _TAIL).endswith(reader.unused_data):
        raise zlib.error("data after the last block")
    return inflated


def _deflated(data: bytes) -> bytes:
    writer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -WINDOW, _MEMORY)
    return writer.compress(data) + writer.flush(zlib.Z_SYNC_FLUSH)
