"""OpenMeet's own database, where one is configured: what is read there, and what is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..bridge.comparison import Comparison, Schedule
from ..bridge.directory import Directory
from ..config import Config
from ..openmeet.accounts import MatrixIds, OpenMeetAccounts
from ..openmeet.database import OpenMeetDatabase
from ..storage.database import Database


@dataclass(frozen=True, slots=True)
class OpenMeetSources:
    """OpenMeet's database, not connected yet; parts that are not configured are None.

    Attributes:
        database: For comparisons.
        accounts: For who waits.
        ids: For the one column that is written.
    """

    database: OpenMeetDatabase | None = None
    accounts: OpenMeetAccounts | None = None
    ids: MatrixIds | None = None

    async def close(self) -> None:
        """Close all connections."""
        for one in (self.database, self.accounts, self.ids):
            if one is not None:
                await one.close()


def openmeet_sources_of(config: Config) -> OpenMeetSources:
    """Return what is configured of OpenMeet's database."""
    dsn = config.openmeet.database
    if dsn is None:
        return OpenMeetSources()
    sites = {tenant.id: tenant.site_url for tenant in config.tenants}
    return OpenMeetSources(
        OpenMeetDatabase(dsn, sites, config.openmeet.files_url),
        OpenMeetAccounts(dsn, frozenset(sites)),
        MatrixIds(dsn, frozenset(sites)) if config.openmeet.write_matrix_user_id else None,
    )


def comparison_of(
    config: Config,
    database: Database,
    directory: Directory,
    source: OpenMeetDatabase,
    wake: Callable[[], None],
) -> Comparison:
    """Return the comparison of all tenants with OpenMeet's database."""
    section = config.openmeet
    return Comparison(
        database,
        directory,
        source,
        [tenant.id for tenant in config.tenants],
        schedule=Schedule(section.interval, section.full_interval),
        max_removals=section.max_removals,
        wake=wake,
    )
