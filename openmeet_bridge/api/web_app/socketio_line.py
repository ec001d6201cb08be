"""A WebSocket of a Socket.IO client: its texts are taken one after another, in their order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import structlog

from ...stream.frames import ws_text
from ...stream.sockets import Socket
from ...stream.ws_control import answer_close, answer_ping, close_websocket
from ...stream.ws_inbox import Close, Ping, Received, Text, WsInbox, WsProtocolError, only_frame

log = structlog.get_logger(__name__)

_LINGER = 2.0
_WAITING = 64
"""Texts that wait for their turn before no more is read."""


class Side(Protocol):
    """Whose WebSocket it is."""

    @property
    def message_bytes(self) -> int:
        """How long a text may be."""

    def take_at_once(self, line: Line, text: str) -> bool:
        """Take a text for which nothing must be waited; return whether this is one."""

    async def take(self, line: Line, text: str) -> None:
        """Take a text that could not be taken at once."""

    def gone(self, line: Line, orderly: bool) -> None:
        """Note the end: whether the client has hung up, or else has sent what no client may."""


class Line:
    """One WebSocket. It has a task, and buffers, only while there is something to do.

    Args:
        socket: The connection.
        side: Takes what comes.
    """

    __slots__ = ("_inbox", "_side", "_turn", "socket")

    def __init__(self, socket: Socket, side: Side) -> None:
        self.socket = socket
        self._side = side
        self._inbox: WsInbox | None = None
        self._turn: tuple[deque[str], asyncio.Task[None]] | None = None
        socket.owner = self

    def say(self, text: bytes) -> None:
        """Send one text."""
        self.socket.write(ws_text(text))

    def drop(self, code: int, linger: float) -> None:
        """Close the WebSocket, and the connection with the client's answer."""
        inbox = self._inbox or WsInbox(self._side.message_bytes)
        close_websocket(self.socket, inbox, code, linger=linger)

    def heard(self, data: bytes) -> None:
        """Take what the client has sent."""
        try:
            received = self._read(data)
        except WsProtocolError:
            self._side.gone(self, False)
            return
        for one in received:
            if isinstance(one, Text):
                self._wait(one.text)
            elif isinstance(one, Ping):
                answer_ping(self.socket, one)
            elif isinstance(one, Close):
                answer_close(self.socket, one, linger=_LINGER)
                self._side.gone(self, True)

    def hung_up(self) -> None:
        """Note that the client has gone."""
        self._side.gone(self, True)

    def _read(self, data: bytes) -> Sequence[Received]:
        if self._inbox is None:
            whole = only_frame(data, self._side.message_bytes)
            if whole is not None:
                return (whole,)
            self._inbox = WsInbox(self._side.message_bytes)
        received = self._inbox.feed(data)
        if self._inbox.idle:
            self._inbox = None
        return received

    def _wait(self, text: str) -> None:
        if self._turn is not None:
            texts, _ = self._turn
            texts.append(text)
            if len(texts) >= _WAITING:
                self.socket.hush(True)
        elif not self._taken_at_once(text):
            texts = deque([text])
            self._turn = texts, asyncio.create_task(self._take_all(texts))

    def _taken_at_once(self, text: str) -> bool:
        try:
            return self._side.take_at_once(self, text)
        except Exception:
            self._fail()
            return True

    async def _take_all(self, texts: deque[str]) -> None:
        try:
            while texts:
                text = texts.popleft()
                if not self._side.take_at_once(self, text):
                    await self._side.take(self, text)
        except Exception:
            self._fail()
        finally:
            self._turn = None
            self.socket.hush(False)

    def _fail(self) -> None:
        """End with a mistake of ours: what was sent after this would come out of its order."""
        log.exception("socketio.text_failed")
        self._side.gone(self, False)
