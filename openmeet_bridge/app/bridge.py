"""One running bridge: what is started in which order, and ended in the reverse of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import aiohttp
from aiohttp import web

from ..api.quick_streams import QuickStreams
from ..bridge.duties import Duties
from ..bridge.supervisor import Supervisor
from ..config import Address, Config
from ..config.model import LOCAL
from ..core.errors import ConfigError, Unavailable
from ..matrix.registration import Registration
from ..storage import event_log
from ..storage.database import AWAY, Database
from ..storage.instance import InstanceLock
from .door import Door
from .draining import drain
from .listeners import homeserver_app, operations_app, public_app
from .office import OFFICE, Office, apart
from .services import Services

_GRACE = 10.0
_LINGER = 6.0
_CONNECTIONS = 64
_BACKLOG = 4096
"""All clients come back at once after an accident; the kernel takes less where it must."""


class Bridge:
    """One bridge: the only one, or one of several workers.

    Args:
        config: The configuration.
        registration: What homeserver and bridge have agreed upon.
        dsn: The database, migrated.
        worker: Which of those that share this machine's ports; None: it has them for itself.
    """

    def __init__(
        self, config: Config, registration: Registration, dsn: str, worker: int | None = None
    ) -> None:
        self._config = config
        self._registration = registration
        self._dsn = dsn
        self._worker = worker
        self._ending = AsyncExitStack()
        self._sites: list[web.TCPSite] = []
        self._runners: list[web.AppRunner] = []
        self._door: Door | None = None
        self.addresses: dict[str, Address] = {}
        """Where each listener listens, once it does."""

    async def start(self) -> None:
        """Start everything; when this returns, requests are answered.

        Raises:
            Unavailable: The database does not answer.
            ConfigError: A listening address is taken, or a tenant's keys cannot be used.
        """
        ending = self._ending
        database = Database(self._dsn)
        ending.push_async_callback(database.close)
        await database.open()
        duties = await self._come_in()
        http = await ending.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_CONNECTIONS))
        )
        async with database.connection() as connection:
            head = await event_log.head(connection)
        services = Services(self._config, self._registration, database, http, head, duties)
        duties.position = lambda: services.hub.position
        # Whose last words are on their way may read them.
        ending.push_async_callback(services.sockets.settle, _LINGER)
        ending.push_async_callback(services.picture_store.close)
        ending.push_async_callback(services.openmeet.close)
        for tenant in self._config.tenants:
            await services.directory.name_ghosts(tenant.id)
        everywhere, office = apart(services.loops)
        supervisor = self._supervisor()
        ending.push_async_callback(services.close_bus)
        ending.push_async_callback(services.delivery.stop)
        ending.push_async_callback(services.presence.stop)
        await self._listen_all(services, http)
        ending.push_async_callback(self._say_goodbye, services)
        # What only one may do is given up first: the next one has it before this one has ended.
        ending.push_async_callback(duties.release)
        self._supervisor().start(OFFICE, Office(duties, office).run)
        for name, loop in everywhere.items():
            supervisor.start(name, loop)
        ending.push_async_callback(self._accept_no_more)

    async def stop(self) -> None:
        """End everything, in the order in which nothing is lost.

        Nobody new is let in, and other workers take over what only one may do. Streams are told to
        come back, and who waits for an event id is answered that it is pending; a transaction that
        is being kept is answered; what is not sent stays in the outbox.
        """
        await self._ending.aclose()

    async def _come_in(self) -> Duties:
        lock = InstanceLock(self._dsn, shared=self._config.bus != LOCAL)
        duties = Duties(lock, [OFFICE])
        self._ending.push_async_callback(duties.end)
        try:
            await duties.begin()
        except AWAY as error:
            raise Unavailable(f"The database does not answer: {error}") from error
        self._supervisor().start("duties", duties.run)
        return duties

    def _supervisor(self) -> Supervisor:
        supervisor = Supervisor()
        self._ending.push_async_callback(supervisor.stop)
        return supervisor

    async def _listen_all(self, services: Services, http: aiohttp.ClientSession) -> None:
        config = self._config
        # A transaction must be kept whoever hangs up; a reader who goes must end its stream.
        kept = homeserver_app(config, self._registration, services)
        await self._listen("homeserver", await self._run(kept, cancel_with_client=False))
        operations = operations_app(services)
        await self._listen("operations", await self._run(operations, cancel_with_client=False))
        public = public_app(config, services, http)
        self._open_door(public.quick, await self._run(public.app, cancel_with_client=True))

    async def _run(self, app: web.Application, *, cancel_with_client: bool) -> web.AppRunner:
        runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=cancel_with_client,
            shutdown_timeout=_GRACE,
        )
        self._ending.push_async_callback(runner.cleanup)
        await runner.setup()
        self._runners.append(runner)
        return runner

    async def _listen(self, name: str, runner: web.AppRunner) -> None:
        address = self._address(name)
        site = web.TCPSite(
            runner, address.host, address.port, backlog=_BACKLOG, reuse_port=self._shares_ports
        )
        with _explained(name, address):
            await site.start()
        self._sites.append(site)
        host, port = runner.addresses[0][:2]
        self.addresses[name] = Address(host, port)

    def _open_door(self, quick: QuickStreams, runner: web.AppRunner) -> None:
        server = runner.server
        if server is None:
            raise RuntimeError("the HTTP server does not run")
        address = self._address("public")
        door = self._door = Door(quick, server)
        self._ending.push_async_callback(door.close)
        with _explained("public", address):
            host, port = door.open(
                address.host, address.port, backlog=_BACKLOG, reuse_port=self._shares_ports
            )
        self.addresses["public"] = Address(host, port)
        path = self._config.listen.public_socket
        if path is not None:
            path += f".{self._worker}" if self._worker else ""
            with _explained("public_socket", path):
                door.open_at(path, backlog=_BACKLOG, replaces=self._shares_ports)

    @property
    def _shares_ports(self) -> bool:
        return self._worker is not None

    def _address(self, name: str) -> Address:
        address: Address = getattr(self._config.listen, name)
        if name == "operations" and self._worker and address.port:
            # Health and metrics are each worker's own.
            return Address(address.host, address.port + self._worker)
        return address

    async def _accept_no_more(self) -> None:
        for site in self._sites:
            await site.stop()
        if self._door is not None:
            await self._door.admit_no_more()
        # What was accepted just now begins to be answered before idle connections are closed.
        await asyncio.sleep(0)
        for runner in self._runners:
            if runner.server is not None:
                runner.server.pre_shutdown()

    async def _say_goodbye(self, services: Services) -> None:
        # Where there is nobody else to go to, waiting helps nobody.
        alone = services.broadcast.alone
        await drain(services.hub, 0 if alone else self._config.stream.drain)
        services.sending.release()


@contextmanager
def _explained(name: str, address: object) -> Iterator[None]:
    """Say which setting it is about when an address cannot be listened on."""
    try:
        yield
    except OSError as error:
        reason = f"cannot listen on {address}: {error.strerror or error}"
        raise ConfigError("configuration", None, f"listen.{name}", reason) from error
