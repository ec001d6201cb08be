"""OpenMeet as the bridge meets it: a backend with a service key, and people with browsers."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp

from .bridge import Settings, Site
from .streams import Stream, sse, websocket
from .waiting import PATIENCE, eventually

Json = Mapping[str, Any]
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Answer:
    """An answer of the bridge."""

    status: int
    body: Any

    @property
    def errcode(self) -> str | None:
        """The machine-readable code of an error, None for a success."""
        return self.body.get("errcode") if isinstance(self.body, dict) else None


async def call(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] = {},
    body: Json | None = None,
    params: Mapping[str, str] = {},
) -> Answer:
    """Makes one request and reads its JSON."""
    async with session.request(method, url, json=body, headers=headers, params=params) as answer:
        is_json = answer.content_type == "application/json"
        return Answer(answer.status, await (answer.json() if is_json else answer.text()))


class Backend:
    """OpenMeet's backend: writes what there should be in one tenant.

    Args:
        session: HTTP session.
        settings: The bridge.
        tenant: Whose service key it has.
    """

    def __init__(self, session: aiohttp.ClientSession, settings: Settings, tenant: Site) -> None:
        self._session = session
        self._settings = settings
        self.tenant = tenant
        self.url = f"{settings.api_url}/api/integration/v1/tenants/{tenant.id}"

    async def ask(
        self, method: str, path: str, body: Json | None = None, params: Mapping[str, str] = {}
    ) -> Answer:
        """Calls the integration API of the tenant, whatever the answer."""
        headers = {"Authorization": f"Bearer {self.tenant.service_key}"}
        url = f"{self.url}{path}"
        return await call(self._session, method, url, headers=headers, body=body, params=params)

    async def do(
        self, method: str, path: str, body: Json | None = None, params: Mapping[str, str] = {}
    ) -> Any:
        """Calls the integration API; returns the body of what must be a success."""
        answer = await self.ask(method, path, body, params)
        assert answer.status == 200, (method, path, answer)
        return answer.body

    async def batch(self, *changes: Json, **params: str) -> Any:
        """Makes changes, all or none; returns what is different."""
        return await self.do("POST", "/batch", {"changes": list(changes)}, params)

    async def all_settled(self, *, seconds: float = PATIENCE) -> dict[str, Any]:
        """Waits until Matrix follows the whole directory of the tenant."""

        async def look() -> dict[str, Any] | None:
            status: dict[str, Any] = await self.do("GET", "/status")
            assert status["settled"], status
            return status

        return await eventually(look, "the tenant settles", seconds=seconds) or {}

    async def members(self, path: str) -> dict[str, dict[str, Any]]:
        """Who is anything in a group or a meetup, by slug."""
        found = await self.do("GET", f"{path}/members")
        return {one["user"]: one for one in found["members"]}

    async def settled(self, path: str, *, seconds: float = PATIENCE) -> dict[str, Any]:
        """Waits until Matrix follows for a user, group, meetup or direct chat."""

        async def look() -> dict[str, Any] | None:
            status: dict[str, Any] = await self.do("GET", f"{path}/status")
            assert status["state"] == "settled", status
            return status

        return await eventually(look, f"{path} settles", seconds=seconds) or {}

    async def user(self, name: str, *, slug: str | None = None) -> User:
        """Writes a user with a slug of their own; returns them with a browser."""
        number = next(_numbers)
        slug = slug or f"{name.lower()}-{secrets.token_hex(3)}"
        await self.do("PUT", f"/users/{slug}", {"id": number, "name": name})
        return User(self._session, self._settings, self.tenant, number, slug, name)

    async def group(
        self, slug: str, members: Sequence[User], *, public: bool = False, kind: str = "groups"
    ) -> str:
        """Writes a group with its members and waits for its room; returns the room's id."""
        path = f"/{kind}/{slug}"
        visibility = "public" if public else "private"
        await self.do("PUT", path, {"name": slug.title(), "visibility": visibility})
        for member in members:
            await self.do("PUT", f"{path}/members/{member.slug}", {"role": "member"})
        return str((await self.settled(path))["room_id"])

    async def direct(self, one: User, other: User) -> str:
        """Writes a direct chat and waits for its room; returns the room's id."""
        path = f"/direct-chats/{one.slug}/{other.slug}"
        await self.do("PUT", path)
        return str((await self.settled(path))["room_id"])


