"""A client of Engine.IO: what is read from it, and what waits until it reads.

On WebSocket everything goes to the socket at once, broadcasts in bytes that all readers share.
A client that polls has its packets kept here until it asks for them; the change from one to the
other writes what was kept first, and nothing comes in between. A client has no task and no timer,
and what is of no use on WebSocket is not there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from engineio.exceptions import ContentTooLongError, EngineIOError

from ...stream.frames import ws_text
from ...stream.socketio_wire import packets
from ...stream.sockets import Sockets
from ...stream.ws_handshake import UpgradeRefused, check_upgrade
from ..asking import Visit
from ..handover import HandedOver, HandedRequest, upgrade_headers
from .socketio_limits import SocketLimits
from .socketio_line import Line
from .socketio_polling import Polling
from .socketio_pulse import Pulse
from .socketio_said import Said
from .socketio_strangers import Strangers

_OPEN, _CLOSE, _PING, _PONG, _MESSAGE, _UPGRADE, _NOOP = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
_PROBE = "probe"

TRANSPORT_CLOSE: Final = "transport close"
TRANSPORT_ERROR: Final = "transport error"
GOING_AWAY: Final = 1001
"""WebSocket close code (RFC 6455, 7.4.1)."""

_PACKETS_OF_A_POLL = 16
"""As many are sent, and taken, at once: some clients refuse more."""

_SEPARATOR = "\x1e"
_HIGH_WATER = 64 * 1024
_DRAIN_POLL = 0.02
_LINGER = 2.0
_UPGRADE_SECONDS = 10.0


class Packet:
    """One packet of a poll, as engineio wants it."""

    __slots__ = ("_text",)

    def __init__(self, packet: bytes) -> None:
        self._text = packet.decode()

    def encode(self, b64: bool = False) -> str:
        """Return it as it is sent. There are no binary packets."""
        return self._text


@dataclass(slots=True)
class Common:
    """What all clients have in common.

    Attributes:
        limits: What each of them may do.
        sockets: Hold the connections of those on WebSocket.
        strangers: Those of whom nobody knows who they are.
        pulse: Asks them for signs of life.
        heard: Called with each message that one of them sends.
        gone: Called once with each of them, and the reason, when it has gone.
    """

    limits: SocketLimits
    sockets: Sockets
    strangers: Strangers
    pulse: Pulse
    heard: Callable[[EngineSocket, str], Awaitable[None]]
    gone: Callable[[EngineSocket, str], None]


class EngineSocket:
    """One client. It is a sink of the hub.

    Its methods with engineio's names are called by that; none of them waits for the client.

    Args:
        sid: Its session id, a secret between the two.
        said: What it has said in its first request.
        common: What all clients have in common.

    Attributes:
        connected: Whether it may be talked to.
        closed: Whether it has gone.
        attempts: How often it has said who it is.
    """

    __slots__ = (
        "_common",
        "_line",
        "_polling",
        "attempts",
        "closed",
        "connected",
        "said",
        "sid",
    )

    def __init__(self, sid: str, said: Said, common: Common) -> None:
        self.sid = sid
        self.said = said
        self.connected = self.closed = False
        self.attempts = 0
        self._common = common
        self._line: Line | None = None
        self._polling: Polling | None = None

    @property
    def upgraded(self) -> bool:
        """Whether it is on WebSocket."""
        return self._line is not None

    @property
    def upgrading(self) -> bool:
        """Whether it polls, and tries a WebSocket."""
        return self._polling is not None and self._polling.upgrading

    @property
    def message_bytes(self) -> int:
        """How long one of its messages may be."""
        return self._common.limits.message_bytes

    def begin(self) -> None:
        """Start to ask for signs of life, and to wait until somebody knows who it is."""
        self._common.pulse.begin(self.sid)
        self.forget()

    def know(self) -> None:
        """Note that it is known who it is."""
        self._common.strangers.discard(self.sid)

    def forget(self) -> None:
        """Note that it is not known any more who it is: it has a moment to say so again."""
        if not self.closed:
            self._common.strangers.add(self.sid)

    # Writing

    @property
    def fd(self) -> int:
        """The descriptor of its WebSocket, or -1."""
        return -1 if self._line is None else self._line.socket.fd

    @property
    def behind_since(self) -> float:
        """Since when bytes wait on its WebSocket; 0 where none do."""
        return 0.0 if self._line is None else self._line.socket.behind_since

    def write(self, data: bytes) -> None:
        """Send WebSocket frames, or what is in them; after the end they vanish."""
        if self._line is not None:
            self._line.socket.write(data)
            return
        for packet in packets(data):
            self._keep(packet)

    def keep(self, data: bytes, sent: int) -> None:
        """Keep what its WebSocket has not taken."""
        if self._line is not None:
            self._line.socket.keep(data, sent)

    def fail(self) -> None:
        """Note that its WebSocket is gone."""
        if self._line is not None:
            self._line.socket.fail()

    def buffered(self) -> int:
        """Return how many bytes wait because the client does not read."""
        if self._line is not None:
            return self._line.socket.buffered()
        return 0 if self._polling is None else self._polling.bytes

    async def drain(self) -> None:
        """Wait until most of what was written is read.

        Raises:
            ConnectionResetError: The client has gone.
        """
        while self.buffered() > _HIGH_WATER and not self.closed:  # noqa: ASYNC110
            await asyncio.sleep(_DRAIN_POLL)
        if self.closed:
            raise ConnectionResetError("the client has gone")

    def post(self, packet: bytes) -> None:
        """Send one packet; a client that reads none of them is cut off."""
        self.write(ws_text(packet))
        if self.buffered() > self._common.limits.buffer_bytes:
            self.end(TRANSPORT_ERROR, abort=True)

    async def send(self, packet: Any) -> None:
        """Send one packet of engineio's."""
        self.post(packet.encode().encode())

    def ask(self) -> None:
        """Ask it for a sign of life."""
        self.post(_PING)

    def silent(self) -> None:
        """Take it for gone, as it has given none."""
        self.end("ping timeout", abort=True)

    def _keep(self, packet: bytes) -> None:
        if not self.closed:
            self._as_polling().keep(packet)

    def _as_polling(self) -> Polling:
        if self._polling is None:
            self._polling = Polling()
        return self._polling

    # Reading

    def _taken(self, text: str) -> bool:
        """Take one packet of the client's, unless it is a message; return whether it is taken.

        Raises:
            EngineIOError: It is none that a client may send now.
        """
        kind = text[:1].encode()
        if kind == _MESSAGE:
            return False
        if kind == _PONG:
            self._common.pulse.felt(self.sid)
        elif kind == _CLOSE:
            self.end("client disconnect")
        elif kind not in (_UPGRADE, _NOOP):
            raise EngineIOError("not a packet of a client")
        return True

    async def _take_in(self, text: str) -> None:
        """Take one packet of the client's; raises as :meth:`_taken` does."""
        if not self._taken(text):
            await self._common.heard(self, text[1:])

    async def handle_get_request(self, environ: Mapping[str, Any]) -> Any:
        """Answer a poll with what is there, or speak WebSocket to the end.

        Raises:
            EngineIOError: The client polls twice at once, so that it could not tell the order.
        """
        request: web.Request = environ["aiohttp.request"]
        if request.query.get("transport") == "websocket":
            return await self.open_websocket(request)
        if self.upgrading or self.upgraded:
            return [Packet(_NOOP)]
        if self._is_polled:
            raise EngineIOError("polled twice at once")
        return await self.poll()

    @property
    def _is_polled(self) -> bool:
        return self._polling is not None and self._polling.polled

    async def poll(self) -> list[Packet]:
        """Wait for packets, and return the first of them."""
        polling = self._as_polling()
        polling.polled = True
        try:
            while not (polling or self.closed or self.upgraded):
                await polling.news()
        except asyncio.CancelledError:
            self.end(TRANSPORT_CLOSE, abort=True)
            raise
        finally:
            polling.polled = False
        found = polling.take(_PACKETS_OF_A_POLL)
        return [Packet(one) for one in found or [_CLOSE if self.closed else _NOOP]]

    async def handle_post_request(self, environ: Mapping[str, Any]) -> None:
        """Take what a client sends that polls.

        Raises:
            EngineIOError: It is too much, or nothing that a client may send.
        """
        request: web.Request = environ["aiohttp.request"]
        length = request.content_length
        if length is None or length > self.message_bytes:
            raise ContentTooLongError
        try:
            body = (await request.content.readexactly(length)).decode()
        except (UnicodeDecodeError, asyncio.IncompleteReadError) as error:
            raise EngineIOError("not a body of packets") from error
        texts = body.split(_SEPARATOR)
        if len(texts) > _PACKETS_OF_A_POLL:
            raise EngineIOError("too many packets at once")
        for text in texts:
            if not self.closed:
                await self._take_in(text)

    # WebSocket

    async def open_websocket(self, request: web.Request, first: bytes = b"") -> web.StreamResponse:
        """Answer a request with a WebSocket, if it asks for one as it should; see :meth:`open`."""
        if self.upgrading or self.upgraded:
            return web.Response(status=400)
        try:
            key = check_upgrade(request.headers)
        except UpgradeRefused as refusal:
            return web.Response(status=refusal.status, headers=refusal.headers)
        await self.open(HandedRequest(request, self._common.sockets), key, first)
        return HandedOver(status=101)

    async def open(self, visit: Visit, key: str, first: bytes = b"") -> None:
        """Open a WebSocket.

        Args:
            visit: The request that asks for it.
            key: What its answer is made of.
            first: WebSocket frames with which it begins.

        Raises:
            ConnectionError: The client has gone.
        """
        polling = self._polling
        if polling is not None:
            polling.upgrading = True
        try:
            socket = await visit.answer(101, upgrade_headers(key), first)
        except ConnectionError:
            if polling is not None:
                polling.upgrading = False
            raise
        line = Line(socket, self)
        if self.closed:  # meanwhile
            line.drop(GOING_AWAY, _LINGER)
        elif polling is not None:
            self._try(polling, line)
        else:
            self._move_to(line)

    def _try(self, polling: Polling, line: Line) -> None:
        """Let a client that polls try a WebSocket."""
        polling.tried = line
        asyncio.get_running_loop().call_later(_UPGRADE_SECONDS, self._untried, line)

    @property
    def _tried(self) -> Line | None:
        return None if self._polling is None else self._polling.tried

    def _probed(self, line: Line, text: str) -> None:
        """Take what a client says that polls, and tries the WebSocket."""
        if text == f"{_PING.decode()}{_PROBE}":
            line.say(b"%b%b" % (_PONG, _PROBE.encode()))
            if self._is_polled:
                self._keep(_NOOP)  # ends the poll
        elif text == _UPGRADE.decode():
            self._move_to(line)
        else:
            self._untried(line)

    def _untried(self, line: Line) -> None:
        """Note that a WebSocket will not be used: the client goes on to poll."""
        polling = self._polling
        if polling is not None and polling.tried is line:
            polling.tried = None
            polling.upgrading = False
            line.drop(GOING_AWAY, _LINGER)

    def _move_to(self, line: Line) -> None:
        """Send what was kept, and from now on everything, by a WebSocket."""
        polling, self._polling = self._polling, None
        self._line = line
        self.connected = True
        if polling is not None:
            if polling:
                line.socket.write(b"".join(map(ws_text, polling.take(len(polling)))))
            polling.wake()

    def take_at_once(self, line: Line, text: str) -> bool:
        """Take what has come on a WebSocket, unless it is a message: that may need time."""
        if line is self._tried:
            self._probed(line, text)
        elif line is self._line and not self.closed:
            try:
                return self._taken(text)
            except EngineIOError:
                self.end(TRANSPORT_ERROR)
        return True

    async def take(self, line: Line, text: str) -> None:
        """Take a message that has come on the WebSocket."""
        await self._common.heard(self, text[1:])

    def gone(self, line: Line, orderly: bool) -> None:
        """Note the end of a WebSocket."""
        if line is self._line:
            self.end(TRANSPORT_CLOSE if orderly else TRANSPORT_ERROR)
        else:
            self._untried(line)

    # The end

    def end(self, reason: str, *, code: int = GOING_AWAY, abort: bool = False) -> None:
        """Drop the transport, so that the client comes back. Harmless when that is done.

        Args:
            reason: Why, for those who are told.
            code: The WebSocket close code that the client is told.
            abort: Tell it nothing, and let nothing wait for it.
        """
        if self.closed:
            return
        polling = self._polling
        if polling is not None and polling.tried is not None:
            polling.tried.socket.abort()
            polling.tried = None
        if self._line is not None:
            if abort:
                self._line.socket.abort()
            else:
                self._line.drop(code, _LINGER)
        elif not abort:
            self._keep(_CLOSE)
        self.closed = True
        if self._polling is not None:
            self._polling.wake()
        self._common.pulse.end(self.sid)
        self.know()
        self._common.gone(self, reason)

    async def close(self, wait: bool = True, abort: bool = False, reason: str = "") -> None:
        """Drop the transport; engineio's word for :meth:`end`."""
        self.end(reason, abort=abort)
