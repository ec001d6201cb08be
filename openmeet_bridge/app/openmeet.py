"""The feed from OpenMeet's own database, where one is configured."""

from __future__ import annotations

from collections.abc import Callable

from ..bridge.comparison import Comparison, Schedule
from ..bridge.directory import Directory
from ..config import Config
from ..openmeet.database import OpenMeetDatabase
from ..storage.database import Database


def openmeet_database_of(config: Config) -> OpenMeetDatabase | None:
    """Return OpenMeet's database, not connected yet; None where it is not configured."""
    if config.openmeet.database is None:
        return None
    sites = {tenant.id: tenant.site_url for tenant in config.tenants}
    return OpenMeetDatabase(config.openmeet.database, sites, config.openmeet.files_url)


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
