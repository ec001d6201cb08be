"""The program: builds every object, owns every task, and knows the order of the end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from aiohttp import web

from .api import client, demo, docs_page, integration, middleware, openapi, streams
from .api.endpoint import Endpoints, register
from .api.operations import Operations
from .api.page import Page
from .api.sessions import Sessions
from .api.transactions import Transactions
from .bridge.directory import Directory
from .bridge.ephemeral import EphemeralEvents
from .bridge.ghosts import Ghosts
from .bridge.identity import Identity
from .bridge.ingest import Ingest
from .bridge.inquiries import Inquiries
from .bridge.portals import Portals
from .bridge.receipts import Receipts
from .bridge.reconciler import Reconciler
from .bridge.repair import Repair
from .bridge.sending import Limits, Sending
from .bridge.streams import Streams
from .bridge.supervisor import Supervisor
from .bridge.timeline import Timeline
from .bridge.typing import Typing
from .config import Address, Config, JwtSection
from .core.errors import BridgeError, ConfigError, Unavailable
from .core.ids import TenantId, UserSlug
from .matrix import registration as registrations
from .matrix.homeserver import Homeserver
from .matrix.registration import Registration
from .openmeet.tenants import KeySettings, Tenant, Tenants, service_key_digest
from .openmeet.tokens import JoseVerifier
from .storage import event_log, migrations
from .storage.database import Database
from .storage.embedded import EmbeddedPostgres, EmbeddedPostgresError
from .storage.instance import InstanceLock
from .storage.log_view import LogView
from .storage.outbox import Message
from .stream import frames
from .stream.bus import LocalBus
from .stream.feed import Feed
from .stream.hub import Hub
from .stream.reasons import CloseReason
from .telemetry import setup_logging

log = structlog.get_logger(__name__)

_GRACE = 10.0


def serve(config: Config) -> int:
    """Run the bridge until SIGTERM or SIGINT; return the exit status.

    Raises:
        ConfigError: The registration or a tenant's keys cannot be used.
        Unavailable: The database does not answer.
    """
    setup_logging(config.logging.level, as_json=config.logging.format == "json")
    return run_loop(_serve(config))


def run_loop(work: Coroutine[Any, Any, int]) -> int:
    """Run on uvloop where it is installed (extra ``speed``), else on asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


async def _serve(config: Config) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(config) as bridge:
        log.info("bridge.ready", public=str(bridge.addresses["public"]))
        await stop.wait()
        log.info("bridge.stopping")
    return 0


@contextlib.asynccontextmanager
async def running(config: Config) -> AsyncIterator[Bridge]:
    """Run a bridge, its embedded database included, for the length of the block."""
    registration = registrations.load(config.registration, config.homeserver.server_name)
    async with contextlib.AsyncExitStack() as stack:
        dsn = config.database
        if config.embedded:
            dsn = await _embedded(config.data_dir, stack)
        if config.migrate_on_start:
            await migrations.upgrade_async(dsn)
        elif await migrations.current(dsn) != migrations.newest():
            raise Unavailable("The database lacks migrations. Run: openmeet-bridge migrate")
        bridge = Bridge(config, registration, dsn)
        # First in the way out, so that whatever start has begun is ended even when it fails.
        stack.push_async_callback(bridge.stop)
        await bridge.start()
        yield bridge


async def _embedded(data_dir: Path, stack: contextlib.AsyncExitStack) -> str:
    server = EmbeddedPostgres(data_dir)
    try:
        await asyncio.to_thread(server.start)
    except EmbeddedPostgresError as error:
        raise Unavailable(str(error)) from error
    stack.push_async_callback(asyncio.to_thread, server.stop)
    return server.dsn


