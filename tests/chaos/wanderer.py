"""Somebody whom OpenMeet takes out of a room and puts in again, over and over."""

from __future__ import annotations

import asyncio
from random import Random

from ..support.openmeet import Answer, Backend, User
from .asking import persist
from .journal import Journal

_SETTLING = 180.0
_LOOK = 0.3


class Wanderer:
    """Comes and goes.

    Args:
        user: Who; they are in the room.
        backend: OpenMeet's.
        path: The group in the integration API.
        room_id: Its room.
        journal: Gets when they were surely out.
        chance: How long they stay.
        stay: Seconds in the room and out of it, on average.
    """

    def __init__(
        self,
        user: User,
        backend: Backend,
        path: str,
        room_id: str,
        journal: Journal,
        chance: Random,
        stay: float,
    ) -> None:
        self.user = user
        self.room_id = room_id
        self._backend = backend
        self._path = path
        self._member = f"{path}/members/{user.slug}"
        self._journal = journal
        self._chance = chance
        self._stay = stay
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Come and go until :meth:`rest`; in the end they are in."""
        while not self._stop.is_set():
            await self._wait()
            await self._ask("DELETE")
            self._note("out")
            await self._wait()
            self._note("returns")
            await self._ask("PUT")
            self._note("in")

    def rest(self) -> None:
        """Come back, and stay."""
        self._stop.set()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._chance.uniform(0.5, 1.5) * self._stay):
                await self._stop.wait()
        except TimeoutError:
            return

    def _note(self, where: str) -> None:
        self._journal.note("moved", who=self.user.mxid, room=self.room_id, where=where)

    async def _ask(self, method: str) -> None:
        body = {"role": "member"} if method == "PUT" else None
        answer = await self._persist(method, self._member, body)
        # Gone already: the answer to an earlier try was lost.
        assert answer.status in (200, 404), answer
        end = asyncio.get_running_loop().time() + _SETTLING
        while True:
            status = await self._persist("GET", f"{self._path}/status")
            if status.body.get("state") == "settled":
                return
            assert asyncio.get_running_loop().time() < end, f"does not settle: {status}"
            await asyncio.sleep(_LOOK)

    async def _persist(self, method: str, path: str, body: dict[str, str] | None = None) -> Answer:
        return await persist(
            lambda: self._backend.ask(method, path, body), f"{method} {path}", self._chance
        )
