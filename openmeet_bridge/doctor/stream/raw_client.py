"""HTTP written by hand: requests as no library would send them, and answers as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs
from multidict import CIMultiDict

from .event_stream import EventStream
from .patience import Patience
from .reading import Frame, Reading
from .sse_client import KIND, SSE, take
from .target import Caller, Target
from .trouble import NETWORK, Broken, Refused, from_network

_HEAD = 1 << 16
_PIECE = 1 << 16
_BODY = 1 << 20


@dataclass(frozen=True)
class Head:
    """The head of an answer."""

    version: str
    status: int
    headers: CIMultiDict[str]

    @property
    def length(self) -> int | None:
        """The length of the body, where it is said before."""
        said = self.headers.get(hdrs.CONTENT_LENGTH, "")
        return int(said) if said.isdigit() else None

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks (RFC 9112, section 7.1)."""
        return "chunked" in self.headers.get(hdrs.TRANSFER_ENCODING, "").lower()

    @property
    def closes(self) -> bool:
        """Whether the connection ends with this answer."""
        said = self.headers.get(hdrs.CONNECTION, "").lower()
        return "close" in said or (self.version == "1.0" and "keep-alive" not in said)


class Connection:
    """One connection. Open it with :func:`connection`."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, patience: Patience
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._patience = patience

    async def send(self, *pieces: bytes) -> None:
        """Send a request in pieces, with a pause between them.

        Raises:
            Trouble: The connection has ended.
        """
        try:
            for number, piece in enumerate(pieces):
                if number:
                    await asyncio.sleep(self._patience.pause)
                self._writer.write(piece)
                await self._writer.drain()
        except NETWORK as error:
            raise from_network(error) from error

    async def head(self) -> Head:
        """Return the head of the next answer.

        Raises:
            Trouble: None comes.
        """
        try:
            async with asyncio.timeout(self._patience.answer):
                raw = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            raise Broken("the head of the answer has no end") from None
        except NETWORK as error:
            raise from_network(error) from error
        return _parsed(raw)

    async def body(self, head: Head) -> bytes:
        """Return the beginning of a body that ends.

        Raises:
            Trouble: It does not come.
        """
        body = b""
        try:
            async with asyncio.timeout(self._patience.answer):
                async for piece in self._pieces(head):
                    body += piece
                    if len(body) > _BODY:
                        raise Broken("the answer has no end")
        except NETWORK as error:
            raise from_network(error) from error
        return body

    async def hello(self, head: Head) -> Frame:
        """Return the first frame of a stream.

        Raises:
            Refused: The answer is no stream.
            Trouble: None comes in time.
        """
        if head.status != 200 or not head.headers.get(hdrs.CONTENT_TYPE, "").startswith(KIND):
            raise Refused(head.status, head.headers, b"")
        stream, record = EventStream(), Reading(SSE)
        try:
            async with asyncio.timeout(self._patience.first):
                async for piece in self._pieces(head):
                    take(stream, piece, record)
                    if record.hello is not None:
                        return record.hello
        except NETWORK as error:
            raise from_network(error) from error
        raise Broken("the stream ended before its first frame")

    async def _pieces(self, head: Head) -> AsyncIterator[bytes]:
        if head.chunked:
            while size := await self._chunk_size():
                yield await self._reader.readexactly(size)
                await self._reader.readexactly(2)
            await self._reader.readuntil(b"\r\n")
            return
        rest = head.length
        while rest is None or rest > 0:
            piece = await self._reader.read(_PIECE if rest is None else min(rest, _PIECE))
            if not piece:
                return
            rest = None if rest is None else rest - len(piece)
            yield piece

    async def _chunk_size(self) -> int:
        line = await self._reader.readuntil(b"\r\n")
        try:
            size = int(line.split(b";")[0], 16)
        except ValueError:
            raise Broken("the body says that it is chunked, and is not") from None
        if size > _BODY:
            raise Broken("the body has a chunk without an end")
        return size


@asynccontextmanager
async def connection(target: Target) -> AsyncIterator[Connection]:
    """Have a connection for the length of the block.

    Raises:
        Trouble: Nobody answers.
    """
    host, port = target.door
    tls = target.tls
    name = target.base.host if tls else None
    try:
        async with asyncio.timeout(target.patience.answer):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=tls, server_hostname=name, limit=_HEAD
            )
    except NETWORK as error:
        raise from_network(error) from error
    try:
        yield Connection(reader, writer, target.patience)
    finally:
        writer.transport.abort()


HTTP_1_1: Final = "HTTP/1.1"
HTTP_1_0: Final = "HTTP/1.0"


def request(target: Target, caller: Caller, path: str, version: str = HTTP_1_1) -> bytes:
    """Return a request as bytes."""
    url = target.url(path)
    host = url.host_port_subcomponent or ""
    lines = [f"GET {url.raw_path_qs} {version}", f"Host: {host}", f"Accept: {KIND}, */*"]
    lines += [f"{name}: {value}" for name, value in caller.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def halves(whole: bytes) -> Sequence[bytes]:
    """Return a request cut in the middle of a header."""
    middle = whole.index(b"Accept") + 3
    return whole[:middle], whole[middle:]


def _parsed(raw: bytes) -> Head:
    first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
        raise Broken("what answers does not speak HTTP/1")
    headers: CIMultiDict[str] = CIMultiDict()
    for line in lines:
        name, _, value = line.partition(":")
        headers.add(name.strip(), value.strip())
    return Head(words[0].removeprefix("HTTP/"), int(words[1]), headers)
