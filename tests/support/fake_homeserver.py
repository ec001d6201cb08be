"""A homeserver in a few lines, which can be wrong in every way that the doctor looks for."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import aiohttp
from aiohttp import web

from openmeet_bridge.matrix.registration import Registration

ROOM = "!check"


@dataclass
class FakeHomeserver:
    """What it holds of the registration, and how it behaves; change it before use."""

    registration: Registration
    users_regex: str = ""
    aliases_regex: str = ""
    url: str = ""
    skew: float = 0.0
    ephemeral: bool = True
    exclusive: bool = True
    registration_open: bool = True
    ping_retrying: bool = False
    wording: str = "Application service"
    users: set[str] = field(default_factory=set)
    aliases: set[str] = field(default_factory=set)
    pushed: list[dict[str, Any]] = field(default_factory=list)
    _transactions: int = 0

    def __post_init__(self) -> None:
        self.users_regex = self.users_regex or self.registration.users_regex
        self.aliases_regex = self.aliases_regex or self.registration.aliases_regex

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Runs it; yields its address."""
        app = web.Application()
        client = "/_matrix/client/v3"
        app.add_routes(
            [
                web.get("/_matrix/client/versions", self._versions),
                web.get(f"{client}/account/whoami", self._whoami),
                web.post(f"{client}/register", self._register),
                web.get(f"{client}/register/available", self._available),
                web.post("/_matrix/client/v1/appservice/{id}/ping", self._ping),
                web.get(f"{client}/directory/room/{{alias}}", self._resolve),
                web.put(f"{client}/directory/room/{{alias}}", self._alias),
                web.post(f"{client}/createRoom", self._create_room),
                web.put(f"{client}/rooms/{{room}}/typing/{{user}}", self._typing),
                web.put(f"{client}/rooms/{{room}}/send/{{type}}/{{txn}}", self._send),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def _versions(self, request: web.Request) -> web.Response:
        date = formatdate(time.time() + self.skew, usegmt=True)
        return web.json_response({"versions": ["v1.15"]}, headers={"Date": date})

    async def _whoami(self, request: web.Request) -> web.Response:
        server = self.registration.server_name
        user = request.query.get("user_id")
        if not self._authorized(request):
            return _error(401, "M_UNKNOWN_TOKEN")
        if user is None:
            user = f"@{self.registration.sender_localpart}:{server}"
        elif not re.match(self.users_regex, user):
            return _error(403, "M_FORBIDDEN", f"{self.wording} cannot masquerade as this user")
        elif user not in self.users:
            return _error(403, "M_FORBIDDEN", f"{self.wording} has not registered this user")
        return web.json_response({"user_id": user})

    async def _register(self, request: web.Request) -> web.Response:
        user = f"@{(await request.json())['username']}:{self.registration.server_name}"
        if not re.match(self.users_regex, user):
            return _error(400, "M_EXCLUSIVE")
        if user in self.users:
            return _error(400, "M_USER_IN_USE")
        self.users.add(user)
        return web.json_response({"user_id": user})

    async def _available(self, request: web.Request) -> web.Response:
        if not self.registration_open:
            return _error(403, "M_FORBIDDEN")
        return _error(400, "M_EXCLUSIVE") if self.exclusive else web.json_response({})

    async def _ping(self, request: web.Request) -> web.Response:
        if request.match_info["id"] != self.registration.id:
            return _error(403, "M_FORBIDDEN", "Mismatching application service ID in path")
        status = await self._call("POST", "ping", await request.json())
        if status == 0 or self.ping_retrying:
            return _error(502, "M_CONNECTION_FAILED")
        return _error(502, "M_BAD_STATUS", f"HTTP {status} no") if status >= 300 else _done()

    async def _resolve(self, request: web.Request) -> web.Response:
        if request.match_info["alias"] not in self.aliases:
            return _error(404, "M_NOT_FOUND")
        return web.json_response({"room_id": ROOM})

    async def _alias(self, request: web.Request) -> web.Response:
        alias = request.match_info["alias"]
        if not re.match(self.aliases_regex, alias):
            return _error(400, "M_EXCLUSIVE")
        if alias in self.aliases:
            return _error(409, "M_UNKNOWN")
        self.aliases.add(alias)
        return _done()

    async def _create_room(self, request: web.Request) -> web.Response:
        localpart = (await request.json())["room_alias_name"]
        alias = f"#{localpart}:{self.registration.server_name}"
        if not re.match(self.aliases_regex, alias):
            return _error(400, "M_EXCLUSIVE")
        self.aliases.add(alias)
        return web.json_response({"room_id": ROOM})

    async def _typing(self, request: web.Request) -> web.Response:
        if self.ephemeral:
            content: dict[str, list[str]] = {"user_ids": []}
            event = {"type": "m.typing", "room_id": ROOM, "content": content}
            await self.push({"events": [], "ephemeral": [event]})
        return _done()

    async def _send(self, request: web.Request) -> web.Response:
        self.pushed.append(await request.json())
        return web.json_response({"event_id": "$nudge"})

    async def push(self, transaction: dict[str, Any]) -> int:
        """Sends a transaction; returns the bridge's status."""
        self._transactions += 1
        return await self._call("PUT", f"transactions/{self._transactions}", transaction)

    async def _call(self, method: str, path: str, body: dict[str, Any]) -> int:
        token = {"Authorization": f"Bearer {self.registration.hs_token}"}
        url = f"{self.url or self.registration.url}/_matrix/app/v1/{path}"
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.request(method, url, json=body, headers=token) as answer,
            ):
                await answer.read()
                return answer.status
        except aiohttp.ClientError:
            return 0

    def _authorized(self, request: web.Request) -> bool:
        return request.headers.get("Authorization") == f"Bearer {self.registration.as_token}"


def _done() -> web.Response:
    return web.json_response({"duration_ms": 1})


def _error(status: int, errcode: str, error: str = "no") -> web.Response:
    return web.json_response({"errcode": errcode, "error": error}, status=status)
