"""Runs the demonstration: PostgreSQL, Synapse, the bridge and two communities, until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import click
import msgspec

from ..app import Bridge, run_loop, running, stop_signal
from ..config import Address, Config, load
from ..core.ids import PortalKind, PortalRef, TenantId, UserSlug
from ..core.naming import Naming
from ..matrix import registration as registrations
from ..openmeet.signing import sign
from ..telemetry import setup_logging
from .community import COMMUNITIES, MATRIX_NAME, MATRIX_ROOM, MATRIX_USER, Community
from .filling import Filling
from .synapse import SynapseProcess, free_port

_HOST = "127.0.0.1"
_PUBLIC, _OPERATIONS, _TRANSACTIONS, _SYNAPSE = 8480, 9480, 9898, 8008
_SERVER_NAME = "localhost"
_TOKEN_LIFETIME = 8 * 3600.0


class _Secrets(msgspec.Struct):
    """What must stay the same between two runs on the same folder."""

    jwt: dict[str, str]
    service_keys: dict[str, str]
    matrix_password: str


@dataclass(frozen=True, slots=True)
class _World:
    """Everything about one run that is decided before it starts."""

    home: Path
    config: Config
    secrets: _Secrets
    synapse: SynapseProcess
    naming: Naming


def run(data_dir: Path | None, ready_file: Path | None) -> int:
    """Run the demonstration; return the exit status.

    Args:
        data_dir: Where its state is kept; None for a folder that is removed at the end.
        ready_file: Written as JSON once everything answers, and removed at the end.
    """
    with _home(data_dir) as home:
        setup_logging("warning", as_json=False)
        return run_loop(_run(_prepare(home), ready_file))


async def _run(world: _World, ready_file: Path | None) -> int:
    stop = stop_signal()
    work = asyncio.create_task(_show(world, ready_file, stop))
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    if not work.done():
        work.cancel()
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work
    click.echo("Stopped.")
    return 0


async def _show(world: _World, ready_file: Path | None, stop: asyncio.Event) -> None:
    click.echo("Starting PostgreSQL, Synapse and the bridge …")
    async with _synapse(world.synapse), running(world.config) as bridge:
        tokens = _tokens(world)
        async with aiohttp.ClientSession() as session:
            await _fill(world, bridge, session, tokens)
        ready = _ready(world, bridge, tokens)
        if ready_file is not None:
            _write_whole(ready_file, json.dumps(ready, indent=2))
        click.echo(_greeting(world, ready))
        try:
            await stop.wait()
        finally:
            click.echo("\nStopping …")
            _remove(ready_file)


async def _fill(
    world: _World,
    bridge: Bridge,
    session: aiohttp.ClientSession,
    tokens: dict[tuple[str, str], str],
) -> None:
    api_url = f"http://{bridge.addresses['public']}"
    for community in COMMUNITIES:
        own = {slug: token for (tenant, slug), token in tokens.items() if tenant == community.id}
        key = world.secrets.service_keys[community.id]
        await Filling(session, api_url, community, key, own).write()
    await _bring_matrix_user(world, session)


async def _bring_matrix_user(world: _World, session: aiohttp.ClientSession) -> None:
    """Let the person from Matrix join the public group, as any Matrix client would."""
    password = world.secrets.matrix_password
    await asyncio.to_thread(world.synapse.register_user, MATRIX_USER, password)
    login = await asyncio.to_thread(world.synapse.login, MATRIX_USER, password)
    alias = quote(world.naming.alias(_matrix_room()), safe="")
    base = f"{world.synapse.base_url}/_matrix/client/v3"
    name = f"{base}/profile/{quote(login.user_id, safe='')}/displayname"
    headers = {"Authorization": f"Bearer {login.access_token}"}
    body = {"displayname": MATRIX_NAME}
    async with session.put(name, json=body, headers=headers) as answer:
        answer.raise_for_status()
    async with session.post(f"{base}/join/{alias}", json={}, headers=headers) as answer:
        answer.raise_for_status()


def _matrix_room() -> PortalRef:
    return PortalRef(TenantId(COMMUNITIES[0].id), PortalKind.GROUP, MATRIX_ROOM)


@contextlib.asynccontextmanager
async def _synapse(synapse: SynapseProcess) -> AsyncIterator[None]:
    try:
        await asyncio.to_thread(synapse.start)
        yield
    finally:
        await asyncio.to_thread(synapse.stop)


# Before the start


@contextlib.contextmanager
def _home(data_dir: Path | None) -> Iterator[Path]:
    if data_dir is not None:
        data_dir.mkdir(parents=True, exist_ok=True)
        yield data_dir.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="openmeet-demo-") as folder:
        yield Path(folder)


def _prepare(home: Path) -> _World:
    kept = _secrets(home)
    taken: set[int] = set()
    public, operations, transactions, matrix = (
        _port(wanted, taken) for wanted in (_PUBLIC, _OPERATIONS, _TRANSACTIONS, _SYNAPSE)
    )
    registration = _registration(home, f"http://{_HOST}:{transactions}")
    synapse = SynapseProcess(
        home / "synapse", port=matrix, registrations=[registration], server_name=_SERVER_NAME
    )
    values: dict[str, Any] = {
        "homeserver": {"url": synapse.base_url, "server_name": _SERVER_NAME},
        "registration": "registration.yaml",
        "database": "embedded",
        "data_dir": "database",
        "listen": {
            "homeserver": f"{_HOST}:{transactions}",
            "public": f"{_HOST}:{public}",
            "operations": f"{_HOST}:{operations}",
        },
        "tenants": [_tenant(community, kept) for community in COMMUNITIES],
        "web": {"page": True, "demo_login": True},
        # Fewer than any machine allows: nobody need read of open files here.
        "limits": {"streams": 400},
    }
    file = home / "config.yaml"
    # JSON is YAML: nothing that a person must read, and nothing to escape wrongly.
    _write_private(file, json.dumps(values, indent=2))
    config = load(file)
    naming = registrations.load(registration, _SERVER_NAME).naming
    return _World(home, config, kept, synapse, naming)


def _tenant(community: Community, kept: _Secrets) -> dict[str, Any]:
    return {
        "id": community.id,
        "name": community.name,
        "jwt": {"algorithm": "HS256", "secret": kept.jwt[community.id]},
        "service_keys": [kept.service_keys[community.id]],
    }


def _secrets(home: Path) -> _Secrets:
    file = home / "secrets.json"
    if file.exists():
        return msgspec.json.decode(file.read_bytes(), type=_Secrets)
    made = _Secrets(
        jwt={community.id: secrets.token_urlsafe(32) for community in COMMUNITIES},
        service_keys={community.id: secrets.token_urlsafe(24) for community in COMMUNITIES},
        matrix_password=secrets.token_urlsafe(9),
    )
    _write_private(file, msgspec.json.encode(made).decode())
    return made


def _registration(home: Path, url: str) -> Path:
    file = home / "registration.yaml"
    if file.exists():
        present = registrations.load(file, _SERVER_NAME)
        made = msgspec.structs.replace(present, url=url)
    else:
        made = registrations.generate(_SERVER_NAME, url)
    _write_private(file, made.dump())
    return file


def _port(wanted: int, taken: set[int]) -> int:
    port = wanted if _is_free(wanted) else free_port()
    while port in taken:
        port = free_port()
    taken.add(port)
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
        return True


# What is told


def _tokens(world: _World) -> dict[tuple[str, str], str]:
    return {
        (community.id, person.slug): sign(
            world.secrets.jwt[community.id],
            TenantId(community.id),
            number,
            UserSlug(person.slug),
            time.time(),
            _TOKEN_LIFETIME,
        )
        for community in COMMUNITIES
        for number, person in enumerate(community.people, start=1)
    }


def _ready(world: _World, bridge: Bridge, tokens: dict[tuple[str, str], str]) -> dict[str, Any]:
    def url(address: Address) -> str:
        return f"http://{address}"

    return {
        "api_url": url(bridge.addresses["public"]),
        "operations_url": url(bridge.addresses["operations"]),
        "homeserver_url": world.synapse.base_url,
        "users": [
            {
                "tenant": tenant,
                "slug": slug,
                "mxid": world.naming.ghost(TenantId(tenant), UserSlug(slug)),
                "jwt": token,
            }
            for (tenant, slug), token in tokens.items()
        ],
        "matrix_user": {
            "mxid": f"@{MATRIX_USER}:{_SERVER_NAME}",
            "username": MATRIX_USER,
            "password": world.secrets.matrix_password,
            "room_alias": world.naming.alias(_matrix_room()),
        },
        "service_keys": world.secrets.service_keys,
    }


def _greeting(world: _World, ready: dict[str, Any]) -> str:
    person = ready["matrix_user"]
    return f"""
The chat page:       {ready["api_url"]}/
                     Open it twice and be two people: choose whom on the first screen.
The API:             {ready["api_url"]}/api/v1/docs
Health and metrics:  {ready["operations_url"]}/health/ready  {ready["operations_url"]}/metrics
The doctor:          openmeet-bridge doctor --config {world.home / "config.yaml"}

Somebody who is not on OpenMeet, with any Matrix client (Element, for example):
  homeserver         {ready["homeserver_url"]}
  user, password     {person["username"]}, {person["password"]}
  room               {person["room_alias"]} (joined already)

Ctrl-C stops everything.
"""


def _remove(file: Path | None) -> None:
    if file is not None:
        file.unlink(missing_ok=True)


def _write_private(file: Path, text: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)


def _write_whole(file: Path, text: str) -> None:
    """Write a file so that nobody ever sees half of it."""
    part = file.with_name(file.name + ".part")
    _write_private(part, text)
    part.replace(file)
