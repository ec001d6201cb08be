"""A client of Engine.IO: what is read from it, and what waits until it reads.

On WebSocket everything goes to the socket at once, broadcasts in bytes that all readers share.
A client that polls has its packets kept here until it asks for them; the change from one to the
other writes what was kept first, and nothing comes in between. There is no task and no other queue.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web
from engineio.exceptions import ContentTooLongError, EngineIOError

from ...stream.frames import ws_text
from ...stream.socketio_wire import packets
from ...stream.sockets import Sockets
from ...stream.ws_handshake import UpgradeRefused, check_upgrade
from ..handover import HandedOver, HandedRequest, upgrade_headers
from .socketio_limits import SocketLimits
from .socketio_line import Line
from .socketio_pulse import Pulse

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
_KEPT = 64
"""What a kept packet costs in memory, besides its bytes."""


class Packet:
    """One packet of a poll, as engineio wants it."""

    __slots__ = ("_text",)

    def __init__(self, packet: bytes) -> None:
        self._text = packet.decode()

    def encode(self, b64: bool = False) -> str:
        """Return it as it is sent. There are no binary packets."""
        return self._text


class EngineSocket:
    """One client. It is a sink of the hub.

    Its methods with engineio's names are called by that; none of them waits for the client.

    Args:
        sid: Its session id, a secret between the two.
        limits: What it may do.
        sockets: Hold its connection, once it is on WebSocket.
        strangers: All clients of whom nobody knows who they are; it is one of them at first.
        heard: Called with each message that it sends.
        gone: Called once, with the reason, when it has gone.

    Attributes:
        connected: Whether it may be talked to.
        upgraded: Whether it is on WebSocket.
        closed: Whether it has gone.
        attempts: How often it has said who it is.
    """

    __slots__ = (
        "_gone",
        "_heard",
        "_kept",
        "_kept_bytes",
        "_limits",
        "_line",
        "_news",
        "_patience",
        "_polled",
        "_pulse",
        "_sockets",
        "_strangers",
        "_tried",
        "attempts",
        "closed",
        "connected",
        "sid",
        "upgraded",
        "upgrading",
    )

    def __init__(
        self,
        sid: str,
        limits: SocketLimits,
        sockets: Sockets,
        strangers: set[EngineSocket],
        heard: Callable[[str, str], Awaitable[None]],
        gone: Callable[[EngineSocket, str], None],
    ) -> None:
        self.sid = sid
        self.connected = self.upgraded = self.upgrading = self.closed = False
        self.attempts = 0
        self._limits = limits
        self._sockets = sockets
        self._strangers = strangers
        strangers.add(self)
        self._heard = heard
        self._gone = gone
        self._line: Line | None = None
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._news = asyncio.Event()
        self._polled = False
        self._tried: Line | None = None
        self._pulse = Pulse(limits, self._ask, self._silent)
        self._patience: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Start to ask for signs of life, and to wait until somebody knows who it is."""
        self._pulse.begin()
        self.forget()

    def know(self) -> None:
        """Note that it is known who it is."""
        self._strangers.discard(self)
        if self._patience is not None:
            self._patience.cancel()

    def forget(self) -> None:
        """Note that it is not known any more who it is: it has a moment to say so again."""
        if not self.closed:
            self._strangers.add(self)
            self._patience = self._later(
                self._limits.stranger_seconds, lambda: self.end("never connected")
            )

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
        return self._kept_bytes if self._line is None else self._line.socket.buffered()

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
        if self.buffered() > self._limits.buffer_bytes:
            self.end(TRANSPORT_ERROR, abort=True)

    async def send(self, packet: Any) -> None:
        """Send one packet of engineio's."""
        self.post(packet.encode().encode())

    def _keep(self, packet: bytes) -> None:
        if not self.closed:
            self._kept.append(packet)
            self._kept_bytes += len(packet) + _KEPT
            self._news.set()

    def _take(self) -> bytes:
        packet = self._kept.popleft()
        self._kept_bytes -= len(packet) + _KEPT
        return packet

    def _ask(self) -> None:
        self.post(_PING)

    def _silent(self) -> None:
        self.end("ping timeout", abort=True)

    def _later(self, seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, call)

    # Reading

    async def _take_in(self, text: str) -> None:
        """Take one packet of the client's.

        Raises:
            EngineIOError: It is none that a client may send now.
        """
        kind = text[:1].encode()
        if kind == _MESSAGE:
            await self._heard(self.sid, text[1:])
        elif kind == _PONG:
            self._pulse.felt()
        elif kind == _CLOSE:
            self.end("client disconnect")
        elif kind not in (_UPGRADE, _NOOP):
            raise EngineIOError("not a packet of a client")

    async def handle_get_request(self, environ: Mapping[str, Any]) -> Any:
        """Answer a poll with what is there, or speak WebSocket to the end.

        Raises:
            EngineIOError: The client polls twice at once, so that it could not tell the order.
        """
        request: web.Request = environ["aiohttp.request"]
        if request.query.get("transport") == "websocket":
            return await self._websocket(request)
        if self.upgrading or self.upgraded:
            return [Packet(_NOOP)]
        if self._polled:
            raise EngineIOError("polled twice at once")
        return await self.poll()

    async def poll(self) -> list[Packet]:
        """Wait for packets, and return the first of them."""
        self._polled = True
        try:
            while not (self._kept or self.closed or self.upgraded):
                self._news.clear()
                await self._news.wait()
        except asyncio.CancelledError:
            self.end(TRANSPORT_CLOSE, abort=True)
            raise
        finally:
            self._polled = False
        found = [self._take() for _ in range(min(len(self._kept), _PACKETS_OF_A_POLL))]
        return [Packet(one) for one in found or [_CLOSE if self.closed else _NOOP]]

    async def handle_post_request(self, environ: Mapping[str, Any]) -> None:
        """Take what a client sends that polls.

        Raises:
            EngineIOError: It is too much, or nothing that a client may send.
        """
        request: web.Request = environ["aiohttp.request"]
        length = request.content_length
        if length is None or length > self._limits.message_bytes:
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

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        if self.upgrading or self.upgraded:
            return web.Response(status=400)
        try:
            key = check_upgrade(request.headers)
        except UpgradeRefused as refusal:
            return web.Response(status=refusal.status, headers=refusal.headers)
        upgrading = self.upgrading = self.connected
        try:
            visit = HandedRequest(request, self._sockets)
            socket = await visit.answer(101, upgrade_headers(key))
        except ConnectionError:
            self.upgrading = False
            raise
        line = Line(socket, self._limits.message_bytes, self._hear, self._lost)
        if self.closed:  # meanwhile
            line.drop(GOING_AWAY, _LINGER)
        elif upgrading:
            self._try(line)
        else:
            self._move_to(line)
        return HandedOver(status=101)

    def _try(self, line: Line) -> None:
        """Let a client that polls try a WebSocket."""
        self._tried = line
        line.take = lambda text: self._probed(line, text)
        line.gone = lambda _: self._untried(line)
        self._later(_UPGRADE_SECONDS, lambda: self._untried(line))

    async def _probed(self, line: Line, text: str) -> None:
        """Take what a client says that polls, and tries the WebSocket."""
        if self._tried is not line:
            return
        if text == f"{_PING.decode()}{_PROBE}":
            line.say(b"%b%b" % (_PONG, _PROBE.encode()))
            if self._polled:
                self._keep(_NOOP)  # ends the poll
        elif text == _UPGRADE.decode():
            self._tried = None
            line.take, line.gone = self._hear, self._lost
            self.upgrading = False
            self._move_to(line)
        else:
            self._untried(line)

    def _untried(self, line: Line) -> None:
        """Note that a WebSocket will not be used: the client goes on to poll."""
        if self._tried is line:
            self._tried = None
            self.upgrading = False
            line.drop(GOING_AWAY, _LINGER)

    def _move_to(self, line: Line) -> None:
        """Send what was kept, and from now on everything, by a WebSocket."""
        waiting = b"".join([ws_text(self._take()) for _ in range(len(self._kept))])
        self._line = line
        self.connected = self.upgraded = True
        self._news.set()
        if waiting:
            line.socket.write(waiting)

    def _lost(self, orderly: bool) -> None:
        self.end(TRANSPORT_CLOSE if orderly else TRANSPORT_ERROR)

    async def _hear(self, text: str) -> None:
        if self.closed:
            return
        try:
            await self._take_in(text)
        except EngineIOError:
            self.end(TRANSPORT_ERROR)

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
        if self._tried is not None:
            self._tried.socket.abort()
            self._tried = None
        if self._line is not None:
            if abort:
                self._line.socket.abort()
            else:
                self._line.drop(code, _LINGER)
        elif not abort:
            self._keep(_CLOSE)
        self.closed = True
        self._news.set()
        self._pulse.end()
        self.know()
        self._gone(self, reason)

    async def close(self, wait: bool = True, abort: bool = False, reason: str = "") -> None:
        """Drop the transport; engineio's word for :meth:`end`."""
        self.end(reason, abort=abort)
