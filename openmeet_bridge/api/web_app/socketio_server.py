"""Socket.IO for OpenMeet's web app: clients come, get the events of all their rooms, and go.

A client is a stream like the others: the same hub, the same limits, and it ends with its token.
The web app's former backend let sockets outlive their tokens; here the transport is dropped then,
and the app comes back with a fresh one by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import socketio
import structlog
from aiohttp import web
from socketio import packet
from socketio.exceptions import ConnectionRefusedError as SocketRefused

from ...core.errors import BridgeError
from ...stream.reasons import CloseReason
from ...stream.socketio_wire import DEFAULT, MATRIX, SOCKETIO, SOCKETIO_DEFAULT
from ..open_streams import OpenStreams
from .socketio_client import Client
from .socketio_engine import ADDRESS, MOST_STRANGERS, QUIET, Engine
from .socketio_events import Events
from .socketio_handshake import Handshake, Hello, Refused
from .socketio_limits import SocketLimits
from .socketio_socket import TRANSPORT_CLOSE, EngineSocket

log = structlog.get_logger(__name__)

PATHS: Final = ("/socket.io", "/socket.io/matrix")
"""Engine paths; the second as the web app's design notes have it. Also with a slash behind."""

_WIRES = {MATRIX: SOCKETIO, DEFAULT: SOCKETIO_DEFAULT}
_NO_SUCH_NAMESPACE = "Invalid namespace"
_ATTEMPTS = 10
"""As often may a client say who it is before it must begin anew."""


