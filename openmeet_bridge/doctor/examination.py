"""The examination: every check, in the order in which a message goes its way."""

from __future__ import annotations

import asyncio

import aiohttp

from ..config import Config
from ..core.errors import ConfigError
from ..matrix import registration as registrations
from ..matrix.homeserver import Homeserver
from ..matrix.registration import Registration
from ..matrix.transport import Timeouts
from . import database, homeserver, openmeet, way_back
from .finding import Finding, Report, fail, ok, skip
from .own_listener import CannotListen, OwnListener
from .running_bridge import Health, RunningBridge
from .sheet import Sheet

_TIMEOUTS = Timeouts(connect=5.0, total=15.0)
_BEYOND_REGISTRATION = (*homeserver.CHECKS, *way_back.CHECKS)


def run(config: Config, as_json: bool) -> int:
    """Examine everything and print what was found.

    Args:
        config: The configuration, checked.
        as_json: Print one JSON document, ``{"ok": true, "checks": [...]}``, instead of lines.

    Returns:
        0 when nothing failed, else 1.
    """
    sheet = Sheet(as_json)
    asyncio.run(examine(config, sheet))
    return sheet.conclude()


async def examine(config: Config, report: Report) -> None:
    """Make every check; what cannot be made is skipped, and says why."""
    count = len(config.tenants)
    report(ok("configuration", f"{count} tenant{'' if count == 1 else 's'}"))
    registration = _registration(config, report)
    async with aiohttp.ClientSession() as session:
        bridge = RunningBridge(session, config.listen.operations)
        health = await bridge.health()
        report(_bridge(config, health))
        await database.examine(config, report, serving=health is not None)
        await openmeet.examine(config, report)
        if registration is None:
            for check in _BEYOND_REGISTRATION:
                report(skip(check, "needs the registration"))
            return
        running = bridge if health is not None else None
        await _matrix(session, config, registration, running, report)


async def _matrix(
    session: aiohttp.ClientSession,
    config: Config,
    registration: Registration,
    running: RunningBridge | None,
    report: Report,
) -> None:
    api = Homeserver(session, config.homeserver.url, registration.as_token, timeouts=_TIMEOUTS)
    known = await homeserver.examine(session, api, config.homeserver.url, registration, report)
    if not known:
        for check in way_back.CHECKS:
            report(skip(check, "needs a homeserver that knows the bridge"))
        return
    if running is not None:
        await way_back.examine(api, registration, running, report)
        return
    listener = OwnListener(
        config.listen.homeserver,
        registration.hs_token,
        body_limit=config.limits.transaction_bytes,
    )
    try:
        async with listener:
            await way_back.examine(api, registration, listener, report)
    except CannotListen as error:
        report(fail("ping", str(error), "stop what listens there, or change listen.homeserver"))
        for check in way_back.CHECKS[1:]:
            report(skip(check, "needs a listener"))


def _registration(config: Config, report: Report) -> Registration | None:
    try:
        registration = registrations.load(config.registration, config.homeserver.server_name)
    except ConfigError as error:
        report(fail("registration", str(error), "openmeet-bridge generate-registration"))
        return None
    report(ok("registration", f"{config.registration}: {registration.id}, {registration.bot}"))
    return registration


def _bridge(config: Config, health: Health | None) -> Finding:
    if health is None:
        return skip(
            "bridge",
            f"nothing answers at {config.listen.operations}: the doctor listens in its place",
        )
    wrong = [f"{name}: {text}" for name, text in health.checks.items() if text != "ok"]
    if wrong:
        return fail("bridge", "it runs, but is not ready", "see its log and what follows", wrong)
    return ok("bridge", "it runs and is ready")
