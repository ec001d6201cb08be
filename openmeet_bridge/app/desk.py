"""A desk for an operator: what a one-off command needs, beside a running bridge or without one.

A command asks and writes; it never works on jobs, and so takes no lock. What it writes is done by
the bridge that runs, which is told in the same transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp
import asyncpg

from ..bridge.comparison import Comparison
from ..bridge.directory import Directory
from ..bridge.overview import Overview
from ..config import Config
from ..core.errors import ConfigError, InvalidParam, NotFound, Unavailable
from ..core.ids import Mxid, PortalRef, TenantId, UserSlug
from ..core.naming import Naming
from ..core.rules import Rules
from ..matrix import registration as registrations
from ..matrix.homeserver import Homeserver
from ..openmeet.database import OpenMeetDatabase
from ..storage import directory, event_log, ghosts, instance
from ..storage.database import Database
from ..storage.embedded import EmbeddedPostgres, EmbeddedPostgresError, running_dsn
from ..telemetry import setup_logging
from .services import Services
from .tenants import rules_of

_CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Desk:
    """What a one-off command needs.

    Attributes:
        rules: Of each tenant.
        services: The same objects as those of a running bridge; none of their loops runs.
        alone: The embedded database was started for this command: no bridge can run meanwhile.
    """

    config: Config
    database: Database
    services: Services
    homeserver: Homeserver
    rules: Callable[[TenantId], Rules]
    alone: bool

    @property
    def directory(self) -> Directory:
        """The one writer of the directory."""
        return self.services.directory

    @property
    def naming(self) -> Naming:
        """Makes names."""
        return self.services.naming

    @property
    def overview(self) -> Overview:
        """What there is."""
        return Overview(self.database, self.rules)

    @property
    def tenants(self) -> list[TenantId]:
        """The configured tenants."""
        return [one.id for one in self.config.tenants]

    def tenant(self, given: str | None) -> TenantId:
        """Return the tenant that is meant.

        Raises:
            ConfigError: It is not configured, or there are several and none is named.
        """
        known = ", ".join(repr(str(one)) for one in self.tenants)
        if given is not None:
            if given in self.tenants:
                return TenantId(given)
            raise ConfigError("--tenant", None, repr(given), f"not configured; there are: {known}")
        if len(self.tenants) == 1:
            return self.tenants[0]
        raise ConfigError("--tenant", None, "", f"which tenant? Name one of: {known}")

    @property
    def openmeet(self) -> OpenMeetDatabase:
        """OpenMeet's own database.

        Raises:
            ConfigError: It is not configured.
        """
        if self.services.openmeet_database is None:
            raise _no_openmeet()
        return self.services.openmeet_database

    @property
    def comparison(self) -> Comparison:
        """What compares the directory with OpenMeet's database.

        Raises:
            ConfigError: It is not configured.
        """
        if self.services.comparison is None:
            raise _no_openmeet()
        return self.services.comparison

    async def is_served(self) -> bool:
        """Whether a bridge works on this database at this moment."""
        async with self.database.connection() as connection:
            return await instance.is_served(connection)

    async def user(self, tenant: TenantId, name: str) -> UserSlug:
        """Return the slug of the user that is meant: by slug, or by the ghost's Matrix id.

        Raises:
            NotFound: There is no such user in the directory.
        """
        async with self.database.connection() as connection:
            slug = UserSlug(name)
            if name.startswith("@"):
                ghost = await ghosts.of_mxid(connection, Mxid(name))
                if ghost is None or ghost.tenant != tenant:
                    raise NotFound(f"{name} stands for no user of this tenant.")
                slug = ghost.slug
            if await directory.user(connection, tenant, slug) is None:
                raise NotFound(f"No user {name!r} is known in this tenant.")
        return slug

    async def portal(self, ref: PortalRef) -> PortalRef:
        """Return the portal, if there is one, deleted ones included.

        Raises:
            InvalidParam: PostgreSQL cannot hold the name.
            NotFound: There is none.
        """
        if "\0" in ref.slug:
            raise InvalidParam("A slug holds no null character.")
        async with self.database.connection() as connection:
            if await directory.portal(connection, ref) is None:
                raise NotFound(f"No {ref.kind.value} {ref.slug!r} is known in this tenant.")
        return ref


@asynccontextmanager
async def open_desk(config: Config) -> AsyncIterator[Desk]:
    """Open a desk for the length of the block.

    Raises:
        ConfigError: The registration cannot be used.
        Unavailable: The database does not answer, or lacks migrations.
    """
    setup_logging("warning", as_json=config.logging.format == "json")
    registration = registrations.load(config.registration, config.homeserver.server_name)
    async with AsyncExitStack() as stack:
        dsn, alone = await _dsn(config, stack)
        database = Database(dsn)
        stack.push_async_callback(database.close)
        connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        stack.enter_context(_Readable())
        await database.open()
        async with database.connection() as connection:
            head = await event_log.head(connection)
        services = Services(config, registration, database, http, head)
        stack.push_async_callback(services.openmeet.close)
        homeserver = Homeserver(http, config.homeserver.url, registration.as_token)
        rules = rules_of(config)
        yield Desk(
            config,
            database,
            services,
            homeserver,
            lambda tenant: rules.get(tenant, Rules()),
            alone,
        )


def _no_openmeet() -> ConfigError:
    reason = "is not set, so there is no database of OpenMeet's to read"
    return ConfigError("configuration", None, "openmeet.database", reason)


class _Readable:
    """Says what is wrong with a database that answers and cannot be used."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, asyncpg.UndefinedTableError | asyncpg.UndefinedColumnError):
            text = "The database lacks migrations. Run: openmeet-bridge migrate"
            raise Unavailable(text) from error
        if isinstance(
            error,
            asyncpg.InvalidAuthorizationSpecificationError | asyncpg.InvalidCatalogNameError,
        ):
            raise Unavailable(f"The database refuses: {error}. Correct `database`.") from error


async def _dsn(config: Config, stack: AsyncExitStack) -> tuple[str, bool]:
    if not config.embedded:
        return config.database, False
    try:
        dsn = await asyncio.to_thread(running_dsn, config.data_dir)
        if dsn is not None:
            return dsn, False
        if not (config.data_dir / "postgres").exists():
            raise Unavailable(
                f"There is no embedded database in {config.data_dir} yet: "
                "openmeet-bridge serve makes it."
            )
        server = EmbeddedPostgres(config.data_dir)
        await asyncio.to_thread(server.start)
    except EmbeddedPostgresError as error:
        raise Unavailable(str(error)) from error
    stack.push_async_callback(asyncio.to_thread, server.stop)
    return server.dsn, True