class User:
    """A person of OpenMeet with a browser and a token.

    Args:
        session: HTTP session.
        settings: The bridge.
        tenant: Theirs.
        number: OpenMeet's id of them.
        slug: Their slug.
        name: What others see.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        settings: Settings,
        tenant: Site,
        number: int,
        slug: str,
        name: str,
    ) -> None:
        self._session = session
        self._settings = settings
        self.tenant = tenant
        self.number = number
        self.slug = slug
        self.name = name
        self.mxid = f"@om_{tenant.id}_{slug}:localhost"

    def headers(self, *, lifetime: float = 3600.0) -> dict[str, str]:
        """What a request of theirs carries."""
        token = self.tenant.token(self.number, self.slug, lifetime=lifetime)
        return {"Authorization": f"Bearer {token}", "X-Tenant-Id": self.tenant.id}

    async def ask(
        self, method: str, path: str, body: Json | None = None, params: Mapping[str, str] = {}
    ) -> Answer:
        """Calls the web API (``path`` without ``/api/v1``), whatever the answer."""
        url = f"{self._settings.api_url}/api/v1{path}"
        return await call(
            self._session, method, url, headers=self.headers(), body=body, params=params
        )

    async def do(
        self, method: str, path: str, body: Json | None = None, params: Mapping[str, str] = {}
    ) -> Any:
        """Calls the web API; returns the body of what must be a success."""
        answer = await self.ask(method, path, body, params)
        assert answer.status in (200, 202), (method, path, answer)
        return answer.body

    async def send(self, room_id: str, body: str, txn_id: str | None = None) -> Any:
        """Sends a text message; returns how it stands."""
        return await self.do("PUT", message_path(room_id, txn_id), {"body": body})

    async def rooms(self) -> dict[str, Any]:
        """Their rooms, by id."""
        return {room["room_id"]: room for room in (await self.do("GET", "/rooms"))["rooms"]}

    async def timeline(self, room_id: str) -> list[dict[str, Any]]:
        """The whole timeline of a room, fetched page by page from its end to its beginning."""
        found: list[dict[str, Any]] = []
        place = {"limit": "50"}
        while True:
            page = await self.do("GET", f"/rooms/{quote(room_id)}/timeline", params=place)
            found = page["entries"] + found
            if not page["has_before"]:
                return found
            place["before"] = page["entries"][0]["order"]

    async def bodies(self, room_id: str) -> list[str]:
        """The texts of a room's messages, in the order of its timeline."""
        entries = await self.timeline(room_id)
        return [entry["text"] for entry in entries if entry["kind"] == "text"]

    def stream(
        self, cursor: str | None = None, *, lifetime: float = 3600.0
    ) -> AbstractAsyncContextManager[Stream]:
        """Opens their stream over SSE."""
        headers = self.headers(lifetime=lifetime)
        if cursor is not None:
            headers["Last-Event-ID"] = cursor
        return sse(self._session, self._settings.api_url, headers=headers)

    def socket(self, cursor: str | None = None) -> AbstractAsyncContextManager[Stream]:
        """Opens their stream over WebSocket."""
        params = {} if cursor is None else {"cursor": cursor}
        return websocket(
            self._session, self._settings.api_url, headers=self.headers(), params=params
        )


def message_path(room_id: str, txn_id: str | None = None) -> str:
    """Path of a message of one's own; with an id nobody else has unless one is given."""
    return f"/rooms/{quote(room_id)}/messages/{txn_id or secrets.token_hex(8)}"
