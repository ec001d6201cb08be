"""Control frames of WebSockets: pings are answered, and a closing waits for its answer."""

from __future__ import annotations

from . import ws_handshake
from .sockets import Socket
from .ws_inbox import Close, Ping, WsInbox, WsProtocolError

_UNREAD = 64 * 1024
"""Bytes that may wait for a client before its pings get no answer: it reads none anyway."""


def answer_ping(socket: Socket, ping: Ping) -> None:
    """Answer a ping, unless the client reads none of its answers (RFC 6455, section 5.5.3)."""
    if socket.buffered() < _UNREAD:
        socket.write(ws_handshake.pong(ping.payload))


def answer_close(socket: Socket, close: Close, *, linger: float) -> None:
    """Answer a client that closes, and end the connection (RFC 6455, section 7.1.1)."""
    socket.write(ws_handshake.close(close.code))
    socket.end(linger)


def close_websocket(
    socket: Socket, inbox: WsInbox, code: int, reason: str = "", *, linger: float
) -> None:
    """Close a WebSocket, and the connection once the client has answered (section 7).

    Nothing is done where that has begun already.

    Args:
        socket: The connection.
        inbox: Reads what the client sends; its answer may come after other messages.
        code: Why (section 7.4).
        reason: The same in words.
        linger: Seconds that the client has to answer.
    """
    if socket.sealed:
        return
    socket.write(ws_handshake.close(code, reason))
    socket.seal()
    socket.owner = _Closing(socket, inbox, linger)
    socket.hush(False)
    # Not shut at once: some clients take an end for a failure while their answer is not sent.
    socket.abort_in(linger)


class _Closing:
    """Waits for the client's answer."""

    __slots__ = ("_inbox", "_linger", "_socket")

    def __init__(self, socket: Socket, inbox: WsInbox, linger: float) -> None:
        self._socket = socket
        self._inbox = inbox
        self._linger = linger

    def heard(self, data: bytes) -> None:
        """Look whether this is the answer."""
        try:
            answered = any(isinstance(one, Close) for one in self._inbox.feed(data))
        except WsProtocolError:
            answered = True
        if answered:
            self._socket.end(self._linger)

    def hung_up(self) -> None:
        """Take no notice: it has ended, as it should."""
