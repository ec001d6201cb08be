"""The way from a simulated homeserver to the bridge: transactions, until each is taken."""

from __future__ import annotations

import asyncio
import re

import aiohttp
import msgspec

from openmeet_bridge.matrix.registration import Registration

from .simulated_rooms import Json, Rooms

_BATCH = 100
_RETRY = 0.2


class Push:
    """Pushes what happens, one transaction at a time.

    Args:
        registration: Of the bridge; its ``url`` is where it goes.
        rooms: Where it happens.
    """

    def __init__(self, registration: Registration, rooms: Rooms) -> None:
        self._registration = registration
        self._rooms = rooms
        self._users = re.compile(registration.users_regex)
        self._grew = asyncio.Event()
        self._pushed = 0
        self._transactions = 0
        self._session = aiohttp.ClientSession()

    def grown(self) -> None:
        """Say that something may have happened."""
        self._grew.set()

    async def close(self) -> None:
        """End its connections."""
        await self._session.close()

    async def run(self) -> None:
        """Push for ever."""
        while True:
            await self._grew.wait()
            self._grew.clear()
            while self._pushed < len(self._rooms.stream):
                await self._once()

    async def _once(self) -> None:
        upto = min(self._pushed + _BATCH, len(self._rooms.stream))
        events = [one for one in self._rooms.stream[self._pushed : upto] if self._concerns(one)]
        if events:
            self._transactions += 1
            body = {"events": events, "ephemeral": []}
            # Until the bridge takes it, which is another process, as a rule.
            while await self.tell("PUT", f"transactions/{self._transactions}", body) != 200:  # noqa: ASYNC110
                await asyncio.sleep(_RETRY)
        self._pushed = upto

    def _concerns(self, event: Json) -> bool:
        named = (event["sender"], event.get("state_key") or "")
        if any(self._users.fullmatch(one) for one in named):
            return True
        members = self._rooms.room(event["room_id"]).members("join")
        return any(self._users.fullmatch(one["state_key"]) for one in members)

    async def tell(self, method: str, path: str, body: Json | None) -> int:
        """Call the bridge; return its status, 0 where it does not answer."""
        token = {"Authorization": f"Bearer {self._registration.hs_token}"}
        url = f"{self._registration.url}/_matrix/app/v1/{path}"
        data = None if body is None else msgspec.json.encode(body)
        try:
            async with self._session.request(method, url, data=data, headers=token) as answer:
                await answer.read()
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return 0