class SocketIo(socketio.AsyncServer):  # type: ignore[misc]  # (it has no types)
    """The server: its namespaces, its clients.

    Args:
        handshake: Tells who clients are.
        streams: Opens their streams.
        events: Answers what they ask for.
        transports: How Socket.IO may be spoken: ``websocket``, ``polling``.
        limits: What each client may do.
        most_strangers: As many may be there of whom nobody knows who they are.
    """

    eio: Engine

    def __init__(
        self,
        handshake: Handshake,
        streams: OpenStreams,
        events: Events,
        transports: Collection[str],
        limits: SocketLimits,
        most_strangers: int = MOST_STRANGERS,
    ) -> None:
        super().__init__(
            async_mode="aiohttp",
            namespaces=[MATRIX],
            logger=QUIET,
            engineio_logger=QUIET,
            cors_allowed_origins=[],  # whose pages may read what is said in one place for all
            transports=list(transports),
            allow_upgrades="websocket" in transports,
            limits=limits,
            stream_sockets=streams.sockets,
            address=streams.admission.address,
            most_strangers=most_strangers,
        )
        self._handshake = handshake
        self._streams = streams
        self._answers = events
        self._greeted: dict[str, Client] = {}
        self._clients: dict[str, Client] = {}
        for namespace in _WIRES:
            self.on("connect", self._greet(namespace), namespace=namespace)
            self.on("disconnect", self._leave, namespace=namespace)

    def routes(self) -> list[web.RouteDef]:
        """Return what clients call."""
        handle = self.eio.handle_request
        paths = [path + slash for path in PATHS for slash in ("", "/")]
        gets = [web.get(path, handle, allow_head=False) for path in paths]
        return [*gets, *(web.post(path, handle) for path in paths)]

    async def stop(self, _: web.Application | None = None) -> None:
        """Drop all clients, so that they come back later."""
        await self.eio.stop()

    def _engineio_server_class(self) -> type[Engine]:
        return Engine

    # Messages

    async def _handle_eio_message(self, eio_sid: str, data: str) -> None:
        try:
            message = self.packet_class(encoded_packet=data)
        except (ValueError, IndexError, RecursionError):
            self._drop(eio_sid)
            return
        namespace = message.namespace or DEFAULT
        if message.packet_type == packet.CONNECT:
            await self._handle_connect(eio_sid, namespace, message.data)
        elif message.packet_type == packet.DISCONNECT:
            await self._handle_disconnect(eio_sid, namespace)
        elif message.packet_type == packet.EVENT and not message.attachment_count:
            await self._handle_event(eio_sid, namespace, message.id, message.data)
        else:  # nothing binary, and nothing that answers what nobody has asked
            self._drop(eio_sid)

    def _drop(self, eio_sid: str) -> None:
        socket = self.eio.sockets.get(eio_sid)
        if socket is not None:
            socket.end("parse error")

    async def _handle_event(
        self, eio_sid: str, namespace: str, id: int | None, data: object
    ) -> None:
        client = self._clients.get(self.manager.sid_from_eio_sid(eio_sid, namespace) or "")
        if client is None or not isinstance(data, list) or not data:
            self._drop(eio_sid)
            return
        self.start_background_task(self._answer, client, id, *data[:2])

    async def _answer(
        self, client: Client, ack_id: int | None, name: object, payload: object = None
    ) -> None:
        self._streams.ends.sign(client.session.mxid)
        client.answer(ack_id, await self._answers.answer(client, name, payload))

    # Coming

    async def _handle_connect(self, eio_sid: str, namespace: str, data: object) -> None:
        socket, environ = self.eio.sockets.get(eio_sid), self.environ.get(eio_sid)
        if socket is None or environ is None:
            return
        socket.attempts += 1
        if socket.attempts > _ATTEMPTS:
            socket.end("too many attempts")
            return
        if not _is_open(namespace, environ):
            await self._send_packet(eio_sid, _refusal(namespace, _NO_SUCH_NAMESPACE))
            return
        await super()._handle_connect(eio_sid, namespace, data)
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
        client = self._greeted.pop(sid, None) if sid is not None else None
        if client is None or sid is None:
            return
        if socket.closed:  # while it was found out who it is
            await self._handle_disconnect(eio_sid, namespace)
            return
        self._clients[sid] = client
        socket.know()
        self._begin(client)

    def _greet(self, namespace: str) -> Any:
        async def greet(sid: str, environ: Mapping[str, Any], auth: object) -> None:
            eio_sid = self.manager.eio_sid_from_sid(sid, namespace)
            socket, hello = self.eio.sockets.get(eio_sid), Hello(environ, auth)
            try:
                self._streams.admission.look(environ[ADDRESS])
                session = await self._handshake.session(hello)
                self._streams.admit(session, environ[ADDRESS])
            except Refused as refusal:
                raise SocketRefused(str(refusal)) from None
            except BridgeError as error:
                # For a moment only. Who is refused gives up; who is dropped comes back.
                if socket is not None:
                    socket.end(error.errcode)
                raise SocketRefused("Try again later") from None
            if socket is not None:
                self._greeted[sid] = Client(
                    session, hello.cursor, socket, _WIRES[namespace], address=environ[ADDRESS]
                )

        return greet

    def _begin(self, client: Client) -> None:
        """Let a client's stream begin; with it the transport is dropped."""
        socket, session = client.socket, client.session
        subscriber = self._streams.subscriber(session, socket, client.wire, client.address)

        def ended() -> None:
            reason = subscriber.reason
            if reason is None:
                socket.end(TRANSPORT_CLOSE)
            else:
                slow = reason is CloseReason.SLOW_READER
                socket.end(reason.value, code=reason.ws_code, abort=slow)

        subscriber.ended = ended
        client.subscriber = subscriber
        self._streams.begin(subscriber, client.cursor, session)

    # Going

    async def _leave(self, sid: str, reason: str) -> None:
        client = self._clients.pop(sid, None)
        if client is None:
            return
        if client.subscriber is not None:
            client.subscriber.ended = _nothing
            self._streams.hub.leave(client.subscriber)
        if all(one.socket is not client.socket for one in self._siblings(client.socket)):
            client.socket.forget()

    def _siblings(self, socket: EngineSocket) -> list[Client]:
        sids = [self.manager.sid_from_eio_sid(socket.sid, one) for one in _WIRES]
        return [self._clients[sid] for sid in sids if sid in self._clients]


def _nothing() -> None:
    """Only one namespace has ended: the transport stays."""


def _is_open(namespace: str, environ: Mapping[str, Any]) -> bool:
    if namespace == DEFAULT:
        return bool(environ["PATH_INFO"].rstrip("/") == PATHS[1])
    return namespace == MATRIX


def _refusal(namespace: str, text: str) -> Any:
    return packet.Packet(packet.CONNECT_ERROR, data={"message": text}, namespace=namespace)
