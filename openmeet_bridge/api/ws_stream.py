"""A stream on a WebSocket: frames go out as everywhere, and what the client sends is read."""

from __future__ import annotations

from dataclasses import replace

from ..stream.sockets import Socket
from ..stream.subscriber import Subscriber
from ..stream.wires import WS_DEFLATED
from ..stream.ws_control import answer_close, answer_ping, close_websocket
from ..stream.ws_handshake import agreed_deflate, check_upgrade
from ..stream.ws_inbox import Close, Ping, Text, WsInbox, WsProtocolError
from .asking import Visit
from .handover import upgrade_headers
from .open_streams import LINGER, OpenStreams, StreamSocket
from .sessions import Session
from .subscriptions import Subscription
from .ws_dialogue import Dialogue

MESSAGE_BYTES = 16 * 1024
"""What a message may have: a hundred long names of rooms."""

_GOING_AWAY = 1001


class WsSocket(StreamSocket):
    """The WebSocket of a stream.

    Args:
        streams: Has the stream opened, and is told of signs of its user.
        socket: The connection.
        subscriber: The stream.
        subscription: What it brings.
    """

    __slots__ = ("_code", "_dialogue", "_inbox", "_streams", "_subscription")

    def __init__(
        self,
        streams: OpenStreams,
        socket: Socket,
        subscriber: Subscriber,
        subscription: Subscription,
    ) -> None:
        super().__init__(streams.hub, socket, subscriber)
        self._streams = streams
        self._subscription = subscription
        self._dialogue: Dialogue | None = None
        self._inbox = WsInbox(MESSAGE_BYTES, deflate=subscription.base is WS_DEFLATED)
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
                self._streams.ends.sign(self.subscriber.mxid)
                answer_ping(self.socket, one)
            elif isinstance(one, Close):
                answer_close(self.socket, one, linger=LINGER)
                self.hub.leave(self.subscriber)
            elif isinstance(one, Text):
                self._streams.ends.sign(self.subscriber.mxid)
                self.told(one.text)

    def told(self, text: str) -> None:
        """Take a message of the client's."""
        if self._dialogue is None:  # most never say anything
            self._dialogue = Dialogue(self._streams, self.subscriber, self._subscription)
        self._dialogue.told(text)

    def ended(self) -> None:
        """Say why, and end the connection with the client's answer."""
        if self._dialogue is not None:
            self._dialogue.end()
        code, words = self._code, ""
        reason = self.subscriber.reason
        if reason is not None:
            code, words = reason.ws_code, reason.value
        close_websocket(self.socket, self._inbox, code, words, linger=LINGER)


async def open_websocket(
    streams: OpenStreams,
    visit: Visit,
    caller: Session,
    cursor: str | None,
    subscription: Subscription,
) -> None:
    """Answer a request with a stream on a WebSocket; with low data compressed where possible.

    Raises:
        UpgradeRefused: The request opens no WebSocket.
        LimitExceeded: There are too many streams.
    """
    asking = visit.asking
    key = check_upgrade(asking.headers)
    address = streams.admission.address(asking)
    streams.admit(caller, address)
    deflate = agreed_deflate(asking.headers) if subscription.low else None
    if deflate is not None:
        subscription = replace(subscription, base=WS_DEFLATED)
    socket = await visit.answer(101, upgrade_headers(key, deflate))
    subscriber = streams.subscriber(caller, socket, subscription.wire, address)
    subscriber.wanted = subscription.rooms
    WsSocket(streams, socket, subscriber, subscription)
    streams.begin(subscriber, cursor, caller)
