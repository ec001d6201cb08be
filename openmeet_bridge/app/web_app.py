"""OpenMeet's own web app: its routes and its Socket.IO, on the public listener."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from ..api.asking import Opener
from ..api.endpoint import Endpoints, register
from ..api.sessions import Sessions
from ..api.web_app import admin, directs, events, groups, matrix, rooms, sse
from ..api.web_app.callers import Callers
from ..api.web_app.discussions import Conversations
from ..config import Config
from ..core.ids import PortalKind
from .services import Services
from .socketio import socketio_of


def add_web_app(
    app: web.Application, config: Config, services: Services, sessions: Sessions
) -> dict[str, Opener]:
    """Add everything that the web app calls; return what lets its streams in, by their paths."""
    callers = Callers(sessions, services.openmeet.accounts)
    streams = services.open_streams
    noting = streams.ends.noting
    authenticators = {
        "web_app": noting(callers.user),
        "web_app_guest": noting(callers.guest),
        "web_app_stream": streams.guarded(callers.stream),
        "web_app_admin": noting(callers.admin),
    }
    limit = config.limits.request_bytes
    for table, surface in _surfaces(config, services):
        register(app, table, authenticators, surface=surface, body_limit=limit)
    socketio = socketio_of(config, services, sessions)
    app.add_routes(socketio.routes())
    app.on_shutdown.append(socketio.stop)
    return socketio.at_the_door()


def _surfaces(config: Config, services: Services) -> Iterator[tuple[Endpoints, object]]:
    yield sse.ENDPOINTS, sse.EventStream(services.open_streams)
    yield from _chats(config, services)
    endpoint = config.web_app.endpoint or config.public_url
    yield (
        matrix.ENDPOINTS,
        matrix.MatrixApi(
            services.accounts,
            services.typing,
            services.presence,
            services.room_names,
            matrix.origin_of(endpoint) if endpoint else None,
        ),
    )
    yield admin.ENDPOINTS, admin.AdminApi(services.office)


def _chats(config: Config, services: Services) -> Iterator[tuple[Endpoints, object]]:
    chats = services.web_chats
    for_kind = {
        kind: Conversations(kind, chats.discussions, chats.attending, chats.sending, chats.timeline)
        for kind in (PortalKind.MEETUP, PortalKind.GROUP)
    }
    tenants = frozenset(tenant.id for tenant in config.tenants)
    yield events.ENDPOINTS, events.Events(for_kind[PortalKind.MEETUP])
    yield groups.ENDPOINTS, groups.Groups(for_kind[PortalKind.GROUP], tenants)
    yield (
        directs.ENDPOINTS,
        directs.Directs(
            chats.directs,
            chats.direct_lists,
            chats.discussions,
            services.arrivals,
            chats.sending,
            chats.timeline,
            chats.reading,
        ),
    )
    yield rooms.ENDPOINTS, rooms.WebRooms(chats.sending, chats.timeline)
