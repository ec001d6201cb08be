"""Provisioning: from nothing to all users, rooms and members; and what a sweep costs then."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from openmeet_bridge.core.changes import Change, PutUser, ReplaceMembers
from openmeet_bridge.core.rules import Rules
from openmeet_bridge.demo.synapse import SynapseProcess, free_port
from openmeet_bridge.storage.embedded import EmbeddedPostgres
from tests.support.settling import Registrar, Town, registrar
from tests.support.simulated_homeserver import Mood, SimulatedHomeserver

from . import house, world
from .house import House, Plan
from .report import Report
from .wire import Connection, bearer, request

_MOOD = Mood(delay=(0.005, 0.04), heavy=4.0, limited=0.01)
_CALLS = re.compile(rb"(?m)^openmeet_bridge_homeserver_calls_total\{.*\} ([0-9.e+]+)$")
_SWEEPS = re.compile(rb"(?m)^openmeet_bridge_sweeps_total ([0-9.e+]+)$")
_FAILED = re.compile(rb'(?m)^openmeet_bridge_jobs_total\{outcome="failed"\} ([0-9.e+]+)$')
_RETRIED = re.compile(rb'(?m)^openmeet_bridge_jobs_total\{outcome="retried"\} ([0-9.e+]+)$')
_PATIENCE = 4 * 3600.0
_SWEEP_SECONDS = 5.0


@dataclass(slots=True)
class Found:
    """What was measured on one homeserver.

    Attributes:
        seconds: Of each phase.
        requests: To the homeserver in each phase.
        failed: Jobs that were given up.
        retried: Jobs that were tried again.
        sweep: Requests of a sweep with nothing to do.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    requests: dict[str, float] = field(default_factory=dict)
    failed: float = 0
    retried: float = 0
    sweep: float = 0


def run(home: Path, postgres: EmbeddedPostgres, *, quick: bool) -> list[Report]:
    """Measure."""
    home.mkdir()
    small = Town(world.TENANT, portals=6, members=4, users=12)
    real = small if quick else Town(world.TENANT, portals=100, members=20, users=500)
    large = small if quick else Town(world.TENANT, portals=1000, members=50, users=5000)
    return [
        _report("a real Synapse", real, _on_synapse(home / "synapse", postgres, real)),
        _report("a simulated homeserver", large, _simulated(home / "simulated", postgres, large)),
    ]


def _report(where: str, town: Town, found: Found) -> Report:
    title = f"Provisioning on {where}: {town.portals} rooms, {town.members} members in each"
    report = Report(title, ("what", "number", "seconds", "a second", "requests", "for each"))
    numbers = {
        "users": town.users,
        "rooms": town.portals,
        "joins": town.portals * town.members,
    }
    for what, number in numbers.items():
        seconds, requests = found.seconds[what], found.requests[what]
        report.rows.append(
            (what, number, seconds, number / seconds, round(requests), requests / number)
        )
    report.notes = [
        f"Jobs given up: {found.failed:.0f}; tried again: {found.retried:.0f}. "
        f"Requests of a sweep with nothing to do: {found.sweep:.0f}.",
        "Rooms are made without members, with their spaces; then the members come. A join takes",
        "what the homeserver needs to let somebody in and to push the event, as the log must show",
        "it before a job is done.",
    ]
    return report


def _on_synapse(home: Path, postgres: EmbeddedPostgres, town: Town) -> Found:
    agreed = house.plan(home)
    synapse = SynapseProcess(
        home / "synapse",
        port=free_port(),
        registrations=[agreed.registration_file],
        server_name=world.SERVER_NAME,
        relaxed=True,
    )
    with synapse:
        return _measure(agreed, postgres, synapse.base_url, town)


def _simulated(home: Path, postgres: EmbeddedPostgres, town: Town) -> Found:
    agreed = house.plan(home)
    with _simulation(agreed) as url:
        return _measure(agreed, postgres, url, town)


