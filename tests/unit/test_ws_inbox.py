"""What WebSocket clients send: every rule of RFC 6455, section 5, and of RFC 7692."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason, FrameProtocol, Opcode, ParseFailed

from openmeet_bridge.stream.ws_inbox import (
    Close,
    Ping,
    Pong,
    Received,
    Text,
    WsInbox,
    WsProtocolError,
)

KEY = b"\x37\xfa\x21\x3d"  # of the examples in RFC 6455, section 5.7
MOST = 70_000

TEXT, BINARY, GO_ON, CLOSE, PING, PONG = 0x81, 0x82, 0x80, 0x88, 0x89, 0x8A
PIECE = 0x01  # the first of several
MIDDLE = 0x00
RSV1, RSV2, RSV3 = 0x40, 0x20, 0x10


def sent(first: int, payload: bytes = b"", *, size: int = 0, masked: int = 0x80) -> bytes:
    """A frame as a client sends it; `size`: bytes of the extended length, when not the least."""
    length = len(payload)
    size = size or (0 if length < 126 else 2 if length < 1 << 16 else 8)
    short = length if size == 0 else 126 if size == 2 else 127
    extended = length.to_bytes(size, "big") if size else b""
    hidden = bytes(byte ^ KEY[at % 4] for at, byte in enumerate(payload)) if masked else payload
    return bytes((first, short | masked)) + extended + (KEY if masked else b"") + hidden


def squeezed(text: bytes, level: int = 6) -> bytes:
    """A text as permessage-deflate sends it, without anything of the ones before."""
    writer = zlib.compressobj(level, zlib.DEFLATED, -15)
    return (writer.compress(text) + writer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")


def final(text: bytes) -> bytes:
    """The same as a final block and an empty one (RFC 7692, section 7.2.3.4)."""
    writer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return writer.compress(text) + writer.flush() + b"\0"


def referring(text: bytes) -> bytes:
    """A text as a client sends it again that keeps what it has sent before."""
    writer = zlib.compressobj(6, zlib.DEFLATED, -15)
    for _ in range(2):
        again = writer.compress(text) + writer.flush(zlib.Z_SYNC_FLUSH)
    return again.removesuffix(b"\0\0\xff\xff")


def rests(inbox: WsInbox) -> bool:
    """Whether it holds nothing."""
    return inbox._partial is None


def bytewise(data: bytes) -> list[bytes]:
    """The bytes one by one; what is longer than all heads together goes on in greater pieces."""
    return [data[at : at + 1] for at in range(min(600, len(data)))] + [
        data[at : at + 997] for at in range(600, len(data), 997)
    ]


def read(data: bytes, *, deflate: bool = False, most: int = MOST) -> list[Received]:
    """What comes of these bytes in one read, which is the same as in many."""
    inbox = WsInbox(most, deflate=deflate)
    received = inbox.feed(data)
    slowly = WsInbox(most, deflate=deflate)
    assert [one for piece in bytewise(data) for one in slowly.feed(piece)] == received
    assert rests(inbox) is rests(slowly)
    return received


def test_the_example_of_the_standard() -> None:
    assert read(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58") == [Text("Hello")]
    assert read(b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58") == [Pong(b"Hello")]
    hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00"  # RFC 7692, section 7.2.3.1
    assert read(sent(TEXT | RSV1, hello), deflate=True) == [Text("Hello")]


SNOW = "☃".encode()

MESSAGES: dict[str, tuple[bytes, list[Received]]] = {
    "nothing": (b"", []),
    "empty text": (sent(TEXT), [Text("")]),
    "125 bytes": (sent(TEXT, b"x" * 125), [Text("x" * 125)]),
    "126 bytes": (sent(TEXT, b"x" * 126), [Text("x" * 126)]),
    "65535 bytes": (sent(TEXT, b"x" * 65_535), [Text("x" * 65_535)]),
    "65536 bytes": (sent(TEXT, b"x" * 65_536), [Text("x" * 65_536)]),
    "empty ping": (sent(PING), [Ping(b"")]),
    "long ping": (sent(PING, b"\xff" * 125), [Ping(b"\xff" * 125)]),
    "pong": (sent(PONG, b"abc"), [Pong(b"abc")]),
    "in pieces": (
        sent(PIECE, b"a") + sent(MIDDLE, b"b") + sent(MIDDLE) + sent(GO_ON, b"c"),
        [Text("abc")],
    ),
    "ping within a message": (
        sent(PIECE, b"a") + sent(PING, b"p") + sent(GO_ON, b"b") + sent(TEXT, b"c"),
        [Ping(b"p"), Text("ab"), Text("c")],
    ),
    "a character in pieces": (
        sent(PIECE, SNOW[:1]) + sent(MIDDLE, SNOW[1:2]) + sent(GO_ON, SNOW[2:]),
        [Text("☃")],
    ),
    "close within a message": (sent(PIECE, b"a") + sent(CLOSE), [Close(None)]),
    "nothing after a close": (
        sent(TEXT, b"a") + sent(CLOSE, b"\x03\xe8bye") + sent(TEXT, b"b") + b"\xff\xff",
        [Text("a"), Close(1000)],
    ),
    "many in one read": (
        b"".join(sent(TEXT, b"%d" % number) for number in range(300)),
        [Text(str(number)) for number in range(300)],
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_messages(name: str) -> None:
    data, messages = MESSAGES[name]
    assert read(data) == messages


REFUSED: dict[str, tuple[int, bytes]] = {
    "no mask": (1002, sent(TEXT, b"a", masked=0)),
    "ping without a mask": (1002, sent(PING, b"a", masked=0)),
    "RSV1 without deflate": (1002, sent(TEXT | RSV1, squeezed(b"a"))),
    "RSV2": (1002, sent(TEXT | RSV2, b"a")),
    "RSV3": (1002, sent(TEXT | RSV3, b"a")),
    "RSV1 on a ping": (1002, sent(PING | RSV1)),
    **{f"opcode {code:#x}": (1002, sent(0x80 | code)) for code in (*range(3, 8), *range(11, 16))},
    "go on with nothing": (1002, sent(GO_ON, b"a")),
    "go on with nothing, after a message": (1002, sent(TEXT, b"a") + sent(GO_ON, b"a")),
    "message in a message": (1002, sent(PIECE, b"a") + sent(TEXT, b"b")),
    "binary in a message": (1002, sent(PIECE, b"a") + sent(BINARY, b"b")),
    "ping in pieces": (1002, sent(0x09, b"a")),
    "close in pieces": (1002, sent(0x08, b"\x03\xe8")),
    "ping of 126 bytes": (1002, sent(PING, b"a" * 126)),
    "close of 126 bytes": (1002, sent(CLOSE, b"\x03\xe8" + b"a" * 124)),
    "two bytes of length for 125": (1002, sent(TEXT, b"a" * 125, size=2)),
    "eight bytes of length for 65535": (1002, sent(TEXT, b"a" * 65_535, size=8)),
    "eight bytes of length for 5": (1002, sent(TEXT, b"a" * 5, size=8)),
    "length above 2^63": (1002, b"\x81\xff" + b"\xff" * 8),
    "close of one byte": (1002, sent(CLOSE, b"\x03")),
    "binary": (1003, sent(BINARY, b"a")),
    "binary in pieces": (1003, sent(0x02, b"a")),
    "no UTF-8": (1007, sent(TEXT, b"a\xff")),
    "half a character": (1007, sent(TEXT, SNOW[:2])),
    "half a character in pieces": (1007, sent(PIECE, SNOW[:1]) + sent(GO_ON, SNOW[1:2])),
    "surrogate": (1007, sent(TEXT, b"\xed\xa0\x80")),
    "close reason that is not UTF-8": (1007, sent(CLOSE, b"\x03\xe8\xff")),
    "too big": (1009, sent(TEXT, b"a" * (MOST + 1))),
    "too big in pieces": (1009, sent(PIECE, b"a" * 50_000) + sent(GO_ON, b"a" * 20_001)),
}


def refused(data: bytes, *, deflate: bool = False, most: int = MOST) -> int:
    """With what code it is refused, in one read; after that nothing is read."""
    inbox = WsInbox(most, deflate=deflate)
    with pytest.raises(WsProtocolError) as caught:
        inbox.feed(data)
    assert inbox.feed(sent(TEXT, b"a")) == []
    assert caught.value.reason == str(caught.value)
    return caught.value.code


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    code, data = REFUSED[name]
    assert refused(data) == code
    inbox = WsInbox(MOST)
    with pytest.raises(WsProtocolError) as caught:
        [inbox.feed(piece) for piece in bytewise(data)]
    assert caught.value.code == code


def test_close_codes() -> None:
    given_out = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
    for code in (0, 999, *range(1000, 1020), 1100, 2999, 3000, 3999, 4000, 4999, 5000, 65_535):
        frame = sent(CLOSE, code.to_bytes(2, "big"))
        if code in given_out:
            assert WsInbox(0).feed(frame) == [Close(code)]
        else:
            assert refused(frame) == 1002


def test_what_is_too_big_is_refused_for_its_length_alone() -> None:
    assert refused(sent(TEXT, b"a" * 11, size=0)[:6], most=10) == 1009
    assert refused(sent(TEXT, b"a" * 200)[:4], most=199) == 1009
    assert refused(sent(TEXT, b"a" * 11), most=10) == 1009
    assert read(sent(TEXT, b"a" * 10) + sent(PING, b"a" * 125), most=10) == [
        Text("a" * 10),
        Ping(b"a" * 125),  # a control frame has a limit of its own
    ]


def test_a_read_that_only_looks_like_one_short_frame() -> None:
    for size, code, extended in ((256, 126, b"\1\0"), (65_536, 127, b"\0\0\0\0\0\1\0\0")):
        # A mask of zeros, so that what is no mask would still make UTF-8 of it.
        frame, inbox = bytes((TEXT, 0x80 | code)) + extended + bytes(4) + b"a" * size, WsInbox(MOST)
        assert inbox.feed(frame[: 6 + code]) == []
        assert inbox.feed(frame[6 + code :]) == [Text("a" * size)]


def test_it_holds_nothing_at_rest() -> None:
    inbox = WsInbox(MOST, deflate=True)
    assert not hasattr(inbox, "__dict__")
    for whole in (TEXT, PING, PONG):
        inbox.feed(sent(whole, b"abc"))
        assert rests(inbox)
    for piece in (sent(TEXT, b"abc")[:3], sent(TEXT, b"abc")[3:]):
        inbox.feed(piece)
    assert rests(inbox)
    inbox.feed(sent(PIECE, b"abc"))
    assert not rests(inbox)
    inbox.feed(sent(GO_ON))
    assert rests(inbox)
    inbox.feed(b"")
    assert rests(inbox)


DEFLATED: dict[str, tuple[bytes, list[Received]]] = {
    "whole": (sent(TEXT | RSV1, squeezed(b"abc" * 99)), [Text("abc" * 99)]),
    "plain all the same": (sent(TEXT, b"abc"), [Text("abc")]),
    "empty": (sent(TEXT | RSV1, b"\0"), [Text("")]),
    "stored": (sent(TEXT | RSV1, squeezed(b"abc", 0)), [Text("abc")]),
    "final block": (sent(TEXT | RSV1, final(b"abc")), [Text("abc")]),
    "final and stored": (sent(TEXT | RSV1, b"\1"), [Text("")]),
    "two": (sent(TEXT | RSV1, squeezed(b"ab")) * 2, [Text("ab"), Text("ab")]),
    "in pieces, with a ping": (
        sent(PIECE | RSV1, squeezed(b"abc")[:2])
        + sent(PING)
        + sent(GO_ON, squeezed(b"abc")[2:])
        + sent(PIECE, b"x")
        + sent(GO_ON, b"y"),
        [Ping(b""), Text("abc"), Text("xy")],
    ),
    "as big as allowed": (sent(TEXT | RSV1, squeezed(b"a" * MOST)), [Text("a" * MOST)]),
}


@pytest.mark.parametrize("name", DEFLATED)
def test_deflated(name: str) -> None:
    data, messages = DEFLATED[name]
    assert read(data, deflate=True) == messages


DEFLATED_REFUSED: dict[str, tuple[int, bytes]] = {
    "RSV1 on a later piece": (1002, sent(PIECE, b"a") + sent(GO_ON | RSV1, b"a")),
    "RSV1 on a close": (1002, sent(CLOSE | RSV1)),
    "RSV2 beside it": (1002, sent(TEXT | RSV1 | RSV2, squeezed(b"a"))),
    "not deflated": (1007, sent(TEXT | RSV1, b"\xff\xff\xff")),
    "more after the last block": (1007, sent(TEXT | RSV1, final(b"a") + b"abc")),
    "no UTF-8": (1007, sent(TEXT | RSV1, squeezed(b"\xff"))),
    "a byte too much": (1009, sent(TEXT | RSV1, squeezed(b"a" * (MOST + 1)))),
    "a bomb": (1009, sent(TEXT | RSV1, squeezed(bytes(50_000_000)))),
    "what was in the message before": (1007, sent(TEXT | RSV1, referring(b"matrix" * 9))),
}


@pytest.mark.parametrize("name", DEFLATED_REFUSED)
def test_deflated_and_refused(name: str) -> None:
    code, data = DEFLATED_REFUSED[name]
    assert refused(data, deflate=True) == code


# Beside another implementation: wsproto, as the client that writes and as a server that reads.


def theirs(*, client: bool, deflate: bool) -> FrameProtocol:
    extension = PerMessageDeflate()
    agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    if deflate and client:
        extension.finalize(agreed)
    elif deflate:
        extension.accept(agreed)
    return FrameProtocol(client, [extension])


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
small = st.binary(max_size=125)
controls = st.one_of(small.map(Ping), small.map(Pong))


class Saying(NamedTuple):
    """One message: its pieces, and what control frames go before each of them."""

    pieces: list[tuple[list[Ping | Pong], str]]


sayings = st.lists(st.tuples(st.lists(controls, max_size=2), texts), min_size=1, max_size=4)
closes = st.one_of(st.none(), st.just(Close(None)), st.integers(3000, 4999).map(Close))


def written(
    client: FrameProtocol, all_sayings: Sequence[Saying], close: Close | None
) -> tuple[bytes, list[Received]]:
    """The bytes of a client, and what they mean."""
    data, meant = bytearray(), list[Received]()
    for saying in all_sayings:
        for number, (before, text) in enumerate(saying.pieces, 1):
            for control in before:
                frame = client.ping if isinstance(control, Ping) else client.pong
                data += frame(control.payload)
            meant += before
            data += client.send_data(text, fin=number == len(saying.pieces))
        meant.append(Text("".join(text for _, text in saying.pieces)))
    if close is not None:
        data += client.close(close.code)
        meant.append(close)
    return bytes(data), meant


@settings(max_examples=100, deadline=None)
@given(
    said=st.lists(sayings.map(Saying), max_size=5),
    close=closes,
    deflate=st.booleans(),
    mask=st.binary(min_size=4, max_size=4),
    cuts=st.lists(st.floats(0, 1), max_size=8),
)
def test_whatever_a_client_writes_however_it_is_cut(
    said: list[Saying], close: Close | None, deflate: bool, mask: bytes, cuts: list[float]
) -> None:
    with patch("os.urandom", lambda _: mask):
        data, meant = written(theirs(client=True, deflate=deflate), said, close)
    inbox = WsInbox(MOST, deflate=deflate)
    places = [0, *sorted(int(cut * len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(places)]
    assert [one for piece in pieces for one in inbox.feed(piece)] == meant
    assert rests(inbox) is (close is None)


class Verdict(NamedTuple):
    """What was read, and the code of the refusal, if there was one."""

    received: list[Received]
    code: int | None


def their_verdict(data: bytes, *, deflate: bool) -> Verdict:
    server = theirs(client=False, deflate=deflate)
    server.receive_bytes(data)
    received, text = list[Received](), ""
    try:
        for frame in server.received_frames():
            payload = frame.payload
            match frame.opcode:
                case Opcode.PING:
                    assert isinstance(payload, bytes)
                    received.append(Ping(payload))
                case Opcode.PONG:
                    assert isinstance(payload, bytes)
                    received.append(Pong(payload))
                case Opcode.CLOSE:
                    code = int(payload[0])
                    received.append(Close(None if code == CloseReason.NO_STATUS_RCVD else code))
                case Opcode.TEXT:
                    text += str(payload)
                    if frame.message_finished:
                        received.append(Text(text))
                        text = ""
                case _:
                    pass  # binary: refused by ours
    except ParseFailed as failed:
        return Verdict(received, int(failed.code))
    return Verdict(received, None)


def our_verdict(data: bytes, *, deflate: bool) -> Verdict:
    """Read byte by byte, so that what comes before a refusal is seen."""
    inbox, received = WsInbox(MOST, deflate=deflate), list[Received]()
    try:
        for byte in data:
            received += inbox.feed(bytes((byte,)))
    except WsProtocolError as failed:
        return Verdict(received, failed.code)
    return Verdict(received, None)


firsts = st.one_of(
    st.sampled_from([TEXT, PIECE, MIDDLE, GO_ON, PING, PONG, CLOSE, TEXT | RSV1, PIECE | RSV1]),
    st.integers(0, 255),
)
payloads = st.one_of(
    st.binary(max_size=20),
    texts.map(str.encode),
    texts.map(lambda text: squeezed(text.encode())),
    st.integers(990, 5010).map(lambda code: code.to_bytes(2, "big")),
)
frames: st.SearchStrategy[bytes] = st.builds(
    lambda first, payload, size, masked: sent(first, payload, size=size, masked=masked),
    firsts,
    payloads,
    st.sampled_from([0, 0, 0, 0, 2, 8]),
    st.sampled_from([0x80, 0x80, 0x80, 0x80, 0]),
)
garbage = st.one_of(
    st.binary(max_size=40),
    st.tuples(st.lists(frames, max_size=6).map(b"".join), st.integers(0, 9)).map(
        lambda drawn: drawn[0][: len(drawn[0]) - drawn[1]]
    ),
)


# Always the same garbage: what a control frame does to their compression is a fault of theirs.
@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=garbage, deflate=st.booleans())
def test_garbage_is_refused_where_others_refuse_it(data: bytes, deflate: bool) -> None:
    other, our = their_verdict(data, deflate=deflate), our_verdict(data, deflate=deflate)
    if (other.code, our.code) in OURS_IS_STRICTER:
        return
    assert our.received[: len(other.received)] == other.received
    if our.code == 1002 and other.code is None:
        # Ours refuses a head for its first two bytes, theirs when it is whole.
        assert their_verdict(data + bytes(14), deflate=deflate).code in (1002, 1007)
    elif other.code == 1007:
        # Theirs looks at a text piece by piece, ours when it is whole: something may come first.
        assert our.code in (None, 1002, 1003, 1007, 1009)
    elif our.received[len(other.received) :] == [Close(1014)]:
        assert other.code == 1002  # a code that has been registered since
    else:
        assert our == other


OURS_IS_STRICTER = {
    # Theirs takes binary messages, and messages of any size.
    (None, 1003),
    (1002, 1003),
    (None, 1009),
    (1002, 1009),
}
