"""Socket.IO of OpenMeet's web app, with what it needs of the services."""

from __future__ import annotations

from ..api.sessions import Sessions
from ..api.web_app.socketio_events import Events
from ..api.web_app.socketio_handshake import Handshake
from ..api.web_app.socketio_limits import SocketLimits
from ..api.web_app.socketio_server import SocketIo
from ..config import Config
from .services import Services


def socketio_of(config: Config, services: Services, sessions: Sessions) -> SocketIo:
    """Return the Socket.IO server of a bridge."""
    events = Events(
        services.room_lists,
        services.room_names,
        services.streams,
        services.hub,
        services.typing,
        services.presence,
        services.web_chats.sending,
    )
    return SocketIo(
        Handshake(sessions),
        services.open_streams,
        events,
        config.web_app.transports,
        SocketLimits(buffer_bytes=config.limits.subscriber_buffer_bytes),
    )