class Bridge:
    """One running bridge.

    Args:
        config: The configuration.
        registration: What homeserver and bridge have agreed upon.
        dsn: The database, migrated.
    """

    def __init__(self, config: Config, registration: Registration, dsn: str) -> None:
        self._config = config
        self._registration = registration
        self._naming = registration.naming
        self._database = Database(dsn)
        self._lock = InstanceLock(dsn)
        self._supervisor = Supervisor()
        self._bus = LocalBus()
        self._runners: list[web.AppRunner] = []
        self.addresses: dict[str, Address] = {}

    async def start(self) -> None:
        """Start everything; when this returns, requests are answered.

        Raises:
            Unavailable: The database does not answer.
            OSError: A listening address is taken.
        """
        await self._database.open()
        await self._lock.acquire()
        self._http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=60, connect=5),
            connector=aiohttp.TCPConnector(limit=64),
        )
        await self._build()
        await self._listen("homeserver", self._homeserver_app())
        await self._listen("operations", self._operations_app())
        await self._listen("public", self._public_app())
        self._start_tasks()

    async def stop(self) -> None:
        """End everything, in the order in which nothing is lost.

        Streams are told to come back; a transaction that is being kept is answered; what is not
        sent stays in the outbox.
        """
        if hasattr(self, "_hub"):
            self._hub.close_all(CloseReason.SHUTDOWN)
        for runner in reversed(self._runners):
            await runner.cleanup()
        if hasattr(self, "_sending"):
            await self._sending.stop()
            self._typing.stop()
        await self._supervisor.stop()
        if hasattr(self, "_http"):
            await self._http.close()
        await self._lock.release()
        await self._database.close()

    async def _build(self) -> None:
        config, database, limits = self._config, self._database, self._config.limits
        async with database.connection() as connection:
            head = await event_log.head(connection)
        self._hub = Hub(
            head.epoch,
            head.position,
            buffer_bytes=limits.subscriber_buffer_bytes,
            parked_frames=limits.parked_frames,
            heartbeat=config.stream.heartbeat,
        )
        self._homeserver = Homeserver(
            self._http, config.homeserver.url, self._registration.as_token
        )
        self._ghosts = Ghosts(database, self._homeserver, self._naming)
        self._portals = Portals(
            database, self._homeserver, self._ghosts, self._naming, config.rooms.version
        )
        self._reconciler = Reconciler(database, self._ghosts, self._portals)
        self._directory = Directory(database, self._naming, self._reconciler.wake, self._user_gone)
        sending_limits = Limits(
            message_bytes=limits.message_bytes,
            pending_per_room=limits.outbox_pending_per_room,
            pending=limits.outbox_pending,
            wait=limits.send_wait,
        )
        self._sending = Sending(
            database, self._homeserver, self._ghosts, sending_limits, self._send_failed
        )
        self._ingest = Ingest(database, self._naming, self._bus.grown, self._sending.confirmed)
        self._typing = Typing(database, self._homeserver, self._hub)
        self._receipts = Receipts(database, self._homeserver, self._hub)
        self._ephemeral = EphemeralEvents(self._typing, self._receipts)
        self._inquiries = Inquiries(database, self._naming)
        self._repair = Repair(
            database,
            self._homeserver,
            self._ghosts,
            self._ingest,
            self._naming,
            self._registration.id,
            interval=config.repair.interval,
            echo_overdue=config.repair.echo_overdue,
            recovered=self._reconciler.wake,
        )
        self._timeline = Timeline(database, self._naming, page_limit=limits.timeline_page)
        self._log_view = LogView(database)
        self._streams = Streams(self._log_view, self._hub, replay_entries=limits.replay_entries)
        self._tenants = tenants_of(config)
        try:
            verifier = JoseVerifier(self._tenants, self._http)
        except ValueError as error:
            raise ConfigError("configuration", None, "tenants", str(error)) from error
        self._identity = Identity(database, ticket_lifetime=limits.ticket_lifetime)
        self._sessions = Sessions(
            self._identity,
            self._tenants,
            verifier,
            self._naming,
            frozenset(config.web.allowed_origins),
        )

    def _start_tasks(self) -> None:
        feed = Feed(self._log_view.after, self._hub, self._bus)
        for name, loop in (
            ("feed", feed.run),
            ("repair", self._repair.run),
            ("outbox", self._sending.run),
            ("reconciler", self._reconciler.run),
            ("receipts", self._receipts.run),
            ("heartbeat", self._hub.beat),
            ("instance-lock", self._lock.keep),
        ):
            self._supervisor.start(name, loop)

    # What objects tell one another

    def _user_gone(self, tenant: TenantId, slug: UserSlug) -> None:
        self._hub.close_user(self._naming.ghost(tenant, slug), CloseReason.REMOVED)

    def _send_failed(self, message: Message) -> None:
        frame = frames.send_failed(
            message.room_id,
            message.client_txn_id,
            message.errcode or "M_UNKNOWN",
            message.error or "The message could not be sent.",
        )
        self._hub.to_user(message.sender, frame)

    # Listeners

    def _homeserver_app(self) -> web.Application:
        app = web.Application(client_max_size=self._config.limits.transaction_bytes)
        middleware.install(app)
        transactions = Transactions(
            self._registration.hs_token,
            self._ingest,
            self._ephemeral,
            self._inquiries,
            body_limit=self._config.limits.transaction_bytes,
            refused=self._repair.ask,
        )
        app.add_routes(transactions.routes())
        return app

    def _operations_app(self) -> web.Application:
        app = web.Application()
        middleware.install(app)
        checks = {"database": self._check_database, "homeserver": self._check_homeserver}
        app.add_routes(Operations(checks, self._inquiries, self._ephemeral).routes())
        return app

    def _public_app(self) -> web.Application:
        config = self._config
        app = web.Application(client_max_size=config.limits.request_bytes)
        middleware.install(app, allowed_origins=config.web.allowed_origins)
        authenticators = {
            "user": self._sessions.user,
            "stream": self._sessions.stream,
            "service": self._sessions.service,
        }
        surfaces: list[tuple[Endpoints, object]] = [
            (client.ENDPOINTS, self._client()),
            (
                streams.ENDPOINTS,
                streams.StreamsApi(
                    self._streams,
                    self._hub,
                    max_streams=config.limits.streams,
                    max_per_user=config.limits.streams_per_user,
                ),
            ),
            (integration.ENDPOINTS, integration.Integration(self._directory, self._naming)),
            (docs_page.ENDPOINTS, docs_page.DocumentationApi(openapi.assemble())),
        ]
        if config.web.demo_login:
            surfaces.append((demo.ENDPOINTS, demo.Demo(self._identity, self._tenants)))
        for table, surface in surfaces:
            register(
                app, table, authenticators, surface=surface, body_limit=config.limits.request_bytes
            )
        if config.web.page:
            app.add_routes(Page().routes())
        return app

    def _client(self) -> client.Client:
        return client.Client(
            self._identity,
            self._sessions,
            self._timeline,
            self._sending,
            self._receipts,
            self._typing,
            secure_cookie=self._config.public_base.startswith("https:"),
        )

    async def _listen(self, name: str, app: web.Application) -> None:
        address: Address = getattr(self._config.listen, name)
        # A reader who goes must end its stream; a transaction must be kept whoever hangs up.
        runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=name == "public",
            shutdown_timeout=_GRACE,
        )
        await runner.setup()
        self._runners.append(runner)
        try:
            await web.TCPSite(runner, address.host, address.port).start()
        except OSError as error:
            reason = f"cannot listen on {address}: {error.strerror or error}"
            raise ConfigError("configuration", None, f"listen.{name}", reason) from error
        host, port = runner.addresses[0][:2]
        self.addresses[name] = Address(host, port)

    async def _check_database(self) -> str | None:
        try:
            async with self._database.connection() as connection:
                await event_log.head(connection)
        except BridgeError as error:
            return error.message
        return None

    async def _check_homeserver(self) -> str | None:
        return None if self._repair.reachable else "the homeserver does not answer"


def tenants_of(config: Config) -> Tenants:
    """Return the configured tenants.

    Raises:
        ConfigError: Two of them cannot be told apart.
    """
    try:
        return Tenants(
            Tenant(
                one.id,
                one.name,
                _keys(one.jwt),
                tuple(service_key_digest(key) for key in one.service_keys),
            )
            for one in config.tenants
        )
    except ValueError as error:
        raise ConfigError("configuration", None, "tenants", str(error)) from error


def _keys(jwt: JwtSection) -> KeySettings:
    return KeySettings(
        algorithm=jwt.algorithm,
        secret=None if jwt.secret is None else jwt.secret.encode(),
        public_key=jwt.public_key,
        jwks_url=jwt.jwks_url,
        issuers=frozenset([jwt.issuer] if jwt.issuer else []),
        audiences=frozenset(jwt.audience),
        tenant_claim_required=jwt.tenant_claim == "required",
        max_lifetime=jwt.max_lifetime,
    )
