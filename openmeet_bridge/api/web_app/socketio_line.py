"""A WebSocket of a Socket.IO client: its texts are taken one after another, in their order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

from ...stream.frames import ws_text
from ...stream.sockets import Socket
from ...stream.ws_control import answer_close, answer_ping, close_websocket
from ...stream.ws_inbox import Close, Ping, Text, WsInbox, WsProtocolError

log = structlog.get_logger(__name__)

_LINGER = 2.0
_WAITING = 64
"""Texts that wait for their turn before no more is read."""


class Line:
    """One WebSocket.

    Args:
        socket: The connection.
        message_bytes: Longest text.
        take: Takes a text.
        gone: Called with the connection's end: True where the client has hung up, False where it
            has sent what no client may.

    Attributes:
        take: May be changed between two texts, and ``gone`` too.
    """

    __slots__ = ("_inbox", "_taking", "_texts", "gone", "socket", "take")

    def __init__(
        self,
        socket: Socket,
        message_bytes: int,
        take: Callable[[str], Awaitable[None]],
        gone: Callable[[bool], None],
    ) -> None:
        self.socket = socket
        self.take = take
        self.gone = gone
        self._inbox = WsInbox(message_bytes)
        self._texts: deque[str] | None = None
        self._taking: asyncio.Task[None] | None = None
        socket.owner = self

    def say(self, text: bytes) -> None:
        """Send one text."""
        self.socket.write(ws_text(text))

    def drop(self, code: int, linger: float) -> None:
        """Close the WebSocket, and the connection with the client's answer."""
        close_websocket(self.socket, self._inbox, code, linger=linger)

    def heard(self, data: bytes) -> None:
        """Take what the client has sent."""
        try:
            received = self._inbox.feed(data)
        except WsProtocolError:
            self.gone(False)
            return
        for one in received:
            if isinstance(one, Text):
                self._wait(one.text)
            elif isinstance(one, Ping):
                answer_ping(self.socket, one)
            elif isinstance(one, Close):
                answer_close(self.socket, one, linger=_LINGER)
                self.gone(True)

    def hung_up(self) -> None:
        """Note that the client has gone."""
        self.gone(True)

    def _wait(self, text: str) -> None:
        if self._texts is None:
            self._texts = deque()
            self._taking = asyncio.create_task(self._take_all(self._texts))
        self._texts.append(text)
        if len(self._texts) >= _WAITING:
            self.socket.hush(True)

    async def _take_all(self, texts: deque[str]) -> None:
        try:
            while texts:
                await self.take(texts.popleft())
        except Exception:
            # A mistake of ours. What it had sent after this would come out of its order.
            log.exception("socketio.text_failed")
            self.gone(False)
        finally:
            self._texts = self._taking = None
            self.socket.hush(False)
