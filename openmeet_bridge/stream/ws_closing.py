"""The closing of a WebSocket (RFC 6455, section 7): a last frame, the client's answer, the end."""

from __future__ import annotations

from . import ws_handshake
from .sockets import Socket
from .ws_inbox import Close, WsInbox, WsProtocolError


def close_websocket(
    socket: Socket, inbox: WsInbox, code: int, reason: str = "", *, linger: float
) -> None:
    """Close a WebSocket, and the connection once the client has answered.

    Args:
        socket: The connection.
        inbox: Reads what the client sends; its answer may come after other messages.
        code: Why (section 7.4).
        reason: The same in words.
        linger: Seconds that the client has to answer.
    """
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
