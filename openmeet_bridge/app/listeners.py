"""The three listeners: for the homeserver, for operators, for browsers and OpenMeet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import aiohttp
from aiohttp import web

from ..api import (
    client,
    demo,
    docs_page,
    entries,
    integration,
    integration_bulk,
    integration_events,
    integration_people,
    integration_progress,
    messages,
    middleware,
    openapi,
    preferences,
    presence,
    read_state,
    rooms,
    streams,
    timeline,
)
from ..api.asking import Opener
from ..api.cors import Cors
from ..api.endpoint import Endpoints, register
from ..api.operations import Operations
from ..api.page import Page
from ..api.quick_streams import QuickStreams
from ..api.sessions import Sessions
from ..api.signed_events import SignedEvents
from ..api.transactions import Transactions
from ..api.web_app import errors as web_app_errors
from ..bridge.openmeet_sessions import SessionVerifier
from ..config import Config
from ..core.errors import ConfigError
from ..matrix.registration import Registration
from ..openmeet.tenants import Tenants
from ..openmeet.tokens import JoseVerifier, TokenVerifier
from .services import Services
from .tenants import tenants_of
from .web_app import add_web_app


def _always(_: web.Request) -> bool:
    return True


def homeserver_app(
    config: Config, registration: Registration, services: Services
) -> web.Application:
    """Return what the homeserver talks to."""
    app = web.Application(client_max_size=config.limits.transaction_bytes)
    middleware.install(app, quiet=_always)
    transactions = Transactions(
        registration.hs_token,
        services.ingest,
        services.ephemeral,
        services.inquiries,
        body_limit=config.limits.transaction_bytes,
        refused=services.ask_repair,
    )
    app.add_routes(transactions.routes())
    return app


def operations_app(services: Services) -> web.Application:
    """Return what operators and the doctor talk to."""
    app = web.Application()
    middleware.install(app, quiet=_always)
    operations = Operations(services.checks, services.inquiries, services.ephemeral)
    app.add_routes(operations.routes())
    return app


class Public(NamedTuple):
    """What browsers and OpenMeet's backend talk to.

    Attributes:
        app: Answers everything.
        quick: Lets streams in.
    """

    app: web.Application
    quick: QuickStreams


def public_app(config: Config, services: Services, http: aiohttp.ClientSession) -> Public:
    """Return what browsers and OpenMeet's backend talk to.

    Raises:
        ConfigError: A tenant's keys cannot be used.
    """
    tenants = tenants_of(config)
    sessions = _sessions(config, services, tenants, http)
    app = web.Application(client_max_size=config.limits.request_bytes)
    cors = Cors(config.web.allowed_origins, web_app_errors.is_web_app)
    middleware.install(
        app, cors=cors, quiet=web_app_errors.is_socketio, render=web_app_errors.render
    )
    limit = config.limits.request_bytes
    streams = services.open_streams
    for_streams = streams.guarded(sessions.stream)
    authenticators = {
        "user": streams.ends.noting(sessions.user),
        "stream": for_streams,
        "service": sessions.service,
        "signature": SignedEvents(tenants, limit).authenticate,
    }
    for table, surface in _surfaces(config, services, sessions, tenants):
        register(app, table, authenticators, surface=surface, body_limit=limit)
    register(
        app,
        integration_bulk.ENDPOINTS,
        authenticators,
        surface=integration_bulk.IntegrationBulk(
            services.directory, services.roster, services.snapshots, services.naming
        ),
        body_limit=config.limits.snapshot_bytes,
    )
    openers: dict[str, Opener] = {}
    if config.web_app.enabled:
        openers = add_web_app(app, config, services, sessions)
    if config.web.page:
        app.add_routes(Page().routes())
    return Public(app, QuickStreams(services.open_streams, for_streams, cors, openers))


def _surfaces(
    config: Config, services: Services, sessions: Sessions, tenants: Tenants
) -> Iterator[tuple[Endpoints, object]]:
    yield (
        client.ENDPOINTS,
        client.Client(
            services.identity,
            sessions,
            secure_cookie=config.public_base.startswith("https:"),
        ),
    )
    yield rooms.ENDPOINTS, rooms.Rooms(services.room_lists)
    yield timeline.ENDPOINTS, timeline.Timelines(services.timeline)
    yield entries.ENDPOINTS, entries.EntriesApi(services.entries)
    yield messages.ENDPOINTS, messages.Messages(services.sending)
    yield read_state.ENDPOINTS, read_state.ReadState(services.receipts, services.unread)
    yield presence.ENDPOINTS, presence.PresenceApi(services.typing, services.presence)
    yield preferences.ENDPOINTS, preferences.PreferencesApi(services.preferring)
    yield (
        streams.ENDPOINTS,
        streams.StreamsApi(services.open_streams),
    )
    yield integration.ENDPOINTS, integration.Integration(services.directory)
    yield (
        integration_people.ENDPOINTS,
        integration_people.IntegrationPeople(
            services.directory, services.roster, services.erasures, services.signing_out
        ),
    )
    yield (
        integration_progress.ENDPOINTS,
        integration_progress.IntegrationProgress(services.progress),
    )
    yield (
        integration_events.ENDPOINTS,
        integration_events.IntegrationEvents(services.comparison),
    )
    yield docs_page.ENDPOINTS, docs_page.DocumentationApi(openapi.assemble())
    if config.web.demo_login:
        yield demo.ENDPOINTS, demo.Demo(services.identity, tenants)


def _sessions(
    config: Config, services: Services, tenants: Tenants, http: aiohttp.ClientSession
) -> Sessions:
    verifier: TokenVerifier
    try:
        verifier = JoseVerifier(tenants, http)
    except ValueError as error:
        raise ConfigError("configuration", None, "tenants", str(error)) from error
    if services.openmeet.accounts is not None:
        verifier = SessionVerifier(verifier, services.openmeet.accounts)
    origins = frozenset(config.web.allowed_origins)
    return Sessions(
        services.identity, tenants, verifier, services.naming, services.arrivals, origins
    )
