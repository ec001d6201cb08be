"""A stream on a WebSocket: frames go out as everywhere, and what the client sends is read."""

from __future__ import annotations

from aiohttp import web

from ..stream import ws_handshake
from ..stream.frames import Wire
from ..stream.hub import Hub
from ..stream.sockets import Socket
from ..stream.subscriber import Subscriber
from ..stream.ws_closing import close_websocket
from ..stream.ws_handshake import check_upgrade
from ..stream.ws_inbox import Close, Ping, Text, WsInbox, WsProtocolError
from .handover import answer_and_take, handed_over, upgrade_headers
from .open_streams import LINGER, OpenStreams, StreamSocket
from .sessions import Session
from .stream_ends import StreamEnds

MESSAGE_BYTES = 4096
_GOING_AWAY = 1001


class WsSocket(StreamSocket):
    """The WebSocket of a stream.

    Args:
        hub: Delivers to the stream.
        socket: The connection.
        subscriber: The stream.
        ends: Is told of signs of its user.
    """

    __slots__ = ("_code", "_ends", "_inbox")

    def __init__(self, hub: Hub, socket: Socket, subscriber: Subscriber, ends: StreamEnds) -> None:
        super().__init__(hub, socket, subscriber)
        self._ends = ends
        self._inbox = WsInbox(MESSAGE_BYTES)
        self._code = _GOING_AWAY

    def heard(self, data: bytes) -> None:
        """Answer pings, and notice when the reader goes."""
        try:
            received = self._inbox.feed(data)
        except WsProtocolError as error:
            self._code = error.code
            self.hub.leave(self.subscriber)
            return
        for one in received:
            if isinstance(one, Ping):
                self._ends.sign(self.subscriber.mxid)
                self.socket.write(ws_handshake.pong(one.payload))
            elif isinstance(one, Close):
                self.socket.write(ws_handshake.close(one.code))
                self.socket.end(LINGER)
                self.hub.leave(self.subscriber)
            elif isinstance(one, Text):
                self._ends.sign(self.subscriber.mxid)
                self.told(one.text)

    def told(self, text: str) -> None:
        """Take a message of the client's: there is none that means anything."""

    def ended(self) -> None:
        """Say why, and end the connection with the client's answer."""
        code, words = self._code, ""
        reason = self.subscriber.reason
        if reason is not None:
            code, words = reason.ws_code, reason.value
        close_websocket(self.socket, self._inbox, code, words, linger=LINGER)


async def open_websocket(
    streams: OpenStreams, request: web.Request, caller: Session, cursor: str | None, wire: Wire
) -> web.StreamResponse:
    """Answer a request with a stream on a WebSocket.

    Raises:
        UpgradeRefused: The request opens no WebSocket.
        LimitExceeded: There are too many streams.
    """
    key = check_upgrade(request.headers)
    address = streams.admission.address(request)
    streams.admit(caller, address)
    socket = await answer_and_take(request, streams.sockets, 101, upgrade_headers(key))
    subscriber = streams.subscriber(caller, socket, wire, address)
    WsSocket(streams.hub, socket, subscriber, streams.ends)
    streams.begin(subscriber, cursor, caller)
    return handed_over(101)
