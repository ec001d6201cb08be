"""Streams whose request is nothing but a head: they are let in without the HTTP server.

It is the same road as for all others: who is asked for, what is refused and with which words, what
an answer carries and what the log says of it. Only the work of a server is left out that could
read any request, and needs more time for it than everything else takes.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog
from aiohttp import hdrs
from multidict import CIMultiDict

from ..core.errors import BridgeError
from ..stream.sockets import Socket, Sockets
from . import edge
from .admission import too_fast
from .asking import Asking, Opener
from .cors import Cors
from .decoding import decode_query
from .errors import error_response
from .handover import head
from .open_streams import LINGER, OpenStreams
from .request_head import RequestHead, read_head
from .sessions import Session
from .streams import SSE_PATH, WS_PATH, SubscribingQuery, open_sse, open_ws

_OPENERS: Final = {SSE_PATH: open_sse, WS_PATH: open_ws}
_HUNG_UP: Final = 499
MOST_AT_ONCE: Final = 4096
"""Streams that are being let in: their tokens are looked at, and their rooms."""

_BUSY: Final = (429, 503)
"""Who is refused so is not to stay on the line."""

Then = Callable[[socket.socket], None]
"""Takes a connection on which a request was answered, and another one may come."""


class QuickVisit:
    """A visit whose request is on its connection still, to be read.

    Args:
        asking: The request.
        own: The connection.
        length: How many bytes of it the request is.
        sockets: Take the connection.
        cors: Knows which pages may read the answer.
        then: Takes the connection after a refusal.
    """

    def __init__(
        self,
        asking: RequestHead,
        own: socket.socket,
        length: int,
        sockets: Sockets,
        cors: Cors,
        then: Then,
    ) -> None:
        self._asking = asking
        self._own = own
        self._length = length
        self._sockets = sockets
        self._cors = cors
        self._then = then
        self.reference = edge.request_id(asking)
        self.taken: Socket | None = None

    @property
    def asking(self) -> Asking:
        """Return the request."""
        return self._asking

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> Socket:
        """See :meth:`Visit.answer`."""
        self._read()
        taken = self.taken = self._sockets.adopt(self._own)
        taken.write(self._head(status, CIMultiDict(headers)) + body)
        return taken

    def refuse(self, error: BridgeError) -> int:
        """Answer that there is no stream; return the status.

        The connection is left to whoever answers what may come on it next, or else closed.

        Raises:
            ConnectionResetError: The client has gone, or does not read.
        """
        response = error_response(error)
        body = bytes(response.body) if isinstance(response.body, bytes | bytearray) else b""
        fields = CIMultiDict(response.headers)
        fields[hdrs.CONTENT_LENGTH] = str(len(body))
        closes = response.status in _BUSY or self._is_last()
        if closes:
            said = fields.get(hdrs.CONNECTION)
            fields[hdrs.CONNECTION] = "close" if said is None else f"{said}, close"
        self._read()
        answer = self._head(response.status, fields) + body
        try:
            sent = self._own.send(answer)
        except OSError:
            sent = 0
        if sent < len(answer):
            raise ConnectionResetError("the client does not read what it is answered")
        if closes:
            self.taken = self._sockets.adopt(self._own)
            self.taken.end(LINGER)
        else:
            self._then(self._own)
        return response.status

    def abandon(self) -> None:
        """Let go of the connection: the client has gone, or sees a cut."""
        if self.taken is not None:
            self.taken.abort()
        self._own.close()

    def _is_last(self) -> bool:
        """Whether the client says that nothing will follow (RFC 9112, section 9.3)."""
        return "close" in self._asking.headers.get(hdrs.CONNECTION, "").lower()

    def _read(self) -> None:
        try:
            self._own.recv(self._length)
        except OSError:
            raise ConnectionResetError("the client has gone already") from None

    def _head(self, status: int, fields: CIMultiDict[str]) -> bytes:
        edge.add_fields(fields, self.reference)
        self._cors.add_fields(self._asking, fields)
        return head(status, fields)


class QuickStreams:
    """Lets streams in.

    Args:
        streams: Opens streams.
        authenticate: Tells who asks for one.
        cors: Knows which pages may read the answer.
        openers: Open what is asked for under other paths, of which the log says little.
        most: As many are let in at the same time; others are told to come back.
        clock: Seconds, monotonic, for the log's durations.
    """

    def __init__(
        self,
        streams: OpenStreams,
        authenticate: Callable[[Asking], Awaitable[Session]],
        cors: Cors,
        openers: Mapping[str, Opener] = {},
        most: int = MOST_AT_ONCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._streams = streams
        self._authenticate = authenticate
        self._cors = cors
        self._openers = openers
        self._most = most
        self._beginnings = tuple(f"GET {path}".encode() for path in (*_OPENERS, *openers))
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Return how many are being let in."""
        return len(self._tasks)

    @property
    def room(self) -> int:
        """Return how many more streams there may be."""
        return self._streams.admission.room

    def take(self, own: socket.socket, address: str, said: bytes, then: Then) -> bool:
        """Take a connection over, if a stream is asked for on it in the usual way.

        Args:
            own: The connection.
            address: The client's.
            said: What it has said, and can still be read.
            then: Takes the connection after a refusal: the client may ask for something else.

        Returns:
            Whether it is taken.
        """
        if not said.startswith(self._beginnings):
            return False
        asking = read_head(said, address)
        if asking is None:
            return False
        opener = self._openers.get(asking.path)
        if asking.path not in _OPENERS if opener is None else not opener.lets_in(asking):
            return False
        visit = QuickVisit(asking, own, len(said), self._streams.sockets, self._cors, then)
        task = asyncio.create_task(self._let_in(visit))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def settle(self, seconds: float) -> None:
        """Wait until all are in who are being let in, for so long at most."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def stop(self) -> None:
        """Let nobody in any more."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _let_in(self, visit: QuickVisit) -> None:
        # Of this task alone, and of the one that brings the stream to the present.
        structlog.contextvars.bind_contextvars(request_id=visit.reference)
        begin, status = self._clock(), _HUNG_UP
        asking = visit.asking
        try:
            status = await self._answered(visit)
        except ConnectionError:
            visit.abandon()
        except BaseException:
            visit.abandon()
            raise
        finally:
            seconds = self._clock() - begin
            quiet = asking.path in self._openers
            edge.note_request(asking.method, asking.path, status, seconds, quiet=quiet)

    async def _answered(self, visit: QuickVisit) -> int:
        """Open the stream, or say why not; return the status of the answer.

        Raises:
            ConnectionError: The client has gone.
        """
        asking = visit.asking
        try:
            if len(self._tasks) > self._most:
                raise too_fast()
            if opener := self._openers.get(asking.path):
                await opener.open(visit)
                return 101
            caller = await self._authenticate(asking)
            query = decode_query(asking, SubscribingQuery)
            await _OPENERS[asking.path](self._streams, visit, caller, query)
        except ConnectionError:
            raise
        except BridgeError as error:
            edge.note_refusal(error)
            return visit.refuse(error)
        except Exception:
            return visit.refuse(edge.unexpected(visit.reference))
        return 101 if asking.path == WS_PATH else 200
