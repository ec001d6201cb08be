"""Shared compression: any reader of the standard formats has what was written, at once."""

from __future__ import annotations

import gzip
import io
import random
import zlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import FrameProtocol, Opcode

from openmeet_bridge.stream.deflate import (
    WINDOW,
    sse_deflated,
    sse_gzip_header,
    ws_deflated,
    ws_inflated,
)

EVENT = b'{"type":"timeline","data":{"sender":"@ann:test","subject":"@ann:test","text":"%b"}}'
LONG = b"".join(EVENT % str(number).encode() for number in range(20_000))  # above all windows


def messages(frames: bytes, server_bits: int = WINDOW) -> list[str]:
    """What a client reads that has agreed on this window."""
    extension = PerMessageDeflate()
    extension.finalize(
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
        f"server_max_window_bits={server_bits}"
    )
    client = FrameProtocol(client=True, extensions=[extension])
    client.receive_bytes(frames)
    read, text = [], ""
    for frame in client.received_frames():
        assert frame.opcode is Opcode.TEXT
        text += str(frame.payload)
        if frame.message_finished:
            read.append(text)
            text = ""
    return read


def test_web_socket_frames_are_the_same_for_all_readers() -> None:
    one, two = EVENT % (b"hello " * 20), EVENT % (b"again " * 20)
    frames = [ws_deflated(text) for text in (one, two)]
    assert frames[0][0] == 0xC1  # final, compressed, text; and without a mask:
    assert frames[0][1] == len(frames[0]) - 2 < len(one)
    for bits in (WINDOW, 15):
        assert messages(frames[0] + frames[1], bits) == [one.decode(), two.decode()]
        # Who begins later has not seen the first, and may get one twice.
        assert messages(frames[1] + frames[1], bits) == [two.decode(), two.decode()]


@pytest.mark.parametrize("text", [b"", b"{}", b'{"type":"heartbeat","data":{}}'])
def test_what_does_not_get_smaller_goes_as_it_is(text: bytes) -> None:
    assert ws_deflated(text) == bytes((0x81, len(text))) + text
    assert messages(ws_deflated(text)) == [text.decode()]


@pytest.mark.parametrize(("size", "head"), [(125, 2), (126, 4), (65_535, 4), (65_536, 10)])
def test_lengths(size: int, head: int, monkeypatch: pytest.MonkeyPatch) -> None:
    module = "openmeet_bridge.stream.deflate._deflated"
    monkeypatch.setattr(module, lambda _: b"\xaa" * size + b"\0\0\xff\xff")
    frame = ws_deflated(bytes(size + 1))
    assert frame[head:] == b"\xaa" * size
    assert frame[1] == {2: size, 4: 126, 10: 127}[head]
    assert head == 2 or int.from_bytes(frame[2:head], "big") == size


def test_a_long_text() -> None:
    assert messages(ws_deflated(LONG)) == [LONG.decode()]


def written(blocks: Sequence[bytes]) -> list[bytes]:
    """The writes of one stream."""
    return [sse_gzip_header(), *map(sse_deflated, blocks)]


blocks = st.one_of(
    st.text(max_size=300).map(str.encode), st.binary(max_size=300), st.just(LONG[:9000])
)


@settings(max_examples=60, deadline=None)
@given(sent=st.lists(blocks, max_size=6), size=st.integers(1, 400))
def test_a_body_of_pieces_is_gzip(sent: list[bytes], size: int) -> None:
    # As they come: after each write the reader has all that was in it.
    reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert [reader.decompress(write) for write in written(sent)] == [b"", *sent]
    assert not reader.eof
    # As a network cuts them.
    body = b"".join(written(sent))
    reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
    cut = [reader.decompress(body[at : at + size]) for at in range(0, len(body), size)]
    assert b"".join(cut) == b"".join(sent)


def test_pieces_do_not_refer_to_others() -> None:
    first, second = (sse_deflated(b"data: %b\n\n" % (EVENT % text)) for text in (b"1", b"2"))
    assert first != second
    for order in ([first, second], [second, first], [second], [first] * 3):
        reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
        body = reader.decompress(sse_gzip_header() + b"".join(order))
        assert body.count(b"data: ") == len(order)


def test_another_reader_of_gzip() -> None:
    body = b"".join(written([LONG, b": nothing\n\n", LONG]))
    length = 2 * len(LONG) + 11
    with gzip.open(io.BytesIO(body)) as reader:
        assert reader.read(length) == LONG + b": nothing\n\n" + LONG
        with pytest.raises(EOFError):  # the stream has not ended: it was cut
            reader.read(1)
    assert len(body) < length / 5


def test_a_client_may_have_a_larger_window() -> None:
    text = random.Random(1).randbytes(20_000) * 2
    writer = zlib.compressobj(wbits=-15)
    message = writer.compress(text) + writer.flush(zlib.Z_SYNC_FLUSH)
    assert len(message) < 21_000
    assert ws_inflated(message.removesuffix(b"\0\0\xff\xff"), 40_000) == text


def test_inflating_stops_when_it_is_too_much() -> None:
    bomb = zlib.compress(bytes(20_000_000), wbits=-15)
    assert ws_inflated(bomb, 1000) == bytes(1001)
    with pytest.raises(zlib.error, match="after the last block"):
        ws_inflated(zlib.compress(b"a", wbits=-15) + b"more", 1000)
