"""OpenMeet's own database: reachable, with every tenant's tables, and closed to writing."""

from __future__ import annotations

from ..config import Config
from ..core.errors import BridgeError
from ..openmeet.database import OpenMeetDatabase
from .finding import Finding, Report, fail, ok, skip, warn

CHECK = "openmeet-database"

_HOW = "docs/how-to/read-openmeets-database.md has the GRANTs"


async def examine(config: Config, report: Report) -> None:
    """Check what the comparison reads.

    Args:
        config: The configuration.
        report: Takes the finding.
    """
    dsn = config.openmeet.database
    if dsn is None:
        report(skip(CHECK, "openmeet.database is not set: OpenMeet tells the bridge everything"))
        return
    database = OpenMeetDatabase(dsn, {tenant.id: None for tenant in config.tenants}, patience=10)
    try:
        report(await _look(config, database))
    except BridgeError as error:
        report(fail(CHECK, error.message, f"correct openmeet.database; {_HOW}"))
    finally:
        await database.close()


async def _look(config: Config, database: OpenMeetDatabase) -> Finding:
    users = portals = 0
    writable = False
    for tenant in config.tenants:
        found = await database.counts(tenant.id)
        users, portals = users + found.users, portals + found.portals
        writable |= await database.may_write(tenant.id)
    text = f"{users} users, {portals} groups and meetups can be read"
    if writable:
        return warn(CHECK, f"{text}; its user may write, which the bridge never does", _HOW)
    return ok(CHECK, text)
