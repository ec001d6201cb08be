"""Fills the demonstration the way OpenMeet's backend and its users would: over the APIs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import aiohttp

from .community import Community, Place, Said

_PATIENCE = 120.0
_POLL = 0.1


class FillingError(RuntimeError):
    """The bridge did not do what the demonstration needs."""


class Filling:
    """Writes one community into a running bridge.

    Args:
        session: HTTP session.
        api_url: The public listener.
        community: What to write.
        service_key: The tenant's key.
        tokens: Users' tokens by slug.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        api_url: str,
        community: Community,
        service_key: str,
        tokens: Mapping[str, str],
    ) -> None:
        self._session = session
        self._api_url = api_url
        self._community = community
        self._key = service_key
        self._tokens = tokens
        self._base = f"/api/integration/v1/tenants/{community.id}"

    async def write(self) -> None:
        """Write users, places and direct chats, wait for the rooms, and let people talk.

        Raises:
            FillingError: Something was refused, or did not settle in time.
        """
        for number, person in enumerate(self._community.people, start=1):
            body = {"id": number, "name": person.name}
            await self._integrate("PUT", f"/users/{person.slug}", body)
        for place in self._community.places:
            await self._write_place(place)
        for first, second in self._community.directs:
            await self._integrate("PUT", f"/direct-chats/{first}/{second}", None)
        rooms = await self._rooms()
        events: list[str] = []
        for said in self._community.talk:
            events.append(await self._say(rooms[said.where], said, events))
        # Afterwards: who reacts has read up to there, and so has who corrects.
        for number, (said, event_id) in enumerate(zip(self._community.talk, events, strict=True)):
            await self._follow_up(rooms[said.where], said, event_id, number)

    async def _say(self, room_id: str, said: Said, events: Sequence[str]) -> str:
        path = f"/api/v1/rooms/{room_id}/messages/demo-{len(events):04d}"
        message: dict[str, Any] = {"body": said.text, "format": "markdown"}
        if said.answers is not None:
            message["reply_to"] = events[said.answers]
        if said.mentions and said.corrected is None:
            message["mentions"] = list(said.mentions)
        sent = await self._call("PUT", path, self._tokens[said.who], message)
        return str(sent["event_id"])

    async def _follow_up(self, room_id: str, said: Said, event_id: str, number: int) -> None:
        entry = f"/api/v1/rooms/{room_id}/entries/{quote(event_id, safe='')}"
        if said.corrected is not None:
            edit = {
                "body": said.corrected,
                "format": "markdown",
                "mentions": list(said.mentions),
            }
            path = f"{entry}/edits/demo-correction-{number:04d}"
            await self._call("PUT", path, self._tokens[said.who], edit)
        for who, key in said.reactions:
            path = f"{entry}/reactions/{quote(key, safe='')}"
            await self._call("PUT", path, self._tokens[who], None)

    async def _write_place(self, place: Place) -> None:
        path = f"/{place.kind}/{place.slug}"
        visibility = "public" if place.public else "private"
        body = {"name": place.name, "topic": place.topic, "visibility": visibility}
        await self._integrate("PUT", path, body)
        for slug, role in place.members.items():
            await self._integrate("PUT", f"{path}/members/{slug}", {"role": role})

    async def _rooms(self) -> dict[str, str]:
        paths = {place.slug: f"/{place.kind}/{place.slug}" for place in self._community.places}
        for first, second in self._community.directs:
            paths[f"{first}+{second}"] = f"/direct-chats/{first}/{second}"
        return {slug: await self._settled(f"{path}/status") for slug, path in paths.items()}

    async def _settled(self, path: str) -> str:
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        while True:
            status = await self._integrate("GET", path, None)
            if status["state"] == "settled":
                return str(status["room_id"])
            late = asyncio.get_running_loop().time() > deadline
            if late or status["state"] == "failed":
                raise FillingError(f"{path}: {status}")
            await asyncio.sleep(_POLL)

    async def _integrate(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        return await self._call(method, self._base + path, self._key, body)

    async def _call(
        self, method: str, path: str, token: str, body: Mapping[str, Any] | None
    ) -> Any:
        headers = {"Authorization": f"Bearer {token}", "X-Tenant-Id": self._community.id}
        url = self._api_url + path
        async with self._session.request(method, url, json=body, headers=headers) as answer:
            content = await answer.json()
            if answer.status >= 400:
                raise FillingError(f"{method} {path}: {answer.status} {content}")
            return content
