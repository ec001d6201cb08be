"""OpenMeet's own database: reachable, with every tenant's tables, and closed to writing."""

from __future__ import annotations

from ..config import Config
from ..core.errors import BridgeError
from ..openmeet.accounts import MatrixIds, OpenMeetAccounts
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
    tenants = {tenant.id: None for tenant in config.tenants}
    database = OpenMeetDatabase(dsn, tenants, patience=10)
    accounts, ids = OpenMeetAccounts(dsn, tenants), MatrixIds(dsn, tenants)
    try:
        found = await _look(config, database)
        for tenant in config.tenants:
            if tenant.jwt.tenant_claim == "session":
                await accounts.check_sessions(tenant.id)
            if config.openmeet.write_matrix_user_id:
                await ids.check(tenant.id)
        report(found)
    except BridgeError as error:
        report(fail(CHECK, error.message, f"correct openmeet.database; {_HOW}"))
    finally:
        for one in (database, accounts, ids):
            await one.close()


async def _look(config: Config, database: OpenMeetDatabase) -> Finding:
    users = portals = 0
    writable = False
    for tenant in config.tenants:
        found = await database.counts(tenant.id)
        users, portals = users + found.users, portals + found.portals
        writable |= await database.may_write(tenant.id)
    text = f"{users} users, {portals} groups and meetups can be read"
    if writable:
        return warn(CHECK, f"{text}; its user may write, which the bridge does not need", _HOW)
    return ok(CHECK, text)
