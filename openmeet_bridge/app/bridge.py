"""One running bridge: what is started in which order, and ended in the reverse of it."""

from __future__ import annotations

from contextlib import AsyncExitStack

import aiohttp
from aiohttp import web

from ..bridge.supervisor import Supervisor
from ..config import Address, Config
from ..core.errors import ConfigError
from ..matrix.registration import Registration
from ..storage import event_log
from ..storage.database import Database
from ..storage.instance import InstanceLock
from ..stream.reasons import CloseReason
from .listeners import homeserver_app, operations_app, public_app
from .services import Services

_GRACE = 10.0
_CONNECTIONS = 64


class Bridge:
    """One bridge.

    Args:
        config: The configuration.
        registration: What homeserver and bridge have agreed upon.
        dsn: The database, migrated.
    """

    def __init__(self, config: Config, registration: Registration, dsn: str) -> None:
        self._config = config
        self._registration = registration
        self._dsn = dsn
        self._ending = AsyncExitStack()
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
        lock = InstanceLock(self._dsn)
        ending.push_async_callback(lock.release)
        await lock.acquire()
        http = await ending.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_CONNECTIONS))
        )
        async with database.connection() as connection:
            head = await event_log.head(connection)
        services = Services(self._config, self._registration, database, http, head)
        ending.push_async_callback(services.picture_store.close)
        ending.push_async_callback(services.openmeet.close)
        for tenant in self._config.tenants:
            await services.directory.name_ghosts(tenant.id)
        supervisor = Supervisor()
        ending.push_async_callback(supervisor.stop)
        ending.push_async_callback(services.delivery.stop)
        ending.push_async_callback(services.presence.stop)
        await self._listen_all(services, http)
        ending.callback(_say_goodbye, services)
        for name, loop in services.loops.items():
            supervisor.start(name, loop)
        supervisor.start("instance-lock", lock.keep)

    async def stop(self) -> None:
        """End everything, in the order in which nothing is lost.

        Streams are told to come back, and who waits for an event id is answered that it is
        pending; a transaction that is being kept is answered; what is not sent stays in the
        outbox.
        """
        await self._ending.aclose()

    async def _listen_all(self, services: Services, http: aiohttp.ClientSession) -> None:
        config = self._config
        # A transaction must be kept whoever hangs up; a reader who goes must end its stream.
        kept = homeserver_app(config, self._registration, services)
        await self._listen("homeserver", kept, cancel_with_client=False)
        await self._listen("operations", operations_app(services), cancel_with_client=False)
        public = public_app(config, services, http)
        await self._listen("public", public, cancel_with_client=True)

    async def _listen(self, name: str, app: web.Application, *, cancel_with_client: bool) -> None:
        runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=cancel_with_client,
            shutdown_timeout=_GRACE,
        )
        self._ending.push_async_callback(runner.cleanup)
        await runner.setup()
        address: Address = getattr(self._config.listen, name)
        try:
            await web.TCPSite(runner, address.host, address.port).start()
        except OSError as error:
            reason = f"cannot listen on {address}: {error.strerror or error}"
            raise ConfigError("configuration", None, f"listen.{name}", reason) from error
        host, port = runner.addresses[0][:2]
        self.addresses[name] = Address(host, port)


def _say_goodbye(services: Services) -> None:
    services.hub.close_all(CloseReason.SHUTDOWN)
    services.sending.release()
