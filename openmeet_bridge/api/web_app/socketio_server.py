"""Socket.IO for OpenMeet's web app: clients come, get the events of all their rooms, and go.

A client is a stream like the others: the same hub, the same limits, and it ends with its token.
The web app's former backend let sockets outlive their tokens; here the transport is dropped then,
and the app comes back with a fresh one by itself.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import socketio
import structlog
from aiohttp import web
from socketio import packet
from socketio.exceptions import ConnectionRefusedError as SocketRefused

from ...core.errors import BridgeError
from ...stream.socketio_wire import DEFAULT, MATRIX, SOCKETIO, SOCKETIO_DEFAULT
from ..asking import Opener
from ..open_streams import OpenStreams
from ..sessions import Session
from .socketio_client import Client
from .socketio_doorman import Doorman
from .socketio_engine import MOST_STRANGERS, QUIET, Engine
from .socketio_events import Events
from .socketio_handshake import Handshake, Hello, Refused
from .socketio_limits import SocketLimits
from .socketio_said import PATHS, Said
from .socketio_socket import EngineSocket

log = structlog.get_logger(__name__)

_WIRES = {MATRIX: SOCKETIO, DEFAULT: SOCKETIO_DEFAULT}
_NO_SUCH_NAMESPACE = "Invalid namespace"
_THERE_ALREADY = "Unable to connect"
_NONSENSE = "parse error"
_ATTEMPTS = 10
"""As often may a client say who it is before it must begin anew."""


class _Greeted(NamedTuple):
    """Who has been let in a moment ago, and where they want to go on."""

    client: Client
    session: Session
    cursor: str | None


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
            client_manager=Doorman(),
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
        # Whom python-socketio lets in is a client of ours, not what its request was.
        self.environ = self.eio.sockets
        self._coming: set[tuple[str, str]] = set()
        self._greeted: dict[tuple[str, str], _Greeted] = {}
        self._clients: dict[str, dict[str, Client]] = {one: {} for one in _WIRES}
        for namespace in _WIRES:
            self.on("connect", self._greet(namespace), namespace=namespace)
        self.eio.heard, self.eio.left = self._hear, self._gone

    def routes(self) -> list[web.RouteDef]:
        """Return what clients call."""
        handle = self.eio.handle_request
        paths = [path + slash for path in PATHS for slash in ("", "/")]
        gets = [web.get(path, handle, allow_head=False) for path in paths]
        return [*gets, *(web.post(path, handle) for path in paths)]

    def at_the_door(self) -> dict[str, Opener]:
        """Return who lets those in who come on a WebSocket, by their paths."""
        return {path + slash: self.eio for path in PATHS for slash in ("", "/")}

    async def stop(self, _: web.Application | None = None) -> None:
        """Drop all clients, so that they come back later."""
        await self.eio.stop()

    def _engineio_server_class(self) -> type[Engine]:
        return Engine

    # Messages

    async def _hear(self, socket: EngineSocket, text: str) -> None:
        try:
            message = self.packet_class(encoded_packet=text)
        except (ValueError, IndexError, RecursionError):
            socket.end(_NONSENSE)
            return
        namespace = message.namespace or DEFAULT
        if message.packet_type == packet.CONNECT:
            await self._connect(socket, namespace, message.data)
        elif message.packet_type == packet.DISCONNECT:
            self._leave(socket, namespace)
        elif message.packet_type == packet.EVENT and not message.attachment_count:
            self._event(socket, namespace, message.id, message.data)
        else:  # nothing binary, and nothing that answers what nobody has asked
            socket.end(_NONSENSE)

    def _event(
        self, socket: EngineSocket, namespace: str, ack_id: int | None, data: object
    ) -> None:
        client = self._clients.get(namespace, {}).get(socket.sid)
        if client is None or not isinstance(data, list) or not data:
            socket.end(_NONSENSE)
            return
        self.start_background_task(self._answer, client, ack_id, *data[:2])

    async def _answer(
        self, client: Client, ack_id: int | None, name: object, payload: object = None
    ) -> None:
        self._streams.ends.sign(client.mxid)
        client.answer(ack_id, await self._answers.answer(client, name, payload))

    # Coming

    async def _connect(self, socket: EngineSocket, namespace: str, auth: object) -> None:
        socket.attempts += 1
        if socket.attempts > _ATTEMPTS:
            socket.end("too many attempts")
            return
        if not _is_open(namespace, socket.said):
            await self._refuse(socket, namespace, {"message": _NO_SUCH_NAMESPACE})
            return
        place = namespace, socket.sid
        if place in self._coming or socket.sid in self._clients[namespace]:
            await self._refuse(socket, namespace, _THERE_ALREADY)
            return
        self._coming.add(place)
        try:
            await self._handle_connect(socket.sid, namespace, auth)
        finally:
            self._coming.discard(place)
            greeted = self._greeted.pop(place, None)
        if greeted is not None and not socket.closed:  # while it was found out who it is
            self._clients[namespace][socket.sid] = greeted.client
            socket.know()
            self._streams.begin(greeted.client.subscriber, greeted.cursor, greeted.session)

    async def _send_packet(self, eio_sid: str, pkt: packet.Packet) -> None:
        # As python-socketio does it, but for the steps between; none of its packets is binary.
        socket = self.eio.sockets.get(eio_sid)
        if socket is not None:
            socket.post(b"4" + pkt.encode().encode())

    async def _refuse(self, socket: EngineSocket, namespace: str, why: object) -> None:
        refusal = packet.Packet(packet.CONNECT_ERROR, data=why, namespace=namespace)
        await self._send_packet(socket.sid, refusal)

    def _greet(self, namespace: str) -> Any:
        async def greet(sid: str, socket: EngineSocket, auth: object) -> None:
            hello, address = Hello(socket.said, auth), socket.said.address
            try:
                self._streams.admission.look(address)
                session = await self._handshake.session(hello)
                self._streams.admit(session, address)
            except Refused as refusal:
                raise SocketRefused(str(refusal)) from None
            except BridgeError as error:
                # For a moment only. Who is refused gives up; who is dropped comes back.
                socket.end(error.errcode)
                raise SocketRefused("Try again later") from None
            subscriber = self._streams.subscriber(session, socket, _WIRES[namespace], address)
            client = Client(subscriber, session.user.openmeet_id, socket)
            self._greeted[namespace, socket.sid] = _Greeted(client, session, hello.cursor)

        return greet

    # Going

    def _gone(self, socket: EngineSocket) -> None:
        for namespace in self._clients:
            self._leave(socket, namespace)

    def _leave(self, socket: EngineSocket, namespace: str) -> None:
        client = self._clients.get(namespace, {}).pop(socket.sid, None)
        if client is None:
            return
        client.part()
        self._streams.hub.leave(client.subscriber)
        if not any(socket.sid in clients for clients in self._clients.values()):
            socket.forget()


def _is_open(namespace: str, said: Said) -> bool:
    return namespace == MATRIX or (namespace == DEFAULT and said.both)
