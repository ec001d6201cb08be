"""The database: reachable, migrated, and what has piled up in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from ..config import Config
from ..core.errors import Unavailable
from ..storage import jobs, migrations, quarantine, repair_mark
from ..storage.database import Connection, Database
from ..storage.embedded import EmbeddedPostgres, EmbeddedPostgresError, running_dsn
from .finding import Finding, Report, fail, ok, skip, warn

CHECKS = ("database", "migrations", "quarantine", "repair", "jobs")

_SHOWN = 5
_SHOWN_CHARACTERS = 200
_LATE_INTERVALS = 3
_LATE_SECONDS = 60.0
_MIGRATE = "openmeet-bridge migrate (serve does it too, unless migrate_on_start is false)"


class _NotThereYet(Exception):
    """There is no database yet, and making one is not a doctor's business."""


async def examine(config: Config, report: Report, *, serving: bool) -> None:
    """Check the database.

    Args:
        config: The configuration.
        report: Takes the findings.
        serving: Whether the bridge runs.
    """
    try:
        async with _server(config) as (dsn, which), _opened(dsn) as database:
            report(ok("database", f"{which} answers"))
            finding = _migrated(await migrations.current(dsn))
            report(finding)
            if finding.fix:
                _skip_rest(report, CHECKS[2:], "needs the newest migration")
                return
            await _contents(config, database, report, serving)
    except _NotThereYet as error:
        report(skip("database", str(error), "openmeet-bridge serve, or migrate, makes it"))
    except EmbeddedPostgresError as error:
        report(fail("database", str(error), "see above; and postgres.log in data_dir"))
    except Unavailable as error:
        report(fail("database", error.message, "start PostgreSQL, or correct `database`"))
    except (asyncpg.PostgresError, ValueError) as error:
        report(fail("database", str(error), "correct `database`: address, user, password, name"))
    else:
        return
    _skip_rest(report, CHECKS[1:], "needs the database")


@asynccontextmanager
async def _server(config: Config) -> AsyncIterator[tuple[str, str]]:
    """Yield the database's address and what it is; an embedded server is started if none runs."""
    if not config.embedded:
        yield config.database, "PostgreSQL"
        return
    dsn = await asyncio.to_thread(running_dsn, config.data_dir)
    if dsn is not None:
        yield dsn, "the running embedded PostgreSQL"
        return
    if not (config.data_dir / "postgres").exists():
        raise _NotThereYet(f"there is no embedded database in {config.data_dir} yet")
    server = EmbeddedPostgres(config.data_dir)
    await asyncio.to_thread(server.start)
    try:
        yield server.dsn, "the embedded PostgreSQL, started for this,"
    finally:
        await asyncio.to_thread(server.stop)


@asynccontextmanager
async def _opened(dsn: str) -> AsyncIterator[Database]:
    database = Database(dsn, size=1)
    try:
        await database.open()
        yield database
    finally:
        await database.close()


def _migrated(revision: str | None) -> Finding:
    newest = migrations.newest()
    if revision == newest:
        return ok("migrations", f"at revision {revision}, the newest")
    if revision is None:
        return fail("migrations", "the database was never migrated", _MIGRATE)
    text = f"at revision {revision}, this program wants {newest}"
    fix = f"{_MIGRATE}; if it does not know {revision}, a newer program was here: install that"
    return fail("migrations", text, fix)


async def _contents(config: Config, database: Database, report: Report, serving: bool) -> None:
    late = _LATE_INTERVALS * config.repair.interval + _LATE_SECONDS
    async with database.connection() as connection:
        report(await _quarantine(connection))
        report(_repair(await repair_mark.age(connection), late, serving))
        report(_jobs(await jobs.counts(connection)))


async def _quarantine(connection: Connection) -> Finding:
    count = await quarantine.count(connection)
    if not count:
        return ok("quarantine", "empty")
    newest = await quarantine.newest(connection, _SHOWN)
    details = [
        f"{item.received_at:%Y-%m-%d %H:%M:%S%z} transaction {item.txn_id}: {item.reason}: "
        f"{item.raw[:_SHOWN_CHARACTERS].decode('utf-8', 'replace')}"
        for item in newest
    ]
    text = f"{count} event{'s' if count > 1 else ''} could not be read; the newest:"
    return warn("quarantine", text, "report them; they are kept in the table quarantine", details)


def _repair(age: float | None, late: float, serving: bool) -> Finding:
    if age is None:
        return skip("repair", "the log was not compared with the homeserver yet")
    text = f"the log was last compared with the homeserver {_span(age)} ago"
    if not serving:
        return skip("repair", f"{text}; the bridge does not run")
    if age > late:
        fix = "see the bridge's log for homeserver.away or homeserver.lost"
        return fail("repair", f"{text}, which is too long", fix)
    return ok("repair", text)


def _jobs(counts: dict[str, int]) -> Finding:
    pending, failed = counts["pending"], counts["failed"]
    if failed:
        fix = "the integration API's status of each tells why; PUT it again once it is mended"
        return warn("jobs", f"{failed} failed for good, {pending} pending", fix)
    return ok("jobs", f"none failed, {pending} pending")


def _span(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _skip_rest(report: Report, checks: tuple[str, ...], why: str) -> None:
    for check in checks:
        report(skip(check, why))
