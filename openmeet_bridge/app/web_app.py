"""OpenMeet's own web app: its routes and its Socket.IO, on the public listener."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from ..api.endpoint import Endpoints, register
from ..api.sessions import Sessions
from ..api.web_app.callers import Callers
from ..config import Config
from .services import Services


def add_web_app(
    app: web.Application, config: Config, services: Services, sessions: Sessions
) -> None:
    """Add everything that the web app calls."""
    callers = Callers(sessions)
    authenticators = {"web_app": callers.user, "web_app_guest": callers.guest}
    limit = config.limits.request_bytes
    for table, surface in _surfaces(config, services):
        register(app, table, authenticators, surface=surface, body_limit=limit)


def _surfaces(config: Config, services: Services) -> Iterator[tuple[Endpoints, object]]:
    yield from ()