@contextmanager
def _simulation(agreed: Plan) -> Iterator[str]:
    """Run a simulated homeserver on a loop of its own; yield its address."""
    started, ended = threading.Event(), threading.Event()
    urls: list[str] = []

    async def serve() -> None:
        async with SimulatedHomeserver(agreed.registration, _MOOD).running() as homeserver:
            urls.append(homeserver.url)
            started.set()
            await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="simulated-homeserver")
    thread.start()
    started.wait(30)
    try:
        yield urls[0]
    finally:
        ended.set()
        thread.join()


def _measure(agreed: Plan, postgres: EmbeddedPostgres, url: str, town: Town) -> Found:
    found = Found()
    quiet = {"repair": {"interval": 3600}}
    with house.running(agreed, postgres, url, settings=quiet) as bridge:
        dsn = bridge.dsn
        for what, changes in _phases(town).items():
            before, began = _metric(bridge, _CALLS), time.perf_counter()
            _settle(bridge, changes)
            found.seconds[what] = time.perf_counter() - began
            found.requests[what] = _metric(bridge, _CALLS) - before
        found.failed, found.retried = _metric(bridge, _FAILED), _metric(bridge, _RETRIED)
    sweeping = {**quiet, "rooms": {"sweep": _SWEEP_SECONDS}}
    with house.running(agreed, postgres, url, dsn=dsn, settings=sweeping) as bridge:
        # First it looks what it may have missed, room by room. That is no part of a sweep.
        _wait_until_ready(bridge)
        swept = _metric(bridge, _SWEEPS)
        before = _metric(bridge, _CALLS)
        _wait_for_sweeps(bridge, swept + 2)
        found.sweep = _metric(bridge, _CALLS) - before
    return found


def _phases(town: Town) -> dict[str, Sequence[Change]]:
    changes = town.changes()
    users = [one for one in changes if isinstance(one, PutUser)]
    members = [one for one in changes if isinstance(one, ReplaceMembers)]
    rooms = [one for one in changes if not isinstance(one, PutUser | ReplaceMembers)]
    return {"users": users, "rooms": rooms, "joins": members}


def _settle(bridge: House, changes: Sequence[Change]) -> None:
    async def settle(writer: Registrar) -> None:
        await writer.write(world.TENANT, changes)
        _wake(bridge)
        await writer.settled(seconds=_PATIENCE)

    asyncio.run(_with_registrar(bridge.dsn, settle))


async def _with_registrar(dsn: str, work: Callable[[Registrar], Awaitable[None]]) -> None:
    async with registrar(dsn, world.NAMING, Rules()) as writer:
        await work(writer)


def _wake(bridge: House) -> None:
    """Say something over the API that is so already: then the bridge looks for jobs at once."""
    path = f"/api/integration/v1/tenants/{world.TENANT}/users/user-00000"
    body = json.dumps({"name": "User 0"}).encode()
    connection = Connection(bridge.public)
    connection.ask(request("PUT", path, bearer(world.SERVICE_KEY), body))
    connection.close()


def _metric(bridge: House, pattern: re.Pattern[bytes]) -> float:
    connection = Connection(bridge.operations)
    text = connection.ask(request("GET", "/metrics", {}))
    connection.close()
    return sum(map(float, pattern.findall(text)))


def _wait_until_ready(bridge: House) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not _is_ready(bridge):
        if time.monotonic() > deadline:
            raise RuntimeError("the bridge does not become ready")
        time.sleep(0.2)


def _is_ready(bridge: House) -> bool:
    connection = Connection(bridge.operations)
    try:
        connection.ask(request("GET", "/health/ready", {}))
    except RuntimeError:
        return False
    finally:
        connection.close()
    return True


def _wait_for_sweeps(bridge: House, number: float) -> None:
    deadline = time.monotonic() + _PATIENCE
    while _metric(bridge, _SWEEPS) < number:
        if time.monotonic() > deadline:
            raise RuntimeError("the sweep does not end")
        time.sleep(0.2)
